"""Which ports listen where, and which files have which mode, in the development profile."""

from __future__ import annotations

from pathlib import Path

from deployments.cluster.ray_parts import PARTS, RayParts
from tests.integration.audit import foreign, open_ports, shown_to_others
from tests.integration.service import Service, children


def test_only_rays_own_ports_and_haproxys_figures_listen_elsewhere_than_on_loopback(service: Service) -> None:
    ports = open_ports(children(service))
    assert service.port not in ports
    assert len([who for who in foreign(ports).values() if who == "haproxy"]) <= 2, "its metrics and its statistics"
    assert set(foreign(ports).values()) <= {"haproxy"}


def test_another_user_reaches_no_file_and_no_socket_of_it(service: Service) -> None:
    below = children(service)
    assert len(below) > 10
    assert shown_to_others(below) - {str(service.log)} == set()  # the log is the test's own


def test_its_guardian_knows_each_of_rays_processes_by_its_program_and_where_it_writes_its_log(service: Service) -> None:
    (raylet,) = [pid for pid in children(service) if Path(f"/proc/{pid}/comm").read_text().strip() == "raylet"]
    folder = next(word for word in Path(f"/proc/{raylet}/cmdline").read_text().split("\0") if "--session_dir=" in word)
    logs = Path(folder.partition("=")[2]) / "logs"
    parts = RayParts(logs, service.process.pid)
    assert parts.lost() == []
    assert set(parts.found) == set(PARTS)
    assert [part for part in PARTS if not (logs / part.log).is_file()] == []
