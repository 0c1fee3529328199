"""Models that sleep until somebody asks them: their files are fetched once the service is ready, so that it starts no later."""

from __future__ import annotations

import threading

from rich.console import Console

from deployments.cli.synthetic_warning import warn_served
from deployments.cluster.serve_file import ServeConfig
from models.catalog.artifact import Artifact
from models.catalog.catalog import Catalog
from models.catalog.record import is_synthetic
from models.catalog.store import pull
from models.errors import EmbedserveError


class LateModels:
    """The versions of a configuration that load when they are asked."""

    def __init__(self, console: Console, config: ServeConfig) -> None:
        """Find them; nothing is fetched before ``begin``.

        Raises:
            ModelNotFoundError: the catalogue lacks one.
        """
        catalog = Catalog.load()
        self._console = console
        self._specs = [catalog.find(name) for name in config.sleeping() if "@" in name]
        self._allow_synthetic = config.profiles == {"development"}

    @property
    def listed(self) -> list[tuple[str, str, int, str]]:
        """Reference, name and dimensions of each, and no hash."""
        return [(spec.reference, spec.name, spec.dimensions, "") for spec in self._specs]

    def begin(self) -> None:
        """Fetch their files beside whatever else goes on; who asks one before waits for the rest of it."""
        if self._specs:
            threading.Thread(target=self._fetch, name="late-models", daemon=True).start()

    def _fetch(self) -> None:
        for spec in self._specs:
            try:
                artifact: Artifact = pull(spec, allow_synthetic=self._allow_synthetic)
                if is_synthetic(artifact):
                    warn_served(self._console, spec.reference, spec.name)
            except EmbedserveError as error:  # its first request will say so too
                self._console.print(
                    f"warning: {spec.reference} cannot be served: {error}", highlight=False, markup=False
                )
