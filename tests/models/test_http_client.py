"""Proxies of the environment are for the world outside; this machine is asked directly, by every library that we use."""

from __future__ import annotations

import ast
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
import trustme

from deployments.serve_internals import settings
from models.errors import UnreachableError
from models.http_client import LOOPBACK, PROXIES, authorities, direct, direct_async, outward, unproxied

ROOT = Path(__file__).parents[2]
DEAD = "http://127.0.0.1:1"  # a proxy that answers nobody
HERE = "models/http_client.py"


class Server(ThreadingHTTPServer):
    """Answers everything, and remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    yield from _running()


@pytest.fixture
def proxy() -> Iterator[Server]:
    yield from _running()


def _running() -> Iterator[Server]:
    running = Server()
    thread = Thread(target=running.serve_forever, args=(0.01,))
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("make", [direct, direct_async, outward])
def test_clients_after_the_first_read_no_authorities(
    make: Callable[[], object], monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    """Each would hold up its event loop for 20 ms."""
    monkeypatch.setenv("https_proxy", server.url)
    make()
    monkeypatch.setattr(ssl, "SSLContext", lambda *_: pytest.fail("a context was made"))
    make()


def test_authorities_that_the_environment_names_are_trusted_by_clients_of_the_world_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    of_the_system = authorities()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert len(authorities().get_ca_certs()) == 1
    assert authorities(trust_env=False) is of_the_system


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_the_world_outside_is_asked_through_the_proxy_and_this_machine_is_not(
    server: Server, proxy: Server, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    with outward(timeout=10) as client:
        for host in ("127.0.0.1", "localhost"):
            assert client.get(f"http://{host}:{server.server_address[1]}/here").status_code == 200
        assert (server.asked, proxy.asked) == (["/here", "/here"], [])
        client.get("http://models.example/there")
    assert proxy.asked == ["http://models.example/there"]


def test_a_direct_client_asks_no_proxy_whatever_it_asks_for(
    proxy: Server, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    with direct(timeout=10) as client:
        client.get(server.url)
        with pytest.raises(httpx2.HTTPError):
            client.get("http://models.invalid/there")
    assert proxy.asked == []


@pytest.mark.parametrize("proxy_url", ["socks5://127.0.0.1:1", "socks5h://127.0.0.1:1", "ftp://x", "::::"])
def test_a_proxy_that_cannot_be_used_is_named_with_what_could(monkeypatch: pytest.MonkeyPatch, proxy_url: str) -> None:
    monkeypatch.setenv("all_proxy", proxy_url)
    with pytest.raises(UnreachableError, match=r"all_proxy.*name an HTTP proxy, http://host:port"):
        outward()
    with direct():
        """This machine is asked all the same."""


def test_exceptions_that_somebody_made_stay_and_nothing_is_added_where_there_is_no_proxy() -> None:
    assert unproxied({"no_proxy": "a"}) == {}
    added = unproxied({"https_proxy": DEAD, "no_proxy": "a, b", "NO_PROXY": "c"}, ["192.0.2.2"])
    assert added == dict.fromkeys(("no_proxy", "NO_PROXY"), ",".join(("a", "b", "c", *LOOPBACK, "192.0.2.2")))
    assert unproxied({"HTTP_PROXY": DEAD, "no_proxy": "*"}) == {"no_proxy": "*", "NO_PROXY": "*"}


# What our processes and Ray's are made of: each asks the URL that it is given.
LIBRARIES = {
    "urllib": "import urllib.request as u; u.urlopen(url, timeout=10).read()",
    "requests": "import requests; requests.get(url, timeout=10).raise_for_status()",
    "httpx": "import httpx; httpx.get(url, timeout=10).raise_for_status()",
    "httpx2": "import httpx2; httpx2.get(url, timeout=10).raise_for_status()",
    "aiohttp": (
        "import aiohttp, asyncio\n"
        "async def ask():\n"
        "    async with aiohttp.ClientSession(trust_env=True) as s, s.get(url) as answer: answer.raise_for_status()\n"
        "asyncio.run(ask())"
    ),
}


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_library_of_a_process_that_we_start_asks_this_machine_directly(server: Server, library: str) -> None:
    environment = {**os.environ, "http_proxy": DEAD, "HTTP_PROXY": DEAD, "all_proxy": DEAD}
    program = f"url = {server.url + '/' + library!r}\n{LIBRARIES[library]}"
    command = [sys.executable, "-c", program]
    without = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert without.returncode != 0, "the proxy of this test is not asked"
    done = subprocess.run(
        command, env=environment | unproxied(environment), capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert server.asked == [f"/{library}"]


GRPC = """
import grpc, json, socket, sys, concurrent.futures
server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
port = server.add_insecure_port("0.0.0.0:0")
server.start()
reached = []
for host in ("127.0.0.1", "localhost", socket.gethostbyname(socket.gethostname())):
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=2)
            reached.append(host)
        except grpc.FutureTimeoutError:
            pass
server.stop(0)
print(json.dumps(len(reached)))
"""


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
def test_calls_between_replicas_pass_by_the_proxy_with_the_nodes_variables(variable: str) -> None:
    environment = {**os.environ, variable: DEAD, "no_grpc_proxy": settings.SWITCHES["no_grpc_proxy"]}
    done = subprocess.run(
        [sys.executable, "-c", GRPC], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert json.loads(done.stdout) == 3


# The search: modules and calls by which a client could be made elsewhere.
OTHERS = frozenset({"http.client", "urllib.request", "urllib3", "aiohttp", "requests", "httpx", "websockets", "pycurl"})
HARMLESS = frozenset({"url2pathname", "ProxyHandler"})  # a path from a URL; a client that is told to have no proxy
MAKERS = frozenset(
    f"httpx2.{name}"
    for name, value in vars(httpx2).items()
    if name in ("get", "post", "put", "patch", "delete", "head", "options", "request", "stream")
    or (isinstance(value, type) and issubclass(value, httpx2.Client | httpx2.AsyncClient | httpx2.HTTPTransport))
)


def made(source: str) -> list[str]:
    """What makes HTTP clients in a module, or could."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in OTHERS]
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names} - HARMLESS
            if node.module in OTHERS:
                found += [f"{node.module}.{name}" for name in names]
            found += [name for name in (f"{node.module}.{name}" for name in names) if name in OTHERS | MAKERS]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in MAKERS:
            found.append(ast.unparse(node.func))
    return sorted(found)


def test_no_http_client_is_made_outside_the_one_place_that_knows_of_proxies() -> None:
    files = [path for room in ("deployments", "models") for path in (ROOT / room).rglob("*.py")]
    assert len(files) > 150
    found = {str(path.relative_to(ROOT)): made(path.read_text()) for path in files}
    assert {"httpx2.Client", "httpx2.AsyncClient"} <= set(found.pop(HERE))
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    ["import requests", "from urllib.request import urlopen", "import httpx2\nhttpx2.get('')", "import http.client",
     "from httpx2 import Client", "import httpx2\nwith httpx2.AsyncClient() as c: pass", "from urllib import request"],
)  # fmt: skip
def test_the_search_finds_each_way_to_make_one(source: str) -> None:
    assert made(source) != []
