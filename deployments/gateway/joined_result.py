"""The results of several towers as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from deployments.contract.embedding import Label
from deployments.gateway.embed_request import CacheState, EmbedResult
from deployments.observability.request_record import RECORD


def joined(
    results: Mapping[str, EmbedResult], places: Mapping[str, Sequence[int]], order: Sequence[str]
) -> EmbedResult:
    """One result with the vectors in the order of the request, and a label that names every tower.

    Args:
        results: of each tower, by modality.
        places: where in the request its items stand, by modality.
        order: the modalities, the leading tower's first.
    """
    count = sum(len(part) for part in places.values())
    vectors = np.empty((count, results[order[0]].vectors.shape[1]), np.float32)
    labels: list[Label] = [results[order[0]].label] * count
    for modality, one in results.items():
        vectors[list(places[modality])] = one.vectors
        for place in places[modality]:
            labels[place] = one.label
    found = [results[modality] for modality in order]
    caches = {one.cache for one in found}
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
    result = EmbedResult(label, vectors, tokens, cache, cut, behind, labels)
    _note(found[0], result)
    return result


def _note(lead: EmbedResult, joined: EmbedResult) -> None:
    """The request's record counts it for the leading tower, with what all of them did."""
    record = RECORD.get()
    if record is None:
        return
    record.model, _, record.version = lead.label.model.partition("@")
    record.items, record.tokens, record.cache = len(joined.vectors), joined.tokens, joined.cache
    record.hash, record.numerics = joined.label.hash, joined.label.numerics
