"""What `up` says once the service is ready: a panel for people, a file for programs."""

from __future__ import annotations

import json
from pathlib import Path

from rich.panel import Panel

from models.errors import ConfigError
from models.files import write_whole


def ready_panel(url: str, served: list[tuple[str, str, int, str]], footer: str, *, asks_for_keys: bool) -> Panel:
    """The versions served, a request to copy, and where to look further.

    Args:
        url: of the service.
        served: reference, name, dimensions and content hash of each version; no hash of one that loads when it is asked.
        footer: the last line.
        asks_for_keys: whether the request needs an API key.
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
    return Panel(
        f"{lines}\n\n{curl}\n\nConsole: {url}/console\nAPI: {url}/docs\n{footer}",
        title=f"embedserve is ready on {url}",
        expand=False,
    )


def write_ready_file(path: Path | None, url: str, dashboard: str) -> None:
    """Write where the service and Ray's dashboard are, as JSON; nothing without a path.

    Raises:
        ConfigError: it cannot be written.
    """
    if path is None:
        return
    try:
        write_whole(path, json.dumps({"url": url, "dashboard": dashboard}).encode())
    except OSError as error:
        raise ConfigError(f"cannot write --ready-file {path}: {error.strerror}") from error
