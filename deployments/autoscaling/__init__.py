"""How many replicas there should be: one pure law, the policies that Serve calls, and the work they count."""

from deployments.config.old_import_paths import RENAMED, renamed_in


def __getattr__(name: str) -> object:
    """Say to `serve deploy` of an earlier version's configuration where its policies have moved."""
    moved = f"{__name__}:{name}" in RENAMED
    raise AttributeError(renamed_in(__name__) if moved else f"module {__name__!r} has no attribute {name!r}")
