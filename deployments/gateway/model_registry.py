"""The versions that the gateway routes to, kept up to date in the background."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from deployments.config.gateway import GatewayConfig, TokenVocabulary
from deployments.config.names import deployment_name
from deployments.config.routes import ModelRoutes
from deployments.contract.reason import Reason, ReasonCode
from deployments.contract.short_repr import short_repr
from deployments.gateway.model_names import names_of, target_of
from deployments.gateway.model_version import ModelVersion
from deployments.gateway.traffic_split import How, experiment, route
from deployments.observability.logging import logger
from models.errors import ModelNotFoundError

REFRESH_S = 1.0  # how soon a swapped artifact or a new replica is noticed when no traffic shows it
COUNT_EVERY = 5  # refreshes between two looks at the number of replicas, which cost more
COUNT_QUIET = 30  # the same while nobody uses any version
RUNNING = "RUNNING"  # of a replica, as Serve's status spells it
TOKENS = "text"  # the modality of token ids
NO_HEADERS: Mapping[str, str] = {}
STEADY = ("ready", "asleep")  # states that last


class ModelRegistry:
    """Which version answers for a name, as the gateway's configuration says."""

    def __init__(self) -> None:
        """Know no model yet."""
        self.config = GatewayConfig(models={})
        self.versions: dict[str, ModelVersion] = {}
        self.routes: dict[str, ModelRoutes] = {}  # in force; behind the configuration while a version gets ready
        self.experiments: dict[str, str] = {}  # by model, the name of those routes
        self.waiting: dict[str, Reason] = {}  # why a model's configured routes are not in force yet
        self._awaited: set[str] = set()  # versions that routes wait for
        self._rounds = COUNT_QUIET  # since the replicas were counted

    def configure(self, config: GatewayConfig) -> None:
        """Take a new configuration; versions that stay keep their queues and what is known of them."""
        wanted = {
            f"{model}@{version}": (model, version, routes.type)
            for model, routes in config.models.items()
            for version in routes.versions
        }
        kept = {ref: v for ref, v in self.versions.items() if ref in wanted and v.modality == wanted[ref][2]}
        self.versions = {ref: kept.get(ref) or ModelVersion(*parts) for ref, parts in wanted.items()}
        self.config = config
        self.routes = {model: routes for model, routes in self.routes.items() if model in config.models}
        for version in self.versions.values():
            may_sleep = version.version in config.models[version.model].scale_to_zero
            version.configure(config.queue, may_sleep=may_sleep)
        self._apply_routes()

    def _apply_routes(self) -> None:
        """Put each model's routes in force; a version that gains weight before it is ready waits at weight 0.

        So no request goes where nobody answers. A model without routes in force takes the configured ones at once.
        """
        self.waiting, self._awaited = {}, set()
        for model, wanted in self.config.models.items():
            current = self.routes.get(model)
            unready = [] if current is None else self._unready(model, wanted, current)
            weights = {v: 0 if v in unready else weight for v, weight in wanted.versions.items()}
            if not any(weights.values()) and current is not None:
                weights = {v: current.versions.get(v, 0) for v in wanted.versions}
            routes = wanted.model_copy(update={"versions": weights}) if any(weights.values()) else wanted
            if unready:
                self._awaited.update(f"{model}@{version}" for version in unready)
                text = f"the configured weights wait until {', '.join(unready)} has a ready replica"
                self.waiting[model] = Reason(ReasonCode.WAITING_FOR_REPLICA, text)
            if routes != current:
                self.routes[model] = routes
                self.experiments[model] = experiment(model, routes)
                logger.info("routes of %s: %s", model, dict(routes.versions))

    def _unready(self, model: str, wanted: ModelRoutes, current: ModelRoutes) -> list[str]:
        """Versions whose weight is to rise from 0 and that have no ready replica."""
        gaining = [v for v, weight in wanted.versions.items() if weight > 0 and not current.versions.get(v)]
        return [v for v in gaining if self.versions[f"{model}@{v}"].state != "ready"]

    def resolve(self, name: str, key: str | None = None, headers: Mapping[str, str] | None = None) -> ModelVersion:
        """The version that answers for a name, alias or ``name@version``; of several towers, one of the leading tower.

        Raises:
            ModelNotFoundError: the message lists what there is.
        """
        return self.choose(name, key, headers)[0]

    def choose(
        self,
        name: str,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        modality: str | None = None,
    ) -> tuple[ModelVersion, How]:
        """As ``resolve``, of the tower of ``modality`` where a name has several, and why that version."""
        target = target_of(self.config, name, modality)
        model, _, version = target.partition("@")
        routes = self.routes.get(model)
        if routes is None:
            known = ", ".join(names_of(self.config))
            raise ModelNotFoundError(f"no model {short_repr(name)} here; there are: {known}")
        if "@" in target:
            pinned = self.versions.get(target)
            if pinned is None:
                there = ", ".join(self.config.models[model].versions)
                raise ModelNotFoundError(f"no version {short_repr(version)} of {model} here; there are: {there}")
            return pinned, "pin"
        choice = route(routes, key, NO_HEADERS if headers is None else headers)
        chosen = self.versions[f"{model}@{choice.version}"]
        if routes.fallback and not chosen.takes_requests:
            return self.versions[f"{model}@{routes.fallback}"], "fallback"
        return chosen, choice.how

    def token_vocabulary(self, name: str) -> TokenVocabulary | None:
        """Whose token ids requests for a name, alias or ``name@version`` hold, where the configuration says it."""
        said = self.config.token_vocabulary
        return said.get(name) or said.get(target_of(self.config, name, TOKENS).partition("@")[0])

    def first(self, modality: str) -> str:
        """The model that requests of protocols without model names go to: the configuration's first of a modality.

        Raises:
            ModelNotFoundError: it has none.
        """
        found = next((name for name, routes in self.config.models.items() if routes.type == modality), None)
        if found is None:
            raise ModelNotFoundError(f"no model here embeds {modality}")
        return found

    def of_model(self, model: str) -> list[ModelVersion]:
        """All versions of a model name."""
        return [version for version in self.versions.values() if version.model == model]

    def share(self, version: ModelVersion) -> float:
        """The part of unpinned, unkeyed traffic that a version gets right now."""
        weights = self.routes[version.model].versions if version.model in self.routes else {}
        return weights.get(version.version, 0) / (sum(weights.values()) or 1)

    def reason(self, version: ModelVersion) -> Reason | None:
        """Why a version does not serve what the configuration asks for; nothing when it does."""
        if version.error is not None:
            return version.error
        if version.info is not None and version.info.swap_error:
            return Reason(ReasonCode.SWAP_REFUSED, version.info.swap_error)
        return self.waiting.get(version.model)

    async def refresh(self) -> None:
        """Ask every version's replicas once and, now and then, Serve how many there are."""
        unsure = any(
            v.state not in STEADY or (v.state == "ready" and not v.replica_count) for v in self.versions.values()
        )
        quiet = all(version.quiet for version in self.versions.values())
        if self._rounds >= (COUNT_QUIET if quiet else COUNT_EVERY) or unsure:
            await self._count_replicas()
            self._rounds = 0
        self._rounds += 1
        asked = [v for v in self.versions.values() if not v.resting or v.unknown or v.reference in self._awaited]
        answers = await asyncio.gather(*(version.refresh() for version in asked), return_exceptions=True)
        for version, answer in zip(asked, answers, strict=True):
            if answer is not None:  # a defect; the other versions' routes must not wait for it
                logger.error("asking %s failed", version.reference, exc_info=answer)
        self._apply_routes()

    async def _count_replicas(self) -> None:
        try:
            status = await asyncio.get_running_loop().run_in_executor(None, serve.status)
        except (RayError, RayServeException) as error:
            logger.warning("Serve's controller does not answer: %s", error)
            return
        for version in self.versions.values():
            application = status.applications.get(version.application)
            deployment = application and application.deployments.get(deployment_name(version.modality))
            states = deployment.replica_states.items() if deployment else ()
            version.note_replicas(sum(count for state, count in states if state == RUNNING))
