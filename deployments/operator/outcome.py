"""What a command that changes a service did, for programs to read."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """A change that was carried out, or shown, or not needed."""

    command: str  # as it was typed
    model: str
    dry_run: bool
    changes: list[str] = field(default_factory=list)  # what becomes different for whom; empty where nothing does
    steps: list[str] = field(default_factory=list)
    revision: int | None = None  # of the configuration that now runs; None where nothing was changed
    wrote: str | None = None  # the file of --write
    diff: str | None = None  # of that file in a dry run
