"""Every form of source gives the same rows, wherever it is cut."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from deployments.backfill.job import Rows
from deployments.backfill.sources import open_source
from deployments.backfill.sources.base import RowFault
from models.errors import JobError
from tests.deployments.backfill.conftest import job, rows_in, run

STRANGE = [
    "plain",
    'with "quotes"',
    "two\nlines",
    'five" pipe',
    "comma, too",
    "größe – 防水",
    " spaces ",
    "\ttab",
    "cr\r\nlf",
    '"',
]


def strange(count: int) -> list[str]:
    generator = random.Random(7)
    return [" ".join(generator.choices(STRANGE, k=generator.randint(1, 4))) for _ in range(count)]


def write(path: Path, texts: list[str]) -> Path:
    ids = [f"{i:03d}" for i in range(len(texts))]
    if path.suffix == ".parquet":
        pq.write_table(pa.table({"sku": ids, "title": texts}), path, row_group_size=5)
    elif path.suffix == ".jsonl":
        path.write_bytes(
            b"".join(orjson.dumps({"title": t, "x": 1, "sku": i}) + b"\n" for i, t in zip(ids, texts, strict=True))
        )
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writerow(["x", "title", "sku"])
            writer.writerows(["1", t, i] for i, t in zip(ids, texts, strict=True))
    return path


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv", "tsv"])
@pytest.mark.parametrize("rows", [1, 3, 7, 100])
def test_slices_hold_every_row_once_and_in_order(tmp_path: Path, form: str, rows: int) -> None:
    texts = strange(43)
    source = open_source(Rows(str(write(tmp_path / f"a.{form}", texts)), "sku", "title"))
    planned = list(source.plan(rows, pictures=False))
    assert [one for piece in planned for one in piece.ids] == [f"{i:03d}" for i in range(43)]
    slices = [piece.slice for piece in planned]
    assert [piece.number for piece in slices] == list(range(len(slices)))
    for group in (slices, slices[1::2]):
        found = [(read.ids, read.values) for read in source.read(group)] if group else []
        assert found == [
            ([f"{i:03d}" for i in range(p.first, p.first + p.rows)], texts[p.first : p.first + p.rows]) for p in group
        ]


def test_a_glob_and_a_folder_name_all_their_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for i, name in enumerate(("b.parquet", "a.parquet", "deep/c.parquet", "_not.parquet", ".nor.parquet")):
        pq.write_table(pa.table({"sku": [i], "title": [name]}), tmp_path / "in" / name)
    for uri, names in (
        ("in", ["a", "b", "deep/c"]),
        ("in/*.parquet", ["a", "b"]),
        ("in/**/*.parquet", ["a", "b", "deep/c"]),
        ("in/[b]*", ["b"]),
        ("in/deep/../b.parquet", ["b"]),
    ):
        source = open_source(Rows(f"{tmp_path}/{uri}", "sku", "title"))
        assert [Path(f).name for f in source.fingerprint()] == [f"{Path(name).name}.parquet" for name in names], uri
    source = open_source(Rows((tmp_path / "in").as_uri(), "sku", "title"))
    assert sum(piece.slice.rows for piece in source.plan(10, pictures=False)) == 3
    with pytest.raises(JobError, match="no file matches"):
        open_source(Rows(f"{tmp_path}/in/*.csv", "sku", "title"))


def test_files_of_two_forms_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", ["x"])
    write(tmp_path / "b.jsonl", ["x"])
    with pytest.raises(JobError, match=r"files of \.csv, \.jsonl; a job reads files of one form"):
        open_source(Rows(str(tmp_path), "sku", "title"))


def test_a_line_that_is_no_json_is_one_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(
        b'\xef\xbb\xbf{"sku":"a","title":"one"}\n\n{"sku":"b","tit\n[1]\n{"sku":"c"}\n{"sku":"d","title":"four"}'
    )
    source = open_source(Rows(str(path), "sku", "title"))
    slices = [piece.slice for piece in source.plan(2, pictures=False)]
    found = [value for read in source.read(slices) for value in read.values]
    assert [one.code if isinstance(one, RowFault) else one for one in found] == [
        "one",
        "invalid_json",
        "invalid_json",
        "missing_column",
        "four",
    ]


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.jsonl", b'{"sku":"a","name":"x"}\n', "none of its records has 'title'"),
        ("a.jsonl", b'{"sku":1,"title":"x"}\n{"sku":"b","title":"y"}\n', "both strings and integers"),
        ("a.jsonl", b'{"sku":"a","title":7}\n', "column 'title' holds int, and texts are needed"),
        ("a.csv", b"sku,name\na,x\n", "no column 'title'; it has: sku, name"),
        ("a.csv", b"", "no column 'sku'"),
        ("a.csv", "größe,sku,title\n".encode("latin-1"), "no text in UTF-8"),
    ],
)
def test_a_file_without_the_columns_is_refused(tmp_path: Path, name: str, data: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(JobError, match=says):
        list(open_source(Rows(str(tmp_path / name), "sku", "title")).plan(2, pictures=False))


def test_a_record_in_another_encoding_is_one_bad_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"sku,title\na,one\nb,gr\xf6\xdfe\nc,three\n")
    source = open_source(Rows(str(tmp_path / "a.csv"), "sku", "title"))
    (read,) = source.read([piece.slice for piece in source.plan(10, pictures=False)])
    assert read.ids == ["a", "b", "c"]
    assert [one.code if isinstance(one, RowFault) else one for one in read.values] == ["one", "invalid_utf8", "three"]


def picture(seed: int, form: str) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (40, 60, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def test_pictures_have_the_same_bits_from_a_folder_from_bytes_and_from_paths(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    files = {"a.png": picture(1, "PNG"), "deep/b.jpg": picture(2, "JPEG"), "torn.png": picture(3, "PNG")[:50]}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    rows = {"sku": list(files), "bytes": list(files.values()), "path": [f"pictures/{name}" for name in files]}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    model = "image-embedding@1.1.0"  # in int8, which is opened sooner
    summaries = [
        run(job(folder, tmp_path / "1", column="", model=model))[0],
        run(job(tmp_path / "rows.parquet", tmp_path / "2", column="bytes", model=model))[0],
        run(job(tmp_path / "rows.parquet", tmp_path / "3", column="path", model=model))[0],
    ]
    assert [(one["embedded"], one["bad"]) for one in summaries] == [(2, 1)] * 3
    tables = [rows_in(tmp_path / name) for name in "123"]
    assert [table.column("id").to_pylist() for table in tables] == [["a.png", "deep/b.jpg"]] * 3
    first, *others = [table.column("vector").combine_chunks().flatten().to_numpy().tobytes() for table in tables]
    assert others == [first, first]


def test_a_file_too_large_for_a_picture_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(1 << 40)
    source = open_source(Rows(str(tmp_path), "", ""))
    (read,) = source.read([piece.slice for piece in source.plan(8, pictures=True)])
    (fault,) = read.values
    assert isinstance(fault, RowFault)
    assert (fault.code, str(1 << 40) in fault.reason) == ("too_large", True)


def test_pictures_in_parquet_are_read_a_block_at_a_time(tmp_path: Path) -> None:
    """Of a row group with many blocks, no more is held than its column and some blocks."""
    pictures = [np.random.default_rng(i).bytes(100_000) for i in range(240)]
    place = tmp_path / "pictures.parquet"
    pq.write_table(pa.table({"sku": list(range(240)), "data": pictures}), place, compression="none", write_batch_size=4)
    source = open_source(Rows(str(place), "sku", "data"))
    slices = [piece.slice for piece in source.plan(4, pictures=True)]
    pool, usual = pa.proxy_memory_pool(pa.default_memory_pool()), pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        assert sum(len(read.values) for read in source.read(slices[:8])) == 32
    finally:
        pa.set_memory_pool(usual)
    assert pool.max_memory() < 1.5 * place.stat().st_size
