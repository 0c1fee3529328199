"""Pictures that a column names by URL are fetched by the service's own rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments.backfill.fetch_rules import fetch_rules
from models.errors import ConfigError
from tests.deployments.backfill.conftest import job, rows_in, run
from tests.deployments.backfill.test_sources import picture
from tests.servers.picture_host import PictureHost, Trap, answer

MODEL = "image-embedding@1.1.0"  # in int8, which is opened sooner


@pytest.fixture
def trap() -> Iterator[Trap]:
    found = Trap()
    yield found
    found.close()


@pytest.fixture
def host() -> Iterator[PictureHost]:
    found = PictureHost(None)
    yield found
    found.close()


def rules(tmp_path: Path, host: PictureHost, *networks: str) -> str:
    path = tmp_path / "serve_config.yaml"
    fetch = {"hosts": ["127.0.0.2", "127.0.0.3"], "http": True, "ports": [host.port], "addresses": list(networks)}
    gateway = {"name": "Gateway", "user_config": {"fetch": fetch}}
    path.write_bytes(orjson.dumps({"applications": [{"name": "x"}, {"name": "gateway", "deployments": [gateway]}]}))
    return str(path)


def test_only_what_the_rules_allow_is_fetched_and_the_rest_are_bad_rows(
    host: PictureHost, trap: Trap, tmp_path: Path
) -> None:
    data = picture(1, "PNG")
    host.behaviours |= {"/a.png": answer(data), "/missing.png": answer(b"", 404)}
    urls = [
        f"http://127.0.0.2:{host.port}/a.png",
        f"http://127.0.0.2:{host.port}/missing.png",
        f"http://127.0.0.3:{trap.port}/a.png",  # a port that is not allowed
        f"http://127.0.0.4:{host.port}/a.png",  # a host that is not
        "",
    ]
    pq.write_table(pa.table({"sku": [f"u{i}" for i in range(5)], "url": urls}), tmp_path / "rows.parquet")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "u0.png").write_bytes(data)
    wanted = job(tmp_path / "rows.parquet", tmp_path / "sink", column="url", model=MODEL)
    fetch = fetch_rules(rules(tmp_path, host, "127.0.0.2/32"))
    summary, _ = run(replace(wanted, rows=replace(wanted.rows, fetch=fetch)))
    bad = [orjson.loads(line) for line in Path(summary["bad_file"]).read_bytes().splitlines()]
    assert [(one["id"], one["code"]) for one in bad] == [
        ("u1", "url_not_fetched"),
        ("u2", "url_not_allowed"),
        ("u3", "url_not_allowed"),
        ("u4", "empty_input"),
    ]
    assert trap.connections() == 0
    run(job(tmp_path / "folder", tmp_path / "other", column="", model=MODEL))
    first, second = (np.stack(rows_in(tmp_path / name).column("vector").to_numpy()) for name in ("sink", "other"))
    assert first.tobytes() == second.tobytes()


def test_nothing_is_fetched_without_rules_nor_from_private_addresses(host: PictureHost, tmp_path: Path) -> None:
    host.behaviours["/a.png"] = answer(picture(1, "PNG"))
    url = f"http://127.0.0.2:{host.port}/a.png"
    pq.write_table(pa.table({"sku": ["u"], "url": [url]}), tmp_path / "rows.parquet")
    for name, fetch in (("none", None), ("private", fetch_rules(rules(tmp_path, host)))):
        wanted = job(tmp_path / "rows.parquet", tmp_path / name, column="url", model=MODEL)
        summary, _ = run(replace(wanted, rows=replace(wanted.rows, fetch=fetch)))
        (bad,) = [orjson.loads(line) for line in Path(summary["bad_file"]).read_bytes().splitlines()]
        assert (bad["code"], summary["embedded"]) == ("url_not_allowed", 0), name


def test_a_file_without_rules_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("applications: []")
    with pytest.raises(ConfigError, match="has no `fetch`"):
        fetch_rules(str(tmp_path / "a.yaml"))
    (tmp_path / "a.yaml").write_text("fetch: {hosts: 7}")
    with pytest.raises(ConfigError, match="fetch: hosts"):
        fetch_rules(str(tmp_path / "a.yaml"))
