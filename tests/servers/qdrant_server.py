"""What of Qdrant's HTTP interface a sink uses, over the client's own local mode: its server is in no package of Debian or PyPI."""

from __future__ import annotations

import contextlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

KEY = "a key of the tests"
MOST_BYTES = 32 << 20  # of a request, as its server takes by default
DONE = {"operation_id": 0, "status": "completed"}


@dataclass
class QdrantServer:
    """A server that holds its collections in memory."""

    port: int = 0
    sizes: list[int] = field(default_factory=list)  # bytes of each request that wrote points

    def uri(self, collection: str) -> str:
        """As a job names it."""
        return f"qdrant+http://127.0.0.1:{self.port}/{collection}"


@contextlib.contextmanager
def qdrant_server() -> Iterator[QdrantServer]:
    """Serve until left; the test is skipped, and says why, where the client is not installed."""
    library = pytest.importorskip("qdrant_client", reason="the extra qdrant is not installed; nothing here was checked")
    models = library.models
    served, store, lock = QdrantServer(), library.QdrantClient(":memory:"), threading.Lock()

    def answered(method: str, place: list[str], body: bytes) -> Any:
        _, name, *rest = place
        asked = orjson.loads(body or b"{}")
        match (method, *rest):
            case ("GET", "exists"):
                return {"exists": store.collection_exists(name)}
            case ("GET",):
                return store.get_collection(name).model_dump(mode="json")
            case ("PUT",):
                return store.create_collection(name, models.CreateCollection.model_validate(asked).vectors)
            case ("PUT", "index"):
                return DONE
            case ("PUT", "points"):
                served.sizes.append(len(body))
                store.upsert(name, models.PointsList.model_validate(asked).points)
                return DONE
            case ("POST", "points", "count"):
                wanted = models.CountRequest.model_validate(asked)
                return store.count(name, wanted.filter, exact=bool(wanted.exact)).model_dump()
            case ("POST", "points", "scroll"):
                one = models.ScrollRequest.model_validate(asked)
                points, after = store.scroll(
                    name, one.filter, one.limit or 10, offset=one.offset, with_vectors=bool(one.with_vector)
                )
                return {"points": [point.model_dump(mode="json") for point in points], "next_page_offset": after}
        raise KeyError(f"{method} {'/'.join(place)}")

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, document = 200, {}
            if self.headers.get("api-key") != KEY:
                status, document = 401, {"status": {"error": "Must provide an API key"}}
            elif len(body) > MOST_BYTES:
                status, document = (
                    413,
                    {"status": {"error": f"JSON payload is larger than allowed (limit: {MOST_BYTES})"}},
                )
            else:
                with lock:
                    found = answered(self.command, self.path.partition("?")[0].strip("/").split("/"), body)
                document = {"result": found, "status": "ok", "time": 0.0}
            data = orjson.dumps(document)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = _answer  # noqa: N815 - names of http.server

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        store.close()
