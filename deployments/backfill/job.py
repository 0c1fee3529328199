"""What a backfill was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deployments.config.base import Profile
from deployments.config.fetch import Fetch

StoredType = Literal["float32", "float16", "int8", "binary"]


@dataclass(frozen=True)
class Rows:
    """The rows that are embedded."""

    source: str  # a file, folder or glob, also as a URI such as s3://bucket/products/*.parquet; or a database
    id: str  # the column with their ids; unused for a folder of pictures
    column: str  # the column with texts, or with pictures: bytes, paths, data: URIs, URLs
    query: str = ""  # of a database
    fetch: Fetch | None = None  # which pictures are fetched by URL; None: none
    prompt: str = ""  # the name of the model's prompt that stands before each text; none where it is empty


@dataclass(frozen=True)
class Vectors:
    """The vectors that become of them."""

    reference: str  # `name@version`
    sink: str
    stored_as: StoredType = "float32"
    state: str | None = None  # where the job's own notes are kept; None: beside the sink


@dataclass(frozen=True)
class Machines:
    """Where they are computed."""

    address: str | None = None  # of a Ray cluster; None: a Ray of this command's own
    engines: tuple[int, int] = (1, 1)  # at least and at most
    cpus: int = 1  # of one engine
    gpus: float = 0  # cards of one engine, or a part of one
    preparers: int = 1  # tasks that read and prepare at a time, at most


@dataclass(frozen=True)
class Rules:
    """What is refused."""

    profile: Profile = "development"
    block_rows: int | None = None  # rows of one block; None: what the modality suggests
    max_bad: int | None = None  # rows that may fail; None: any number
    only_changed: bool = False
    expect_live: str | None = None  # URL of a service whose bits these must be
    via_service: str | None = None  # URL of a service that computes them


@dataclass(frozen=True)
class Job:
    """All of it."""

    rows: Rows
    vectors: Vectors
    machines: Machines = Machines()
    rules: Rules = Rules()
