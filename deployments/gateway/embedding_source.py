"""Where vectors come from: the cache, another request that computes the same input right now, or the version's queue."""

from __future__ import annotations

from dataclasses import dataclass, field

from deployments.config.limits import Limits
from deployments.contract.embedding import Embedding, Label, Outcome
from deployments.contract.items import Item, ItemError
from deployments.contract.model_info import ModelInfo
from deployments.gateway.cache.key import cache_key
from deployments.gateway.cache.tiered import TieredCache
from deployments.gateway.flight import Flight
from deployments.gateway.input_validation import refusal
from deployments.gateway.model_version import ModelVersion
from deployments.gateway.turns import Turns, portions
from deployments.observability.logging import logger
from deployments.observability.request_record import RECORD, Record
from deployments.rpc.connection import ArtifactGoneError
from models.errors import InputError, LimitError, UnavailableError
from models.inputs.prompted import Prompted

WORK = 1_000_000  # nanoseconds of hashing in one go
LABEL_ROUNDS = 4  # how often a list may be torn by swaps before it is given up


class EmbeddingSource:
    """Finds vectors or has them computed, and keeps in the cache what was computed."""

    def __init__(self, cache: TieredCache, turns: Turns) -> None:
        """Use a cache; long lists are looked up by ``turns``."""
        self._cache = cache
        self._turns = turns

    async def find(
        self, version: ModelVersion, info: ModelInfo, items: list[Item], limits: Limits, *, param: str, bulk: bool
    ) -> tuple[list[Embedding], int]:
        """Embed items by one artifact; where no replica has it any more, all of them by the one that there is.

        Args:
            version: that answers.
            info: what is known of its artifact; a reply may name a newer one.
            items: checked ones, at least one.
            limits: that pictures must keep which have to be computed.
            param: the request's field that errors name.
            bulk: whether nobody waits for the answer.

        Returns:
            An embedding for each item, all with the same hash and, unless the version may mix them, of the same numerics
            class; and how many of them the cache held.

        Raises:
            InputError: an item cannot be embedded; the message names its index.
            UnavailableError: no capacity, no ready replica, or one swap after the other.
        """
        label = info.label
        for _ in range(LABEL_ROUNDS):
            found: dict[bytes, Outcome] = {}
            missing: dict[bytes, Item] = {}
            keys = await self._look_up(label.identity, items, found, missing)
            if not missing:
                return _embeddings(found, keys, param), len(items)
            record = RECORD.get()
            search = _Search(self._cache, version, label, info.dimensions, limits, bulk, record, missing, info.mixed)
            try:
                # Users' requests must not come to wait for bulk.
                found.update(await version.flights.results(missing, search.compute, joinable=not bulk))
            except ArtifactGoneError as gone:
                label = gone.label
                continue
            embeddings = _embeddings(found, keys, param)
            # Encoders of an earlier release do not heed which artifact a call names.
            labels = {id(one.label): one.label for one in embeddings}.values()  # those of one reply are one object
            if len({_named(label, mixed=info.mixed) for label in labels}) == 1:
                return embeddings, sum(key not in missing or key in search.shared for key in keys)
            label = next(one.label for one in reversed(embeddings) if one.label.identity != label.identity)
        raise UnavailableError(f"{version.reference} is being swapped; try again")

    async def _look_up(
        self, identity: str, items: list[Item], found: dict[bytes, Outcome], missing: dict[bytes, Item]
    ) -> list[bytes]:
        """The keys of items; what memory holds of them goes into ``found``, the rest into ``missing``."""
        parts = list(portions(map(_work, items), WORK))
        if len(parts) == 1:
            return self._look_up_part(identity, items, found, missing)
        keys: list[bytes] = []
        for part in parts:
            await self._turns.turn()
            keys += self._look_up_part(identity, items[part], found, missing)
        return keys

    def _look_up_part(
        self, identity: str, items: list[Item], found: dict[bytes, Outcome], missing: dict[bytes, Item]
    ) -> list[bytes]:
        keys = [cache_key(identity, item) for item in items]
        for key, item in zip(keys, items, strict=True):
            embedding = self._cache.get(key)
            if embedding is None:
                missing[key] = item
            else:
                found[key] = embedding
        return keys


@dataclass(slots=True)
class _Search:
    """The search for the vectors of one request under one artifact."""

    cache: TieredCache
    version: ModelVersion
    label: Label
    dimensions: int
    limits: Limits
    bulk: bool
    record: Record | None
    missing: dict[bytes, Item]  # what memory lacks, by cache key
    mixed: bool = False
    shared: set[bytes] = field(default_factory=set)  # keys that the shared cache held
    computed_by: Label | None = None  # as the last reply said
    same: bool = True  # whether that is what was asked for

    async def compute(self, flights: list[Flight[Outcome]]) -> None:
        """Take vectors from the shared cache and queue the rest, unless one of them is refused."""
        labels = (self.version.model, self.version.version)
        shared = await self.cache.fetch(labels, [flight.key for flight in flights], self.label, self.dimensions)
        self.shared.update(shared)
        for flight in flights if shared else ():
            if (embedding := shared.get(flight.key)) is not None:
                self.version.flights.land(flight, embedding)
        rest = [flight for flight in flights if flight.waiting]
        refused = False
        for flight in rest:
            error = refusal(self.missing[flight.key], self.version.modality, self.limits)
            if error is not None:
                refused = True
                self.version.flights.land(flight, error)
        if rest and not refused:
            items = [self.missing[flight.key] for flight in rest]
            wanted = _named(self.label, mixed=self.mixed)
            self.version.queue.enqueue(items, rest, self.arrived, hash_=wanted, bulk=self.bulk, record=self.record)

    def arrived(self, flight: Flight[Outcome], outcome: Outcome | Exception) -> None:
        """Keep what was computed, whoever still waits for it."""
        if isinstance(outcome, Embedding) and not outcome.label.batch_dependent:
            if outcome.label is not self.computed_by:  # those of one reply are one object
                self.computed_by = outcome.label
                self.same = outcome.label == self.label or outcome.label.identity == self.label.identity
            key = flight.key if self.same else cache_key(outcome.label.identity, self.missing[flight.key])
            try:
                self.cache.put(key, outcome)
            except Exception:  # whatever a cache does, the others in the call must get their vectors
                logger.exception("a vector could not be cached")
        self.version.flights.land(flight, outcome)


def _work(item: Item) -> int:
    """About how many nanoseconds it takes to hash an item: 100 a token id, 1 a character, 1/4 a byte of a picture."""
    if isinstance(item, Prompted):
        return _work(item.content)
    if isinstance(item, tuple):
        return 100 * len(item)
    return len(item) if isinstance(item, str) else len(item) // 4


def _named(label: Label, *, mixed: bool) -> str:
    """What a call must name to be computed by what a label stands for."""
    return label.hash if mixed else label.identity


def _embeddings(found: dict[bytes, Outcome], keys: list[bytes], param: str) -> list[Embedding]:
    """The embeddings of all keys, or the first key's error; keys without an outcome stand beside one with an error."""
    embeddings = []
    for index, key in enumerate(keys):
        outcome = found.get(key)
        if isinstance(outcome, Embedding):
            embeddings.append(outcome)
        elif outcome is not None:
            raise _item_error(index, outcome, len(keys), param)
    return embeddings


def _item_error(index: int, error: ItemError, count: int, param: str) -> InputError:
    where = f"{param}[{index}]" if count > 1 else param
    error_class = LimitError if error.limit else InputError
    return error_class(f"{where}: {error.message}", param=where, code=error.code)
