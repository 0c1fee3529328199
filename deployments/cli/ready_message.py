"""What `up` says once the service is ready: a panel for people, a file for programs."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from rich.panel import Panel

from models.errors import ConfigError
from models.files import write_whole


def ready_panel(
    url: str,
    served: list[tuple[str, str, int, str]],
    footer: str,
    *,
    asks_for_keys: bool,
    grpc: str | None = None,
) -> Panel:
    """The versions served, a request to copy, and where to look further.

    Args:
        url: of the service.
        served: reference, name, dimensions and content hash of each version; no hash of one that loads when it is asked.
        footer: the last line.
        asks_for_keys: whether the request needs an API key.
        grpc: host and port for gRPC; None where it is off.
    """
    lines = "\n".join(
        f"  {reference:24} {name}, {dimensions}-d, {hash_[:12] or 'loads when it is first asked'}"
        for reference, name, dimensions, hash_ in served
    )
    key = '  -H "authorization: Bearer $EMBEDSERVE_API_KEY" \\\n' if asks_for_keys else ""
    curl = (
        f"curl {url}/v1/embeddings \\\n{key}  -H 'content-type: application/json' \\\n"
        '  -d \'{"model": "text-embedding", "input": "hello world"}\''
    )
    calls = f"gRPC: {grpc} (Open Inference Protocol)\n" if grpc else ""
    return Panel(
        f"{lines}\n\n{curl}\n\nConsole: {url}/console\nAPI: {url}/docs\n{calls}{footer}",
        title=f"embedserve is ready on {url}",
        expand=False,
    )


def grpc_address(url: str, port: int | None) -> str | None:
    """Host and port for gRPC of the service at ``url``; None where no port is open for it."""
    host = urlsplit(url).hostname or ""
    return None if port is None else f"{f'[{host}]' if ':' in host else host}:{port}"


def write_ready_file(path: Path | None, url: str, dashboard: str, grpc: str | None = None) -> None:
    """Write where the service and Ray's dashboard are, as JSON, and where gRPC is if it is on; nothing without a path.

    Raises:
        ConfigError: it cannot be written.
    """
    if path is None:
        return
    try:
        places = {"url": url, "dashboard": dashboard, **({"grpc": grpc} if grpc else {})}
        write_whole(path, json.dumps(places).encode())
    except OSError as error:
        raise ConfigError(f"cannot write --ready-file {path}: {error.strerror}") from error
