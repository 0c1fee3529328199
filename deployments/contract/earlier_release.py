"""Types that a process of an earlier release pickled: it knows their first fields alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any


def restore(instance: Any, state: Sequence[Any]) -> None:
    """Set the fields of a frozen dataclass with slots from its pickled state; those that are missing take their defaults."""
    for index, field in enumerate(fields(instance)):
        object.__setattr__(instance, field.name, state[index] if index < len(state) else field.default)
