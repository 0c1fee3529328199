"""Names that stand for several towers of one model: each input goes to its tower, and all vectors are of one space."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace

from deployments.contract.model_info import ModelInfo
from deployments.gateway.embed_request import EmbedRequest, EmbedResult
from deployments.gateway.joined_result import joined
from deployments.gateway.model_registry import ModelRegistry
from deployments.gateway.model_version import ModelVersion
from deployments.gateway.traffic_split import How, choose
from deployments.gateway.turns import SLICE
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
        modalities = modalities_of(request, towers)
        places: dict[str, list[int]] = {}
        for place, modality in enumerate(modalities):
            places.setdefault(modality, []).append(place)
        lead = next(iter(towers))
        if len(places) < 2:
            modality = next(iter(places), lead)
            leading = self._leading(request, lead, modality)
            version, how = self._chosen(request, modality, leading)
            result = await self._embed_by(replace(request, modality=modality, modalities=None), version, how)
            _require_one_checkpoint(version, leading)
            return result
        first = self._registry.choose(request.model, request.key, request.headers, lead)
        info = first[0].info
        if info is not None and len(request.items) > SLICE:
            request.make_room(info.dimensions)  # for all at once: what a part says replaces what another said
        chosen = {
            modality: first if modality == lead else self._chosen(request, modality, [first[0]]) for modality in places
        }
        parts = (self._part(request, modality, places[modality], *chosen[modality]) for modality in places)
        results = dict(zip(places, await _all(parts), strict=True))
        for version, _ in chosen.values():
            _require_one_checkpoint(version, [first[0]])
        return joined(results, places, [modality for modality in towers if modality in places])

    def _leading(self, request: EmbedRequest, lead: str, modality: str) -> list[ModelVersion]:
        """Versions of the leading tower that its traffic goes to: one of them must be of the same checkpoint."""
        if modality == lead:
            return []
        version, how = self._registry.choose(request.model, request.key, request.headers, lead)
        if how == "pin":
            return [version]
        return [one for one in self._registry.of_model(version.model) if self._registry.share(one) > 0]

    def _chosen(
        self, request: EmbedRequest, modality: str, leading: Sequence[ModelVersion]
    ) -> tuple[ModelVersion, How]:
        """The version of a tower that answers: by its own traffic split, among those that belong to a leading one."""
        version, how = self._registry.choose(request.model, request.key, request.headers, modality)
        if not leading or _belongs(version, leading):
            return version, how
        weights = {} if how == "pin" else self._registry.routes[version.model].versions
        others = {name: self._registry.versions[f"{version.model}@{name}"] for name in weights}
        fitting = {name: weights[name] for name, one in others.items() if weights[name] and _belongs(one, leading)}
        if not fitting:
            _require_one_checkpoint(version, leading)
        return others[choose(fitting, request.key)], "weight"

    async def _part(
        self, request: EmbedRequest, modality: str, places: Sequence[int], version: ModelVersion, how: How
    ) -> EmbedResult:
        """The result of the items of one modality; errors name them by their places in the whole request."""
        items = [request.items[place] for place in places]
        part = replace(request, items=items, modality=modality, modalities=None, room=None)
        try:
            return await self._embed_by(part, version, how)
        except InputError as error:
            raise _at_its_place(error, request.param, places) from error


async def _all(parts: Iterable[Coroutine[None, None, EmbedResult]]) -> list[EmbedResult]:
    """The results of all parts. Where one has none, nobody waits for the others any more, and they end first."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        return await asyncio.gather(*tasks)
    except Exception:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def modalities_of(request: EmbedRequest, towers: Mapping[str, str]) -> Sequence[str]:
    """The modality of each item: as the request says, as the item shows, or else text.

    Raises:
        InputError: there is no tower for one.
    """
    said = request.modalities or ([request.modality] * len(request.items) if request.modality else None)
    if said is None:
        words = next((name for name in towers if MODALITIES[name].has_tokenizer), next(iter(towers)))
        return [next((name for name in towers if MODALITIES[name].claims(it)), words) for it in request.items]
    unknown = next((modality for modality in said if modality not in towers), None)
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
