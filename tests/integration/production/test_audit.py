"""Which ports listen where, and which files have which mode, in the production profile."""

from __future__ import annotations

from tests.integration.audit import foreign, open_ports, shown_to_others
from tests.integration.isolated import Isolated
from tests.integration.service import children


def test_only_rays_own_ports_and_haproxys_figures_listen_elsewhere_than_on_loopback(running: Isolated) -> None:
    ports = open_ports(children(running.service))
    assert running.service.port not in ports  # as configured: serve_config.yaml has 127.0.0.1
    assert set(foreign(ports).values()) <= {"haproxy"}


def test_another_user_reaches_no_file_and_no_socket_of_it(running: Isolated) -> None:
    assert shown_to_others(children(running.service)) == set()
