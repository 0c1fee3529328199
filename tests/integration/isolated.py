"""A service of a test's own: its configuration changed, its files and logs in one folder, its ports known."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree

import httpx2
import yaml

from tests.integration.documents import Document, shipped
from tests.integration.service import QUICK, Service

LOOPBACK = "0100007F"  # as /proc/net/tcp writes 127.0.0.1


@dataclass
class Isolated:
    """A running service."""

    service: Service
    folder: Path
    document: Document  # the configuration that it started with

    def client(self, key: str | None = None, port: int | None = None) -> httpx2.Client:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        url = f"http://127.0.0.1:{port or self.service.port}"
        return httpx2.Client(base_url=url, headers=headers, timeout=30, trust_env=False)

    def logs(self) -> str:
        """Everything that Ray, Serve, HAProxy and the command wrote."""
        files = [Path(folder) / name for folder, _, names in os.walk(self.folder) for name in names]
        kept = [path for path in files if path.suffix in (".log", ".out", ".err", ".txt") or path.name == "log"]
        return "\n".join(path.read_text(errors="replace") for path in kept)

    def ports(self) -> dict[int, bool]:
        """The TCP ports that its processes listen on, and whether on loopback alone.

        Each process has the folder in its environment.
        """
        mark = f"TMPDIR={self.folder}/".encode()
        inodes = set()
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if any(entry.startswith(mark) for entry in (process / "environ").read_bytes().split(b"\0")):
                    inodes |= {os.readlink(link) for link in (process / "fd").iterdir()}
        tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
        rows = [line.split() for table in tables for line in table]
        ours = [row[1].split(":") for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]
        return {int(port, 16): host == LOOPBACK for host, port in sorted(ours)}


@contextlib.contextmanager
def isolated(
    *arguments: str,
    change: Callable[[Document], None] = lambda _: None,
    prepare: Callable[[Path], dict[str, str]] = lambda _: {},
) -> Iterator[Isolated]:
    """Run a service.

    Args:
        arguments: of `embedserve up`.
        change: changes the shipped configuration.
        prepare: writes files into the folder and returns variables of the environment.
    """
    folder = Path(tempfile.mkdtemp(prefix="o-", dir="/tmp"))  # short: sockets lie inside
    document = shipped()
    change(document)
    (folder / "serve_config.yaml").write_text(yaml.safe_dump(document))
    # A buffer of one line, so that the logs hold whatever was logged.
    own = {"TMPDIR": str(folder), "RAY_SERVE_REQUEST_PATH_LOG_BUFFER_SIZE": "1"}
    service = Service(
        folder / "log",
        *("--config", str(folder / "serve_config.yaml"), *arguments),
        environment={**QUICK, **own, **prepare(folder)},
    )
    try:
        yield Isolated(service.wait(), folder, document)
    finally:
        assert service.stop() == 0, service.log.read_text()
        rmtree(folder)
