"""``user_config`` of the gateway."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from deployments.config.base import ModalityName, Strict
from deployments.config.cache import Cache
from deployments.config.experiments import Experiments
from deployments.config.fetch import Fetch
from deployments.config.internals import Internals
from deployments.config.limits import Limits, Rate
from deployments.config.queue import Queue
from deployments.config.routes import ModelRoutes
from models.catalog.model_spec import require_name

Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/\s*]+)$")]
TokenVocabulary = Literal["model", "cl100k_base"]


class GatewayConfig(Strict):
    """``user_config`` of the Gateway deployment; all of it may change while it runs."""

    models: dict[str, ModelRoutes]
    aliases: dict[str, str] = {}  # other names of models; none: clients use the models' own
    # Names that take inputs of several modalities, each by a model that is one tower of the same checkpoint; the first leads: its
    # versions choose those of the others. None: each tower is asked by its own name.
    towers: dict[str, Annotated[dict[ModalityName, str], Field(min_length=2)]] = {}
    # By model or alias, whose token ids its requests hold; a name that is not here: OpenAI's cl100k_base where its decoder is
    # installed, since LangChain sends those to every server, and nobody's where it is not. `x-token-vocabulary` goes before.
    token_vocabulary: dict[str, TokenVocabulary] = {}
    # keys: API keys are asked for where some are configured, and production does not start without any.
    auth: Literal["keys", "none"] = "keys"
    # How long the keys of a file count that cannot be read any more: time for a person to repair it; a key that was revoked
    # meanwhile counts as long. After it every request that needs a key gets 503. 10 s are five looks at the file.
    auth_grace_s: Annotated[float, Field(ge=10, le=86_400)] = 300.0
    limits: Limits = Limits()
    queue: Queue = Queue()
    rate: Rate = Rate()
    # Whose pages may call this service from a browser: origins such as https://shop.example, or '*' for every one's. None: nobody's
    # pages can read an answer, as where a visitor's browser stands inside the network and the page comes from outside.
    cors_origins: tuple[Origin, ...] = ()
    fetch: Fetch | None = None  # off: fetching where clients say can open a private network to them
    cache: Cache = Cache()
    experiments: Experiments = Experiments()
    internals: Internals = Internals()
    access_log: bool = True  # a line for each request costs 10 µs; without it no request can be looked up
    # Metrics whose names changed in this release are exported under their old names too: dashboards and alerts of an operator
    # go on working until they read the new ones. The next release has neither the old names nor this key.
    old_metric_names: bool = True
    revision: int = 0  # raised by each of the operators' commands, so that two at once notice each other
    # By model, what `embedserve rollback` restores; `@last` marks a change under way, `@rollouts` says where rollouts stand.
    previous: dict[str, Any] = {}

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.models:
            require_name(name)
        if self.experiments.exposures and not self.access_log:
            raise ValueError("experiments.exposures are written to the access log: access_log must be true")
        self._check_towers()
        for alias, target in self.aliases.items():
            name, _, version = target.partition("@")
            models = [
                self.models[model] for model in self.towers.get(name, {}).values() or [name] if model in self.models
            ]
            if not models or (version and any(version not in routes.versions for routes in models)):
                known = ", ".join([*self.models, *self.towers])
                raise ValueError(f"alias {alias!r} points at {target!r}, which is not among the models ({known})")
        for name in self.token_vocabulary:
            known = ", ".join([*self.models, *self.towers, *self.aliases])
            if name not in known.split(", "):
                raise ValueError(f"token_vocabulary names {name!r}, which is no model and no alias ({known})")
        return self

    def _check_towers(self) -> None:
        for name, towers in self.towers.items():
            require_name(name)
            if name in self.models or name in self.aliases:
                raise ValueError(f"towers: {name!r} is a model or an alias already; names are unique")
            for modality, model in towers.items():
                routes = self.models.get(model)
                if routes is None or routes.type != modality:
                    fitting = ", ".join(it for it, its in self.models.items() if its.type == modality) or "none"
                    raise ValueError(f"towers.{name}.{modality} is {model!r}; models of that type are: {fitting}")
