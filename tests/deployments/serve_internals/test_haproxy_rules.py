"""What the rules make of the configuration that the installed Ray writes."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
from ray.serve._private.haproxy import get_haproxy_binary

from deployments.serve_internals.haproxy_rules import Rules
from deployments.serve_internals.haproxy_sections import completed
from models.errors import ConfigError
from tests.integration.waiting import wait
from tests.slow_links.front import Front

ADDRESSES = {"0100007F": "127.0.0.1", "00000000": "0.0.0.0"}
LISTEN = "0A"  # as /proc/net/tcp writes the state


def listening() -> dict[int, str]:
    """Address by port of this machine."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    places = [row[1].split(":") for row in rows if row[3] == LISTEN]
    return {int(port, 16): ADDRESSES.get(address, address) for address, port in places}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "::1"])
@pytest.mark.parametrize("proxies", [(), ("10.0.0.0/8", "2001:db8::/32")], ids=["alone", "behind balancers"])
def test_haproxy_takes_the_completed_configuration(tmp_path: Path, host: str, proxies: tuple[str, ...]) -> None:
    front = Front(tmp_path, [1, 2], Rules(0.25, proxies), host=host)
    checked = subprocess.run(
        [get_haproxy_binary(), "-c", "-f", front.file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_statistics_listen_on_loopback_metrics_where_the_service_does_and_the_socket_is_its_owners(
    tmp_path: Path, host: str
) -> None:
    with Front(tmp_path, [1], Rules(0.25), host=host).running() as front:
        wait("the statistics", lambda: front.stats_port in listening())
        found = listening()
        assert (found[front.port], found[front.metrics_port], found[front.stats_port]) == (host, host, "127.0.0.1")
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600


def test_every_rule_finds_its_place_in_what_ray_writes(tmp_path: Path) -> None:
    front = Front(tmp_path, [1, 2], Rules(0.5))
    text = front.file.read_text()
    assert "default-server maxconn 256" in front.written
    assert "default-server maxconn" not in text
    backend = text.partition("\nbackend http-gateway\n")[2].partition("\nlisten stats\n")[0]
    assert "nbsrv,mul(256)" in backend
    assert "nbsrv,mul(128)" in backend
    assert backend.count("\n    server ") == 2
    defaults = text.partition("\ndefaults\n")[2].partition("\nfrontend ")[0]
    assert "option http-buffer-request" in defaults
    frontend = text.partition("\nfrontend http_frontend\n")[2].partition("\nbackend ")[0]
    assert "sc0_conn_cur gt 2048" in frontend
    assert "return status 431" in frontend


def test_only_a_log_that_an_operator_chose_gets_a_line_for_each_request(tmp_path: Path) -> None:
    written = Front(tmp_path, [1], None).written
    assert "option dontlog-normal" in completed(written, Rules(0.25))
    chosen = written.replace("log 127.0.0.1:514 ", "log /dev/log ")
    assert "option dontlog-normal" not in completed(chosen, Rules(0.25))


def test_without_a_bound_of_places_none_is_invented(tmp_path: Path) -> None:
    written = Front(tmp_path, [1], None).written.replace("default-server maxconn 256", "")
    assert "track-sc1" not in completed(written, Rules(0.25))


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "a quarter", "nan"])
def test_a_share_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match=r"EMBEDSERVE_CLIENT_SHARE must be a number above 0 and at most 1"):
        Rules.of({"EMBEDSERVE_CLIENT_SHARE": value})


def test_a_proxy_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"EMBEDSERVE_TRUSTED_PROXIES must hold addresses or networks.*'lb.example'"):
        Rules.of({"EMBEDSERVE_CLIENT_SHARE": "0.25", "EMBEDSERVE_TRUSTED_PROXIES": "10.0.0.1, lb.example"})


def test_choices_are_read() -> None:
    assert Rules.of({"EMBEDSERVE_CLIENT_SHARE": ""}) is None
    chosen = {"EMBEDSERVE_CLIENT_SHARE": "1", "EMBEDSERVE_TRUSTED_PROXIES": "10.0.0.1, 10.1.0.0/16"}
    assert Rules.of(chosen) == Rules(1.0, ("10.0.0.1/32", "10.1.0.0/16"))
