"""Names that stand for several towers of one model: each input goes to its tower, and all vectors are of one space."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from deployments.contract.embedding import Label
from deployments.contract.model_info import ModelInfo
from deployments.gateway.embed_request import CacheState, EmbedRequest, EmbedResult
from deployments.gateway.model_registry import ModelRegistry
from deployments.gateway.model_version import ModelVersion
from deployments.gateway.traffic_split import How, choose
from deployments.gateway.turns import SLICE
from deployments.observability.request_record import RECORD
from models.catalog.source_entry import said
from models.errors import InputError, UnavailableError
from models.modalities import MODALITIES

EmbedBy = Callable[[EmbedRequest, ModelVersion, How], Awaitable[EmbedResult]]
PLACE = re.compile(r"\[(\d+)\]\Z")  # of an input in the name that an error calls it by


class Towers:
    """Splits requests for such names, and keeps their towers together."""

    def __init__(self, registry: ModelRegistry, embed_by: EmbedBy) -> None:
        """Choose among the versions of ``registry``; ``embed_by`` embeds inputs of one modality."""
        self._registry = registry
        self._embed_by = embed_by

    async def embed(self, request: EmbedRequest, towers: Mapping[str, str]) -> EmbedResult:
        """Embed the items of a request, each by the tower of its modality.

        Args:
            request: for a name with several towers.
            towers: their models, by modality.

        Raises:
            InputError: no tower takes an input; the message names its index.
            UnavailableError: the towers that serve now are not of one checkpoint.
        """
        kinds = kinds_of(request, towers)
        places: dict[str, list[int]] = {}
        for place, kind in enumerate(kinds):
            places.setdefault(kind, []).append(place)
        lead = next(iter(towers))
        if len(places) < 2:
            kind = next(iter(places), lead)
            leading = self._leading(request, lead, kind)
            version, how = self._chosen(request, kind, leading)
            result = await self._embed_by(replace(request, modality=kind, modalities=None), version, how)
            _require_one_checkpoint(version, leading)
            return result
        first = self._registry.choose(request.model, request.key, request.headers, lead)
        info = first[0].info
        if info is not None and len(request.items) > SLICE:
            request.make_room(info.dimensions)  # for all at once: what a part says replaces what another said
        chosen = {kind: first if kind == lead else self._chosen(request, kind, [first[0]]) for kind in places}
        parts = (self._part(request, kind, places[kind], *chosen[kind]) for kind in places)
        results = dict(zip(places, await asyncio.gather(*parts), strict=True))
        for version, _ in chosen.values():
            _require_one_checkpoint(version, [first[0]])
        return _joined(results, places, [kind for kind in towers if kind in places])

    def _leading(self, request: EmbedRequest, lead: str, kind: str) -> list[ModelVersion]:
        """Versions of the leading tower that its traffic goes to: one of them must be of the same checkpoint."""
        if kind == lead:
            return []
        version, how = self._registry.choose(request.model, request.key, request.headers, lead)
        if how == "pin":
            return [version]
        return [one for one in self._registry.of_model(version.model) if self._registry.share(one) > 0]

    def _chosen(self, request: EmbedRequest, kind: str, leading: Sequence[ModelVersion]) -> tuple[ModelVersion, How]:
        """The version of a tower that answers: by its own traffic split, among those that belong to a leading one."""
        version, how = self._registry.choose(request.model, request.key, request.headers, kind)
        if not leading or _belongs(version, leading):
            return version, how
        weights = {} if how == "pin" else self._registry.routes[version.model].versions
        others = {name: self._registry.versions[f"{version.model}@{name}"] for name in weights}
        fitting = {name: weights[name] for name, one in others.items() if weights[name] and _belongs(one, leading)}
        if not fitting:
            _require_one_checkpoint(version, leading)
        return others[choose(fitting, request.key)], "weight"

    async def _part(
        self, request: EmbedRequest, kind: str, places: Sequence[int], version: ModelVersion, how: How
    ) -> EmbedResult:
        """The result of the items of one modality; errors name them by their places in the whole request."""
        items = [request.items[place] for place in places]
        part = replace(request, items=items, modality=kind, modalities=None, room=None)
        try:
            return await self._embed_by(part, version, how)
        except InputError as error:
            raise _at_its_place(error, request.param, places) from error


def kinds_of(request: EmbedRequest, towers: Mapping[str, str]) -> Sequence[str]:
    """The modality of each item: as the request says, as the item shows, or else text.

    Raises:
        InputError: there is no tower for one.
    """
    said = request.modalities or ([request.modality] * len(request.items) if request.modality else None)
    if said is None:
        words = next((name for name in towers if MODALITIES[name].has_tokenizer), next(iter(towers)))
        return [next((name for name in towers if MODALITIES[name].claims(it)), words) for it in request.items]
    unknown = next((kind for kind in said if kind not in towers), None)
    if unknown is not None:
        raise InputError(
            f"{request.model} takes {' and '.join(MODALITIES[name].noun for name in towers)}; it takes no inputs of "
            f"{unknown!r:.40}",
            param=request.param,
            code="wrong_modality",
        )
    return said


def tied(one: ModelInfo | None, other: ModelInfo | None) -> bool:
    """Whether two towers are of one checkpoint; of one that sleeps, or is of an earlier release, nothing says that it is not."""
    if one is None or other is None or one.checkpoints is None or other.checkpoints is None:
        return True
    return not set(one.checkpoints).isdisjoint(other.checkpoints)


def _require_one_checkpoint(version: ModelVersion, leading: Sequence[ModelVersion]) -> None:
    """Refuse vectors of a tower that belongs to no leading one; asked again when a version that slept has said what it is.

    Raises:
        UnavailableError: it does not.
    """
    if leading and not _belongs(version, leading):
        raise UnavailableError(
            f"{version.reference} and {leading[0].reference} are not of one checkpoint now ({_of(version)}; "
            f"{_of(leading[0])}): their vectors cannot be compared. Ask for each by its own name"
        )


def _belongs(version: ModelVersion, leading: Sequence[ModelVersion]) -> bool:
    return any(tied(version.info, one.info) for one in leading)


def _of(version: ModelVersion) -> str:
    found = version.info.checkpoints if version.info else None
    return f"{version.reference} of {said(found)}" if found else f"nothing says what {version.reference} is of"


def _at_its_place(error: InputError, param: str, places: Sequence[int]) -> InputError:
    """The same error about the item's place in the request, of which it saw a part; one about something else as it is."""
    named = error.param or ""
    found = PLACE.search(named)
    if named.removesuffix(found[0] if found else "") != param or (found is None and len(places) > 1):
        return error
    new = f"{param}[{places[int(found[1]) if found else 0]}]"
    message = str(error)
    moved = new + message.removeprefix(named) if message.startswith(named) else message
    return type(error)(moved, param=new, code=error.code)


def _joined(
    results: Mapping[str, EmbedResult], places: Mapping[str, Sequence[int]], order: Sequence[str]
) -> EmbedResult:
    """One result with the vectors in the order of the request, and a label that names every tower."""
    count = sum(len(part) for part in places.values())
    vectors = np.empty((count, results[order[0]].vectors.shape[1]), np.float32)
    labels: list[Label] = [results[order[0]].label] * count
    for kind, result in results.items():
        vectors[list(places[kind])] = result.vectors
        for place in places[kind]:
            labels[place] = result.label
    found = [results[kind] for kind in order]
    caches = {result.cache for result in found}
    cache: CacheState = next(iter(caches)) if len(caches) == 1 else "partial"
    numerics = list(dict.fromkeys(one.label.numerics for one in found if one.label.numerics))
    label = Label(
        ", ".join(one.label.model for one in found),
        ", ".join(one.label.hash for one in found),
        any(one.label.synthetic for one in found),
        ", ".join(numerics),
        any(one.label.batch_dependent for one in found),
    )
    tokens, cut, behind = (sum(getattr(one, name) for one in found) for name in ("tokens", "cut", "behind"))
    joined = EmbedResult(label, vectors, tokens, cache, cut, behind, labels)
    _note(found[0], joined)
    return joined


def _note(lead: EmbedResult, joined: EmbedResult) -> None:
    """The request's record counts it for the leading tower, with what all of them did."""
    record = RECORD.get()
    if record is None:
        return
    record.model, _, record.version = lead.label.model.partition("@")
    record.items, record.tokens, record.cache = len(joined.vectors), joined.tokens, joined.cache
    record.hash, record.numerics = joined.label.hash, joined.label.numerics
