"""The first stage: rows of the source become what the engine takes; what cannot is a bad row with its reason."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import cast

import orjson

from deployments.backfill import block
from deployments.backfill.block import Carried
from deployments.backfill.ledger import BadRow
from deployments.backfill.model import Wanted, preparation
from deployments.backfill.pictures import pictures_of
from deployments.backfill.sources.base import Id, Read, RowFault, Slice, Source
from deployments.config.fetch import Fetch
from deployments.config.limits import Limits
from models.catalog.catalog import Catalog
from models.errors import EmbedserveError, InputError
from models.inputs.prompted import Prompted
from models.modalities.base import Item, Row
from models.modalities.modality import Modality

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
class Checked:
    """The rows of a block that may be embedded, and those that may not."""

    read: Read
    good: list[tuple[int, Item, str]]  # number in the block, input, digest
    bad: list[BadRow]
    kept: int  # rows that are in the sink already


@dataclass(frozen=True)
class Prepare:
    """Reads and prepares; sent to the workers as it is."""

    source: Source
    wanted: Wanted
    fetch: Fetch | None = None
    prompt: str = ""  # of the model, before each text

    def __call__(self, work: Work) -> Iterator[Carried]:
        """The blocks of some slices; when one cannot be read, the last of them says so."""
        number, file = work.slices[0].number, work.slices[0].file
        try:
            for checked in self.checked(work):
                number = checked.read.slice.number
                yield self._prepared(checked)
        except (EmbedserveError, MemoryError) as error:
            yield block.empty(number, file, str(error) or "this machine has not enough memory")

    def checked(self, work: Work) -> Iterator[Checked]:
        """The rows of some slices as they were read, block by block.

        Raises:
            EmbedserveError: they cannot be read.
        """
        modality = modality_of(self.wanted.reference)
        for read in self.source.read(work.slices):
            stored = work.stored.get(read.slice.number)
            pictures = modality.name == "image"
            values = pictures_of(read, self.source.picture_base, self.fetch) if pictures else read.values
            found = Checked(read, [], [], 0)
            kept = 0
            for row, value in enumerate(values):
                try:
                    item = _item(read, row, value, modality)
                    item = Prompted(self.prompt, item) if self.prompt and isinstance(item, str) else item
                except InputError as error:
                    found.bad.append(bad_row(read, row, error))
                    continue
                made_of = digest_of(item)
                if stored is not None and stored[row] == made_of:
                    kept += 1
                else:
                    found.good.append((row, item, made_of))
            yield replace(found, kept=kept)

    def _prepared(self, checked: Checked) -> Carried:
        """The block of what can be prepared; the others are bad rows too."""
        read, bad = checked.read, list(checked.bad)
        rows = preparation(self.wanted)([item for _, item, _ in checked.good]) if checked.good else []
        fit: list[tuple[int, Id, str, Row]] = []
        for (row, _, digest), prepared in zip(checked.good, rows, strict=True):
            one = read.ids[row]
            if isinstance(prepared, InputError):
                bad.append(bad_row(read, row, prepared))
            elif one is not None:
                fit.append((read.slice.first + row, one, digest, prepared))
        columns = [list(column) for column in zip(*fit, strict=True)] or [[], [], [], []]
        table = block.prepared(*columns, strings=self.source.string_ids)
        carried = block.with_bad(block.empty(read.slice.number, read.slice.file), bad)
        return {
            **carried,
            "rows": block.pack(table),
            "dtype": fit[0][3].dtype.str if fit else "",
            "kept": checked.kept,
        }


def _item(read: Read, row: int, value: object, modality: Modality) -> Item:
    """A value as an input.

    Raises:
        InputError: it is none.
    """
    if isinstance(value, InputError):
        raise value
    if isinstance(value, RowFault):
        raise InputError(value.reason, code=value.code)
    if read.ids[row] is None:
        raise InputError("the row has no id", code="missing_id")
    if value is None or value in ("", b""):
        raise InputError("the value is empty", code="empty_input")
    if not isinstance(value, str | bytes):
        raise InputError(f"the value is of type {type(value).__name__}", code="wrong_type")
    checked: Item = modality.check(value, "the value", LIMITS)
    refusal = modality.refusal(checked, LIMITS)
    if refusal is not None:
        raise refusal
    return checked


@cache
def modality_of(reference: str) -> Modality:
    """The modality of a version."""
    return Catalog.load().find(reference).modality


def digest_of(item: Item) -> str:
    """What changes when an input does, or the name of its prompt."""
    if isinstance(item, Prompted):
        item = f"{item.prompt}\0{item.content}"
    data = item.encode("utf-8", "surrogatepass") if isinstance(item, str) else cast(bytes, item)
    digest = hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()
    return base64.b16encode(digest).decode().lower()


def bad_row(read: Read, row: int, error: InputError) -> BadRow:
    """A row that has no vector."""
    return BadRow(
        id=read.ids[row], file=read.slice.file, row=read.slice.first + row, code=error.code, reason=str(error)
    )
