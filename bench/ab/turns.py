"""Two checkouts under the same loads by turns."""

from __future__ import annotations

import copy
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.ab.points import OTHER, THIS, Point
from bench.loads import wrk
from bench.loads.bodies import Body, PictureBody, TextBody
from bench.loads.load import Load
from bench.loads.texts import Texts
from bench.report.quiet import Meter
from bench.systems.ours import encoder_of, one_replica, shipped, text_tokenizer, up
from bench.systems.server import Server
from models.catalog.paths import ROOT

MODELS = {"text": "text-embedding", "image": "image-embedding"}  # by modality
VERSIONS = {"int8": "1.1.0", "fp32": "1.0.0", "bf16": "1.3.0"}
TOKENS = 13
WARM_S = 2
START_S = 900  # the first start of a checkout may have to fetch and build its models
NUMBERS = 10_000_000  # inputs that one measurement may use up


def served(
    document: dict[str, Any], precisions: Sequence[str], modalities: Sequence[str] = ("text",)
) -> dict[str, Any]:
    """A checkout's own serve_config.yaml with the measured models alone, one replica of everything.

    Args:
        document: as the checkout has it; its import paths stay.
        precisions: which versions of each model are served.
        modalities: whose models are.
    """
    changed = copy.deepcopy(document)
    by_name = {app["name"]: app for app in changed["applications"]}
    gateway = by_name["gateway"]
    config, routes = gateway["deployments"][0]["user_config"], {}
    changed["applications"] = [gateway]
    for model in (MODELS[modality] for modality in modalities):
        routes[model] = config["models"][model]
        routes[model]["versions"] = {VERSIONS[p]: int(place == 0) * 100 for place, p in enumerate(precisions)}
        encoder = by_name[f"{model}--1-0-0"]
        changed["applications"] += [encoder_of(encoder, model, VERSIONS[precision]) for precision in precisions]
    config.update(models=routes, aliases={})
    config.pop("towers", None)
    one_replica(changed)
    return changed


class Turns:
    """Starts the services in turn and measures each."""

    def __init__(
        self,
        other: Path,
        loads: Sequence[Load],
        precisions: Sequence[str],
        seconds: int,
        tell: Callable[[str], None],
        variables: dict[str, str] | None = None,
    ) -> None:
        """Start nothing yet.

        Args:
            other: the other checkout.
            loads: of texts of 13 tokens, or of pictures.
            precisions: keys of ``VERSIONS``.
            seconds: of each load.
            tell: gets a line for each step.
            variables: to set for the other checkout's service alone.
        """
        self.points: list[Point] = []
        self._checkouts = {THIS: ROOT, OTHER: other}
        self._variables = {THIS: {}, OTHER: variables or {}}
        self._loads, self._precisions, self._seconds, self._tell = loads, precisions, seconds, tell
        self._texts = Texts.of(text_tokenizer(), TOKENS)
        self._first = itertools.count(NUMBERS, NUMBERS)  # texts that no request has used before

    def run(self, rounds: int) -> None:
        """Every round starts each service once; who goes first changes, so that drift of the machine cancels out."""
        for turn in range(rounds):
            for side in (THIS, OTHER) if turn % 2 == 0 else (OTHER, THIS):
                self._tell(f"round {turn + 1} of {rounds}, {side}: {self._checkouts[side]}")
                self.points.extend(self._turn(side))

    def _turn(self, side: str) -> Iterator[Point]:
        checkout = self._checkouts[side]
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            modalities = list(dict.fromkeys(load.modality for load in self._loads))
            document = served(shipped(checkout), self._precisions, modalities)
            server = up(side, document, Path(folder), self._variables[side], checkout)
            try:
                for precision, load in itertools.product(self._precisions, self._loads):
                    body = self._body(load, f"{MODELS[load.modality]}@{VERSIONS[precision]}")
                    server.wait(body.path, body.data(next(self._first)), body.content_type, START_S)
                    yield self._measure(server, side, f"{precision}, {load.name}", load, body)
            finally:
                server.stop()

    def _body(self, load: Load, model: str) -> Body:
        if load.modality == "image":
            return PictureBody(f"/v1/embeddings/image?model={model}", model)
        return TextBody("/v1/embeddings", model, self._texts, load.items, load.cached)

    def _measure(self, server: Server, side: str, name: str, load: Load, body: Body) -> Point:
        wrk.run(server.url, body, load.clients, WARM_S, next(self._first))
        server.settle()
        meter = Meter(server)
        sample = wrk.run(server.url, body, load.clients, self._seconds, next(self._first))
        service, others = meter.read(sample.generator_cpu * sample.seconds)
        point = Point(
            load=name,
            side=side,
            rate=sample.rate,
            p50_ms=sample.p50_ms,
            cpu_ms=service / max(sample.requests, 1) * 1e3,
            failed=sample.failed + sample.broken,
            others=others,
        )
        self._tell(
            f"{name}: {point.rate:.1f} requests/s, p50 {point.p50_ms:.2f} ms, {point.cpu_ms:.2f} ms of processor a "
            f"request, {point.failed} failed, others {point.others:.2f} cores"
        )
        return point
