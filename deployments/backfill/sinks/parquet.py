"""A folder of Parquet files, one for each block."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

import pyarrow as pa
import pyarrow.parquet as pq

from deployments.backfill.sinks.base import COLUMNS, Sink, Stamp
from deployments.backfill.sources.base import Id
from deployments.backfill.storage import Storage
from deployments.backfill.stored_vector import stored_type
from deployments.backfill.uris import below
from models.errors import JobError

FILE = re.compile(r"run-(\d+)-\d+\.parquet")
NOTES = "_backfill"  # readers of Parquet folders pass over names that begin so
PLAIN = [
    "id",
    "model",
    "hash",
    "numerics",
    "input_digest",
]  # columns that a dictionary makes smaller; vectors grow by one


class ParquetSink(Sink):
    """Files ``NAME@VERSION-HASH/run-0001-00000042.parquet``, which appear whole."""

    @property
    def _storage(self) -> Storage:
        return Storage(self.uri)

    @property
    def state(self) -> str:
        """Inside the folder."""
        return below(self.uri, NOTES)

    def last_run(self) -> int:
        """By the names of its files: notes may be gone, or elsewhere."""
        names = (path.rpartition("/")[2] for _, path in self._files(None))
        return max((int(found[1]) for name in names if (found := FILE.fullmatch(name))), default=0)

    def files(self) -> str:
        """A file in a folder for each artifact."""
        return below(below(self.uri, "NAME@VERSION-HASH"), "run-0001-00000000.parquet")

    def begin(self, stamp: Stamp) -> None:
        """Refuse vectors that would stand beside others of another type."""
        wanted = stored_type(stamp.stored_as, stamp.dimensions)
        for filesystem, path in self._files(None):
            try:
                there = pq.read_schema(path, filesystem=filesystem)
            except (pa.ArrowException, OSError) as error:
                raise JobError(f"{path} is in the sink and is no Parquet file of vectors: {error}") from error
            kind = there.field("vector").type if "vector" in there.names else None
            if kind is None or not kind.equals(wanted):
                raise JobError(
                    f"{self.uri} holds vectors of type {kind} and these are {wanted}; one Parquet folder has one type: name "
                    "another sink"
                )
            return

    def write(self, stamp: Stamp, number: int, rows: pa.Table) -> None:
        """Write one file."""
        self._write(stamp, f"run-{stamp.run:04d}-{number:08d}.parquet", rows)

    def end(self, stamp: Stamp) -> None:
        """Write files anew without the rows that a later run replaced: this one, or one that was never ended."""
        by_run: dict[int, list[str]] = {}
        for name in self._folder(stamp).names(".parquet"):
            if found := FILE.fullmatch(name):
                by_run.setdefault(int(found[1]), []).append(name)
        runs = sorted(by_run, reverse=True)
        replaced: set[Id] = set()
        for earlier, run in zip(runs[1:], runs, strict=False):
            for name in by_run[run]:
                replaced.update(self._table(stamp, name, ["id"]).column("id").to_pylist())
            for name in by_run[earlier]:
                self._take_out(stamp, name, replaced)

    def _take_out(self, stamp: Stamp, name: str, replaced: Set[Id]) -> None:
        keep = [one not in replaced for one in self._table(stamp, name, ["id"]).column("id").to_pylist()]
        if not all(keep):
            self._write(stamp, name, self._table(stamp, name, None).filter(pa.array(keep)))

    def read(self, *, vectors: bool = False, hash: str | None = None) -> Iterator[pa.Table]:  # noqa: A002 - as the column is called
        """The rows of each file."""
        wanted = [*COLUMNS, *(["vector"] if vectors else [])]
        for filesystem, path in self._files(hash):
            try:
                with filesystem.open_input_file(path) as file:
                    table = pq.read_table(file, columns=wanted)
            except (pa.ArrowException, OSError) as error:
                raise JobError(f"{path} cannot be read: {str(error).splitlines()[0]}") from error
            yield table if hash is None else table.filter(pa.compute.equal(table.column("hash"), hash))

    def _write(self, stamp: Stamp, name: str, rows: pa.Table) -> None:
        buffer = pa.BufferOutputStream()
        pq.write_table(rows, buffer, use_dictionary=PLAIN, compression="zstd", compression_level=1)
        self._folder(stamp).write(name, memoryview(buffer.getvalue()))

    def _folder(self, stamp: Stamp) -> Storage:
        return self._storage.below(f"{stamp.reference}-{stamp.hash[:12]}")

    def _table(self, stamp: Stamp, name: str, columns: list[str] | None) -> pa.Table:
        filesystem, path = self._folder(stamp).path(name)
        try:
            with filesystem.open_input_file(path) as file:
                return pq.read_table(file, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise JobError(f"{path} cannot be read: {error}") from error

    def _files(self, hash: str | None) -> Iterator[tuple[pa.fs.FileSystem, str]]:  # noqa: A002 - as the column is called
        filesystem, path = self._storage.path("")
        selector = pa.fs.FileSelector(path.rstrip("/"), recursive=True, allow_not_found=True)
        for info in sorted(filesystem.get_file_info(selector), key=lambda one: one.path):
            inside = info.path.removeprefix(path)
            folder = inside.partition("/")[0]
            if not inside.endswith(".parquet") or folder.startswith(("_", ".")) or info.base_name.startswith("."):
                continue
            if hash is None or folder.endswith(hash[:12]):
                yield filesystem, info.path
