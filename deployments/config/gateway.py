"""``user_config`` of the gateway."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import model_validator

from deployments.config.base import Strict
from deployments.config.cache import Cache
from deployments.config.fetch import Fetch
from deployments.config.internals import Internals
from deployments.config.limits import Limits, Rate
from deployments.config.queue import Queue
from deployments.config.routes import ModelRoutes
from models.catalog.catalog import NAME


class GatewayConfig(Strict):
    """``user_config`` of the Gateway deployment; all of it may change while it runs."""

    models: dict[str, ModelRoutes]
    aliases: dict[str, str] = {}
    auth: Literal["keys", "none"] = "keys"  # asked for where they are configured; production does not start without
    limits: Limits = Limits()
    queue: Queue = Queue()
    rate: Rate = Rate()
    fetch: Fetch | None = None  # off: a gateway that calls where clients tell it is a way into the private network
    cache: Cache = Cache()
    internals: Internals = Internals()
    access_log: bool = True  # a line for each request: 10 µs of a gateway, without which no request can be looked up
    revision: int = 0  # counted up by the operators' commands, so that two at once notice each other
    previous: dict[str, Any] = {}  # what `embedserve rollback` goes back to, by model; `@last` signs a change under way

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.models:
            if not NAME.match(name):
                raise ValueError(f"model name {name!r} must be lower-case letters, digits and '-', at most 40")
        for alias, target in self.aliases.items():
            name, _, version = target.partition("@")
            if name not in self.models or (version and version not in self.models[name].versions):
                raise ValueError(f"alias {alias!r} points at {target!r}, which is not among the models")
        return self
