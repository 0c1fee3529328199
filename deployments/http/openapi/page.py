"""``/docs``: the document as a page that needs no script and no other host, so that it works inside a closed network."""

from __future__ import annotations

import base64
import hashlib
import html
from typing import Any

import orjson

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "summary{cursor:pointer;padding:.5rem;border-bottom:1px solid #d0d7de}code,pre{font:14px/1.45 ui-monospace,monospace}"
    "pre{background:#f6f8fa;padding:1rem;overflow:auto}b{display:inline-block;width:4rem;color:#0550ae}"
    "table{border-collapse:collapse}td{padding:.15rem 1rem .15rem 0;vertical-align:top}"
)
# The page has this one style, no script, and loads nothing.
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'"
EXAMPLE = (
    "curl http://127.0.0.1:8000/v1/embeddings -H 'content-type: application/json' \\\n"
    '  -d \'{"model": "text-embedding", "input": "hello world"}\''
)


def page(document: dict[str, Any]) -> str:
    """The HTML of an OpenAPI document."""
    sections = "".join(
        _section(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    schemas = html.escape(orjson.dumps(document["components"]["schemas"], option=orjson.OPT_INDENT_2).decode())
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>embedserve</title><style>{STYLE}</style>"
        f"<h1>embedserve</h1><p>{html.escape(document['info']['description'])} The machine-readable form is "
        f"<a href=openapi.json>openapi.json</a>.</p><pre>{html.escape(EXAMPLE)}</pre>{sections}"
        f"<details><summary>Schemas</summary><pre>{schemas}</pre></details></html>"
    )


def _section(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{status}</td><td>{html.escape(answer['description'])}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    content = operation.get("requestBody", {}).get("content", {})
    accepts = f"<p>Accepts {html.escape(', '.join(content))}</p>" if content else ""
    asks = html.escape(operation.get("description", ""))
    title = f"<b>{method.upper()}</b><code>{html.escape(path)}</code> — {html.escape(operation['summary'])}"
    return f"<details><summary>{title}</summary><p>{asks}</p>{accepts}<table>{rows}</table></details>"
