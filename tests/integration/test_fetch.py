"""Pictures by URL, through the whole service: a real TLS server that is allowed, and a trap that is not."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trustme

from tests.deployments.gateway.image_fetch.picture_host import PictureHost, Trap, answer, redirect
from tests.integration.isolated import Isolated, isolated

MARK = "quetzal-5528"  # in paths of URLs, and nowhere else


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    running = Trap()
    yield running
    running.close()


@pytest.fixture(scope="module")
def host(authority: trustme.CA, png: bytes) -> Iterator[PictureHost]:
    running = PictureHost(authority, "127.0.0.2")
    running.behaviours[f"/{MARK}.png"] = answer(png)
    yield running
    running.close()


@pytest.fixture(scope="module")
def running(authority: trustme.CA, host: PictureHost, trap: Trap) -> Iterator[Isolated]:
    def change(document: dict[str, Any]) -> None:
        document["applications"] = [app for app in document["applications"] if "text" not in app["name"]]
        config = document["applications"][0]["deployments"][0]["user_config"]
        del config["models"]["text-embedding"]
        config["aliases"] = {}
        config["fetch"] = {"hosts": ["*"], "ports": [host.port, trap.port], "addresses": ["127.0.0.2/32"], "http": True}

    def prepare(folder: Path) -> dict[str, str]:
        authority.cert_pem.write_to_path(folder / "authority.pem")
        return {"SSL_CERT_FILE": str(folder / "authority.pem"), "HTTPS_PROXY": f"http://127.0.0.1:{trap.port}"}

    with isolated(change=change, prepare=prepare) as service:
        trap.connections()  # by the model download, which does use the proxy
        yield service


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
