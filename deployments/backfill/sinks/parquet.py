"""A folder of Parquet files, one for each block."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from deployments.backfill.sinks.base import COLUMNS, Sink, Stamp
from deployments.backfill.storage import Storage
from deployments.backfill.stored_vector import stored_type
from deployments.backfill.uris import below
from models.errors import JobError

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
        buffer = pa.BufferOutputStream()
        pq.write_table(rows, buffer, use_dictionary=PLAIN, compression="zstd", compression_level=1)
        self._folder(stamp).write(f"run-{stamp.run:04d}-{number:08d}.parquet", memoryview(buffer.getvalue()))

    def end(self, stamp: Stamp) -> None:
        """Write files of earlier runs anew without the rows that this run replaced."""
        prefix = f"run-{stamp.run:04d}-"
        names = self._folder(stamp).names(".parquet")
        mine = [name for name in names if name.startswith(prefix)]
        older = [name for name in names if name < prefix]
        if not older or not mine:
            return
        replaced = {one for name in mine for one in self._table(stamp, name, ["id"]).column("id").to_pylist()}
        for name in older:
            ids = self._table(stamp, name, ["id"]).column("id").to_pylist()
            keep = [one not in replaced for one in ids]
            if all(keep):
                continue
            rest = self._table(stamp, name, None).filter(pa.array(keep))
            run, _, number = name.removeprefix("run-").removesuffix(".parquet").partition("-")
            self.write(Stamp(**{**stamp.__dict__, "run": int(run)}), int(number), rest)

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
