"""What is remembered of one request while it is answered: for its count, its line in the access log and its trace."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from deployments.contract.reply import Stages

if TYPE_CHECKING:
    from opentelemetry.trace import Span


class Exposure(NamedTuple):
    """Which version of an experiment a request saw."""

    experiment: str
    chosen: str  # how: weight, override, pin or fallback
    key_hash: str | None  # of the routing key; None where the request had none


@dataclass(slots=True, eq=False)
class Record:
    """Filled in on the way: which version and artifact answered, and where the time went. Never what was asked."""

    span: Span | None = None  # of the request, where it is traced
    model: str | None = None
    version: str | None = None
    modality: str | None = None
    hash: str | None = None
    numerics: str | None = None
    cache: str | None = None
    items: int | None = None
    tokens: int | None = None
    bulk: bool = False
    exposure: Exposure | None = None  # where the configuration asks for it
    error: str | None = None  # the class of the exception that was answered
    queue_s: float | None = None  # waiting in the gateway and in the encoder; None where nothing had to be computed
    preprocess_s: float | None = None
    inference_s: float | None = None

    def passed(self, waited_s: float, stages: Stages) -> None:
        """Note where the time went of the call that completed this request."""
        self.queue_s = waited_s + stages.queue_s
        self.preprocess_s = stages.preprocess_s
        self.inference_s = stages.inference_s


RECORD: ContextVar[Record | None] = ContextVar("record", default=None)  # of the request whose task this is
