"""The forms of sources. A new one is one file beside this one and one entry in ``SOURCES``."""

from __future__ import annotations

from pathlib import PurePosixPath

from deployments.backfill.job import Rows
from deployments.backfill.sources.base import Source
from deployments.backfill.sources.csv_files import CsvSource
from deployments.backfill.sources.folder import FolderSource
from deployments.backfill.sources.jsonl import JsonlSource
from deployments.backfill.sources.lance_dataset import LanceSource
from deployments.backfill.sources.parquet import ParquetSource
from deployments.backfill.sources.postgres import PostgresSource
from deployments.backfill.storage import is_glob, listed
from models.errors import JobError

SOURCES: tuple[type[Source], ...] = (
    PostgresSource,
    LanceSource,
    ParquetSource,
    JsonlSource,
    CsvSource,
    FolderSource,
)
COLUMNS = "--id and --column name the columns with the ids and with what is embedded"


def open_source(rows: Rows) -> Source:
    """The source of a job, by its URI or the endings of its files.

    Raises:
        JobError: there are no files, or of several forms.
    """
    form = next((form for form in SOURCES if form.takes(rows.source)), None)
    if form is None:
        if rows.query:
            raise JobError("--query is for a database: --from postgresql://host/database")
        form = _form_of_files(rows.source)
    if form is FolderSource and is_glob(rows.source):
        raise JobError(f"{rows.source}: name the folder of the pictures itself")
    if form is not FolderSource and not (rows.id and rows.column):
        raise JobError(COLUMNS)
    return form.of(rows)


def _form_of_files(uri: str) -> type[Source]:
    every = frozenset(suffix for form in SOURCES for suffix in form.suffixes)
    found = {PurePosixPath(info.path).suffix.lower() for info in listed(uri, every)}
    forms = [form for form in SOURCES if found & form.suffixes]
    if len(forms) != 1 or found - forms[0].suffixes:
        raise JobError(
            f"{uri} names files of {', '.join(sorted(found))}; a job reads files of one form: Parquet (.parquet), JSON "
            "Lines (.jsonl), CSV (.csv, .tsv), or a folder of pictures"
        )
    return forms[0]
