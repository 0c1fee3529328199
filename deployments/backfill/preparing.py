"""The first stage: rows of the source become what the engine takes; what cannot is a bad row with its reason."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache

import orjson

from deployments.backfill import block
from deployments.backfill.block import Carried
from deployments.backfill.ledger import BadRow
from deployments.backfill.model import Wanted, preparation
from deployments.backfill.pictures import picture_bytes
from deployments.backfill.sources.base import Id, Read, RowFault, Slice, Source
from deployments.config.limits import Limits
from models.catalog.catalog import Catalog
from models.errors import EmbedserveError, InputError
from models.modalities.base import Item, Modality, Row

LIMITS = Limits()  # the service's own, so that both refuse the same
DIGEST_BYTES = 16


@dataclass(frozen=True)
class Work:
    """Some slices of one file, and for rows that are in the sink already what was embedded then."""

    slices: list[Slice]
    stored: dict[int, list[str]] = field(default_factory=dict)  # by a slice's number, the digest of each row or ""

    def to_json(self) -> bytes:
        """As it travels to a worker."""
        return orjson.dumps(self, option=orjson.OPT_NON_STR_KEYS)

    @classmethod
    def from_json(cls, data: bytes) -> Work:
        """What ``to_json`` was called on."""
        document = orjson.loads(data)
        slices = [Slice(**piece) for piece in document["slices"]]
        return cls(slices, {int(number): digests for number, digests in document["stored"].items()})


@dataclass(frozen=True)
class Prepare:
    """Reads and prepares; sent to the workers as it is."""

    source: Source
    wanted: Wanted

    def __call__(self, work: Work) -> Iterator[Carried]:
        """The blocks of some slices; when one cannot be read, the last of them says so."""
        number, file = work.slices[0].number, work.slices[0].file
        try:
            for read in self.source.read(work.slices):
                number = read.slice.number
                yield self._block(read, work.stored.get(number))
        except (EmbedserveError, MemoryError) as error:
            yield block.empty(number, file, str(error) or "this machine has not enough memory")

    def _block(self, read: Read, stored: list[str] | None) -> Carried:
        modality, kept = modality_of(self.wanted.reference), 0
        good: list[tuple[int, Item, str]] = []
        bad: list[BadRow] = []
        for row, value in enumerate(read.values):
            try:
                item = self._item(read, row, value, modality)
            except InputError as error:
                bad.append(_bad(read, row, error))
                continue
            made_of = digest_of(item)
            if stored is not None and stored[row] == made_of:
                kept += 1
            else:
                good.append((row, item, made_of))
        carried = self._prepared(read, good, bad)
        return {**block.with_bad(carried, bad), "kept": kept}

    def _item(self, read: Read, row: int, value: object, modality: Modality) -> Item:
        if isinstance(value, RowFault):
            raise InputError(value.reason, code=value.code)
        if read.ids[row] is None:
            raise InputError("the row has no id", code="missing_id")
        item = picture_bytes(value, read.slice.file, self.source.uri) if modality.name == "image" else value
        if item is None or item in ("", b""):
            raise InputError("the value is empty", code="empty_input")
        if not isinstance(item, str | bytes):
            raise InputError(f"the value is of type {type(item).__name__}", code="wrong_type")
        checked: Item = modality.check(item, "the value", LIMITS)
        refusal = modality.refusal(checked, LIMITS)
        if refusal is not None:
            raise refusal
        return checked

    def _prepared(self, read: Read, good: Sequence[tuple[int, Item, str]], bad: list[BadRow]) -> Carried:
        """The block of what can be prepared; the others join ``bad``."""
        rows = preparation(self.wanted)([item for _, item, _ in good]) if good else []
        kept: list[tuple[int, Id, str, Row]] = []
        for (row, _, digest), prepared in zip(good, rows, strict=True):
            one = read.ids[row]
            if isinstance(prepared, InputError):
                bad.append(_bad(read, row, prepared))
            elif one is not None:
                kept.append((read.slice.first + row, one, digest, prepared))
        columns = [list(column) for column in zip(*kept, strict=True)] or [[], [], [], []]
        table = block.prepared(*columns, strings=self.source.string_ids)
        carried = block.empty(read.slice.number, read.slice.file)
        return {**carried, "rows": block.pack(table), "dtype": kept[0][3].dtype.str if kept else ""}


@cache
def modality_of(reference: str) -> Modality:
    """The modality of a version."""
    return Catalog.load().find(reference).modality


def digest_of(item: Item) -> str:
    """What changes when an input does."""
    data = item.encode("utf-8", "surrogatepass") if isinstance(item, str) else bytes(item)
    digest = hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
    return base64.b16encode(digest).decode().lower()


def _bad(read: Read, row: int, error: InputError) -> BadRow:
    return BadRow(
        id=read.ids[row], file=read.slice.file, row=read.slice.first + row, code=error.code, reason=str(error)
    )
