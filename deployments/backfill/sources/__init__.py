"""The forms of sources. A new one is one file beside this one and one entry in ``SOURCES``."""

from __future__ import annotations

from pathlib import PurePosixPath

from deployments.backfill.job import Rows
from deployments.backfill.sources.base import Source
from deployments.backfill.sources.csv_files import CsvSource
from deployments.backfill.sources.folder import FolderSource
from deployments.backfill.sources.jsonl import JsonlSource
from deployments.backfill.sources.parquet import ParquetSource
from deployments.backfill.storage import GLOB, listed
from models.errors import JobError

SOURCES: tuple[type[Source], ...] = (ParquetSource, JsonlSource, CsvSource, FolderSource)


def open_source(rows: Rows) -> Source:
    """The source of a job, by the endings of its files.

    Raises:
        JobError: there are no files, or of several forms.
    """
    every = frozenset(suffix for form in SOURCES for suffix in form.suffixes)
    found = {PurePosixPath(info.path).suffix.lower() for info in listed(rows.source, every)}
    forms = [form for form in SOURCES if found & form.suffixes]
    if len(forms) != 1 or found - forms[0].suffixes:
        raise JobError(
            f"{rows.source} names files of {', '.join(sorted(found))}; a job reads files of one form: Parquet (.parquet), JSON "
            "Lines (.jsonl), CSV (.csv, .tsv), or a folder of pictures"
        )
    if forms[0] is FolderSource and GLOB.search(rows.source):
        raise JobError(f"{rows.source}: name the folder of the pictures itself")
    if forms[0] is not FolderSource and not (rows.id and rows.column):
        raise JobError("--id and --column name the columns with the ids and with what is embedded")
    return forms[0](rows.source, rows.id, rows.column)
