"""How many replicas there should be: one pure law, the policies that Serve calls, and the work they count."""

from deployments.config.old_import_paths import RENAMED, moved


def __getattr__(name: str) -> object:
    """Say to `serve deploy` of an earlier version's configuration where its policies have moved."""
    known = f"{__name__}:{name}" in RENAMED
    raise AttributeError(moved() if known else f"module {__name__!r} has no attribute {name!r}")
