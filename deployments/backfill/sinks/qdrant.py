"""A collection of Qdrant: of a server, or of the client's local mode."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
from filelock import FileLock

from deployments.backfill.extras import needed
from deployments.backfill.job import StoredType
from deployments.backfill.private_state import private_state
from deployments.backfill.sinks.base import COLUMNS, Sink, Stamp
from deployments.backfill.stored_vector import stored_type
from models.errors import EmbedserveError, JobError
from models.redaction import redacted

SCHEMES = ("qdrant+http", "qdrant+https")
LOCAL = "qdrant:"
NAMESPACE = uuid.UUID("5f0c2a0e-6f3b-4a57-9d0e-0c9b6a3f5a11")  # points are known by UUIDs made of id, model and hash
KEY_VARIABLE = "QDRANT_API_KEY"  # and no part of the URI: every user of the machine can read command lines
KEPT: tuple[StoredType, ...] = ("float32", "float16")
READ_ROWS = 1024
VALUES = 400_000  # of the vectors of one request or answer: 8 MB of JSON; servers take 32 MB
TIMEOUT_S = 60
LOCK_S = 60  # another block of the same job is being written


class QdrantSink(Sink):
    """``qdrant+http://host:6333/COLLECTION``, or ``qdrant:FOLDER/COLLECTION`` for the client's local mode."""

    writers: ClassVar[int] = 1  # the local mode opens its folder for one process at a time

    def __init__(self, uri: str) -> None:
        """Name the place and the collection."""
        super().__init__(uri)
        place, _, self._collection = uri.rstrip("/").rpartition("/")
        self._folder = None if uri.startswith(SCHEMES) else str(Path(place.removeprefix(LOCAL)).expanduser().absolute())
        self._url = place.removeprefix("qdrant+")
        if not self._collection or not (self._folder or urlsplit(self._url).hostname) or place == LOCAL:
            raise JobError(
                f"{redacted(uri)} names no collection: qdrant+http://HOST:6333/COLLECTION, or qdrant:FOLDER/COLLECTION"
            )
        self.uri = uri if self._folder is None else f"{LOCAL}{self._folder}/{self._collection}"

    @classmethod
    def takes(cls, uri: str) -> bool:
        """Whether its scheme says so."""
        return uri.startswith((*(f"{scheme}://" for scheme in SCHEMES), LOCAL))

    @property
    def state(self) -> str:
        """Beside the local folder, or a folder of this user."""
        if self._folder is not None:
            return f"{self._folder}-backfill/{self._collection}"
        return private_state(f"{self._url.rpartition('@')[2]}/{self._collection}")

    def require(self, stored_as: StoredType) -> None:
        """Those that it gives back as they were."""
        if stored_as not in KEPT:
            raise JobError(f"Qdrant stores no {stored_as} as it is; --store-as may be {', '.join(KEPT)} there")

    def begin(self, stamp: Stamp) -> None:
        """Make the collection; refuse one of other vectors."""
        self.require(stamp.stored_as)
        with self._client() as (client, models):
            kinds = {"float32": models.Datatype.FLOAT32, "float16": models.Datatype.FLOAT16}
            # By dot product, which for vectors of length 1 is the cosine: for Distance.COSINE Qdrant would scale them anew.
            wanted = models.VectorParams(
                size=stamp.dimensions, distance=models.Distance.DOT, datatype=kinds[stamp.stored_as]
            )
            if not client.collection_exists(self._collection):
                client.create_collection(self._collection, vectors_config=wanted)
                if self._folder is None:
                    client.create_payload_index(self._collection, "hash", models.PayloadSchemaType.KEYWORD)
                return
            there = client.get_collection(self._collection).config.params.vectors
            found = (there.size, there.datatype or kinds["float32"]) if isinstance(there, models.VectorParams) else None
            if found != (wanted.size, wanted.datatype):
                raise JobError(f"collection {self._collection} holds other vectors ({found}): name another one")

    def write(self, stamp: Stamp, number: int, rows: pa.Table) -> None:  # noqa: ARG002 - rows are known by their keys
        """Upsert a block; ended in its middle, it is written again."""
        columns = {name: rows.column(name).to_pylist() for name in COLUMNS}
        columns["time"] = [one.isoformat() for one in columns["time"]]
        values = rows.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False)
        vectors = values.reshape(rows.num_rows, -1).astype(np.float32).tolist()
        payloads = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        with self._client() as (client, models):
            points = [
                models.PointStruct(id=_point(payload), vector=vector, payload=payload)
                for payload, vector in zip(payloads, vectors, strict=True)
            ]
            most = _points_at_once(stamp.dimensions)
            for start in range(0, len(points), most):
                client.upsert(self._collection, points[start : start + most], wait=True)

    def count(self, hash: str) -> int:  # noqa: A002 - as the column is called
        """Count on the server."""
        with self._client() as (client, models):
            if not client.collection_exists(self._collection):
                return 0
            return int(client.count(self._collection, _where(models, hash), exact=True).count)

    def read(self, *, vectors: bool = False, hash: str | None = None) -> Iterator[pa.Table]:  # noqa: A002 - as the column is called
        """The points, some thousand at a time."""
        with self._client() as (client, models):
            if not client.collection_exists(self._collection):
                return
            params = client.get_collection(self._collection).config.params.vectors
            half = params.datatype == models.Datatype.FLOAT16
            limit = _points_at_once(params.size)
            after = None
            while True:
                points, after = client.scroll(
                    self._collection, _where(models, hash), limit=limit, offset=after, with_vectors=vectors
                )
                if points:
                    yield _table(points, vectors=vectors, half=half)
                if after is None:
                    return

    @contextmanager
    def _client(self) -> Iterator[tuple[Any, Any]]:
        library = needed("qdrant_client", "qdrant", "qdrant")
        lock = None
        try:
            if self._folder is not None:
                Path(self._folder).parent.mkdir(parents=True, exist_ok=True)
                lock = FileLock(f"{self._folder}.lock", timeout=LOCK_S)
                lock.acquire()
                client = library.QdrantClient(path=self._folder)
            else:
                key = os.environ.get(KEY_VARIABLE)
                client = library.QdrantClient(url=self._url, api_key=key, timeout=TIMEOUT_S, check_compatibility=False)
            try:
                yield client, library.models
            finally:
                client.close()
        except EmbedserveError:
            raise
        except Exception as error:  # its exceptions have no common base; httpx's and pydantic's pass too
            said = redacted(str(error).strip() or type(error).__name__).splitlines()[0]
            raise JobError(f"Qdrant at {redacted(self.uri)}: {said}") from error
        finally:
            if lock is not None:
                lock.release()


def _points_at_once(dimensions: int) -> int:
    return max(1, min(READ_ROWS, VALUES // dimensions))


def _point(payload: dict[str, Any]) -> str:
    """The UUID of a point: the same for the same id, model and hash."""
    one = payload["id"]
    return str(uuid.uuid5(NAMESPACE, f"{type(one).__name__}\n{one}\n{payload['model']}\n{payload['hash']}"))


def _where(models: Any, hash: str | None) -> Any:  # noqa: A002 - as the column is called
    if hash is None:
        return None
    return models.Filter(must=[models.FieldCondition(key="hash", match=models.MatchValue(value=hash))])


def _table(points: list[Any], *, vectors: bool, half: bool) -> pa.Table:
    """Points as other sinks give their rows; what somebody else put there has no labels."""
    payloads = [point.payload or {} for point in points]
    kinds = {name: None if name == "id" else pa.string() for name in COLUMNS}
    found = {
        name: pa.array([payload.get(name) for payload in payloads], kind)
        for name, kind in kinds.items()
        if name != "time"
    }
    times = pa.array([payload.get("time") for payload in payloads], pa.string())
    found["time"] = times.cast(pa.timestamp("us", "UTC"))
    if vectors:
        values = np.array([point.vector for point in points], np.float16 if half else np.float32)
        kind = stored_type("float16" if half else "float32", values.shape[1])
        flat = pa.array(values.reshape(-1), kind.value_type)
        found["vector"] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    return pa.table(found)
