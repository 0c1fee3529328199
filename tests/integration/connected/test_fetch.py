"""Pictures by URL, through the whole service: a real TLS server that is allowed, and a trap that is not."""

from __future__ import annotations

import base64
import contextlib

import httpx2
import pytest

from tests.integration.connected.conftest import Connected
from tests.integration.isolated import Isolated
from tests.servers.picture_host import PictureHost, Trap, answer, redirect

MARK = "quetzal-5528"  # in paths of URLs, and nowhere else


@pytest.fixture(scope="module")
def running(connected: Connected, png: bytes) -> Isolated:
    connected.host.behaviours[f"/{MARK}.png"] = answer(png)
    ports = [connected.host.port, connected.trap.port]
    connected.configure(fetch={"hosts": ["*"], "ports": ports, "addresses": ["127.0.0.2/32"], "http": True})
    return connected.running


@pytest.fixture(scope="module")
def host(connected: Connected) -> PictureHost:
    return connected.host


@pytest.fixture(scope="module")
def trap(connected: Connected) -> Trap:
    return connected.trap


def embed(service: Isolated, *inputs: str) -> httpx2.Response:
    return service.client().post("/v1/embeddings", json={"model": "image-embedding", "input": list(inputs)})


def test_a_url_gives_the_vector_of_its_picture(running: Isolated, host: PictureHost, trap: Trap, png: bytes) -> None:
    by_url = embed(running, f"https://127.0.0.2:{host.port}/{MARK}.png")
    assert by_url.status_code == 200, by_url.text
    by_bytes = embed(running, base64.b64encode(png).decode())
    assert by_url.json()["data"] == by_bytes.json()["data"]
    assert by_bytes.headers["x-cache"] == "hit"
    assert trap.connections() == 0


def test_addresses_inside_are_refused_and_not_connected_to(running: Isolated, host: PictureHost, trap: Trap) -> None:
    host.behaviours["/inside"] = redirect(f"https://127.0.0.1:{trap.port}/{MARK}")
    inside = [
        f"https://127.0.0.1:{trap.port}/{MARK}",
        f"http://localhost:{trap.port}/{MARK}",
        f"https://[::1]:{trap.port}/{MARK}",
        f"https://2130706433:{trap.port}/{MARK}",
        f"https://0x7f.1:{trap.port}/{MARK}",
        f"https://[::ffff:127.0.0.1]:{trap.port}/{MARK}",
        f"https://127.0.0.2:{host.port}@127.0.0.1:{trap.port}/{MARK}",
        f"https://127.0.0.2:{host.port}/inside",
    ]
    for url in inside:
        error = embed(running, f"https://127.0.0.2:{host.port}/{MARK}.png", url)
        assert error.status_code == 400, url
        assert error.json()["error"]["param"] == "input[1]"
        assert error.json()["error"]["code"] == "url_not_allowed"
    assert trap.connections() == 0


def test_what_is_no_picture_is_400_and_too_large_413(running: Isolated, host: PictureHost) -> None:
    host.behaviours["/page"] = answer(b"<html>", content_type="text/html")
    host.behaviours["/broken"] = answer(b"no image")
    host.behaviours["/large"] = answer(b"", content_length=str(1 << 30))
    statuses = [
        embed(running, f"https://127.0.0.2:{host.port}/{name}").status_code for name in ("page", "broken", "large")
    ]
    assert statuses == [400, 400, 413]


def test_in_development_whatever_answers_requests_listens_on_loopback_alone(running: Isolated) -> None:
    reached = set()
    for port, loopback in running.ports().items():
        with running.client(port=port) as client, contextlib.suppress(httpx2.HTTPError):
            if client.get("/-/healthz", timeout=2).text == "success":
                reached.add(port)
                assert loopback, port
    assert len(reached) >= 3, "HAProxy, gateway and encoder"


def test_urls_are_in_no_log(running: Isolated) -> None:
    text = running.logs()
    assert "serving image-embedding@1.0.0" in text, "these are the right logs"
    assert MARK not in text
