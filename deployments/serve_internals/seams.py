"""Which seams are on: what the configuration, the environment and Ray's version allow, and how often each was used."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final, get_args

from deployments.config.internals import Internals
from deployments.observability.logging import logger
from deployments.serve_internals import ray_version, settings
from deployments.serve_internals.names import Seam
from models.errors import ConfigError

if TYPE_CHECKING:
    from deployments.observability.gateway_metrics import GatewayMetrics

VARIABLE: Final = (
    "EMBEDSERVE_INTERNALS"  # "on", "off", or names: those to use, or with "-" before each those not to use
)
ALL: Final[frozenset[Seam]] = frozenset(get_args(Seam))


def chosen(value: str) -> frozenset[Seam]:
    """The seams that a value of ``EMBEDSERVE_INTERNALS`` allows; all of them when it is empty.

    Raises:
        ConfigError: a name is unknown.
    """
    words = [word.strip() for word in value.split(",") if word.strip()]
    names = set(ALL if not words or words[0].startswith("-") else ())
    for word in words:
        if word in ("on", "off"):
            names = set(ALL) if word == "on" else set()
            continue
        known = next((seam for seam in ALL if seam == word.removeprefix("-")), None)
        if known is None:
            allowed = ", ".join(("on", "off", *sorted(ALL)))
            raise ConfigError(f"{VARIABLE}: {word!r} is unknown; allowed, separated by commas: {allowed}")
        if word.startswith("-"):
            names.discard(known)
        else:
            names.add(known)
    return frozenset(names)


class Seams:
    """The seams of this process."""

    def __init__(self, environment: Mapping[str, str], installed: str) -> None:
        """Start with what the environment and the installed version of Ray allow.

        Args:
            environment: where ``EMBEDSERVE_INTERNALS`` is looked up, at the first use.
            installed: the version of Ray that runs here.
        """
        self._environment = environment
        self.installed = installed
        self._refused: frozenset[Seam] = frozenset()  # by the configuration
        self.uses: Counter[Seam] = Counter()  # since they were last reported
        self._started: set[Seam] = set()  # in this process, by seams that begin before there is a configuration

    @property
    def version_matches(self) -> bool:
        """Whether this is the Ray that the seams are tested with."""
        return self.installed == ray_version.PINNED

    @cached_property
    def allowed(self) -> frozenset[Seam]:
        """What the environment and Ray's version allow; the configuration can only take from it.

        Raises:
            ConfigError: the environment names an unknown seam.
        """
        named = chosen(self._environment.get(VARIABLE, ""))
        if self.version_matches:
            return named
        logger.warning(
            "Ray %s is installed, and what we use of Ray beside its public API was tested with %s alone: all of it stays "
            "off, and requests go through public Serve, slower",
            self.installed,
            ray_version.PINNED,
        )
        return frozenset()

    def on(self, seam: Seam) -> bool:
        """Whether to use a seam."""
        return seam in self.allowed and seam not in self._refused

    def configure(self, internals: Internals) -> None:
        """Take the switches of a configuration."""
        switches: dict[Seam, bool] = {
            "http_shortcut": internals.http_shortcut,
            "single_write": internals.single_write,
            "connections": internals.connections,
        }
        self._refused = frozenset(seam for seam, on in switches.items() if not on)

    def start(self, seam: Seam) -> None:
        """Remember that a seam came into use in this process."""
        self._started.add(seam)

    def in_use(self, seam: Seam) -> bool:
        """Whether a seam is in use here, whoever switched it on: those of nodes are variables that Ray has read."""
        if seam in settings.OF_NODES:
            return settings.in_effect(seam, self._environment)
        return seam in self._started if seam in EARLY else self.on(seam)

    def report(self, metrics: GatewayMetrics) -> None:
        """Hand the state of every seam, and how often each was used since the last report, to the metrics."""
        metrics.ray_tested.set(float(self.version_matches), {"installed": self.installed, "tested": ray_version.PINNED})
        for seam in sorted(ALL):
            metrics.seam_in_use.set(float(self.in_use(seam)), {"seam": seam})
            metrics.seam_uses.add((seam,), self.uses.pop(seam, 0))


EARLY: Final[tuple[Seam, ...]] = ("http_hook", "slow_heads", "log_folder")  # decided when a replica starts
SEAMS: Final = Seams(os.environ, ray_version.installed())
