"""The versions that the gateway routes to, kept up to date in the background."""

from __future__ import annotations

import asyncio
import logging

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.schema import ReplicaState

from deployments.config import DEPLOYMENT_NAMES, GatewayConfig
from deployments.routing import choose
from deployments.version import Version
from models.errors import ModelNotFoundError

logger = logging.getLogger("ray.serve")

REFRESH_S = 2.0  # how soon a swapped artifact or a new replica is noticed when no traffic shows it


class Registry:
    """Names to versions, as the gateway's configuration says."""

    def __init__(self) -> None:
        """Know no model yet."""
        self.config = GatewayConfig(models={})
        self.versions: dict[str, Version] = {}
        self._task: asyncio.Task[None] | None = None

    def configure(self, config: GatewayConfig) -> None:
        """Take a new configuration; versions that stay keep their queues and what is known of them."""
        wanted = {
            f"{model}@{version}": (model, version, routes.type)
            for model, routes in config.models.items()
            for version in routes.versions
        }
        kept = {ref: v for ref, v in self.versions.items() if ref in wanted and v.modality == wanted[ref][2]}
        self.versions = {ref: kept.get(ref) or Version(*parts) for ref, parts in wanted.items()}
        self.config = config
        for version in self.versions.values():
            version.configure(config.queue)

    def start(self) -> None:
        """Begin to refresh in the background."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._refresh_forever())

    def resolve(self, name: str, key: str | None = None) -> Version:
        """The version that answers for a name, alias or ``name@version``.

        Raises:
            ModelNotFoundError: the message lists what there is.
        """
        target = self.config.aliases.get(name, name)
        model, _, version = target.partition("@")
        routes = self.config.models.get(model)
        if routes is None:
            known = ", ".join([*self.config.models, *self.config.aliases])
            raise ModelNotFoundError(f"no model {name!r} here; there are: {known}")
        if "@" in target:
            if version not in routes.versions:
                raise ModelNotFoundError(
                    f"no version {version!r} of {model} here; there are: {', '.join(routes.versions)}"
                )
            return self.versions[target]
        return self.versions[f"{model}@{choose(routes.versions, key)}"]

    def of_model(self, model: str) -> list[Version]:
        """All versions of a model name."""
        return [version for version in self.versions.values() if version.model == model]

    async def refresh(self, max_age_s: float = 10.0) -> None:
        """Ask every version's replicas once, and Serve how many there are."""
        await self._count_replicas()
        await asyncio.gather(*(version.refresh(max_age_s) for version in self.versions.values()))

    async def _refresh_forever(self) -> None:
        while True:
            try:
                await self.refresh()
            except Exception:  # the loop outlives whatever a dying cluster raises; the next round says what holds
                logger.exception("refreshing the registry failed")
            await asyncio.sleep(REFRESH_S)

    async def _count_replicas(self) -> None:
        try:
            status = await asyncio.get_running_loop().run_in_executor(None, serve.status)
        except (RayError, RayServeException) as error:
            logger.warning("Serve's controller does not answer: %s", error)
            return
        for version in self.versions.values():
            application = status.applications.get(version.application)
            deployment = application and application.deployments.get(DEPLOYMENT_NAMES[version.modality])
            states: dict[ReplicaState, int] = deployment.replica_states if deployment else {}
            version.replicas = states.get(ReplicaState.RUNNING, 0)
            version.configure(self.config.queue)
