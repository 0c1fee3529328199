"""The Redis of the ha overlays as its manifest starts it, here: its password, what survives it, and how both are changed."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from deployments.cluster.ports import free_port
from tests.integration.waiting import wait
from tests.k8s.tools import built, only

OLD, NEW = 'quotes " and \\ and $HOME', "another one"


def manifest():
    return only(built("overlays/ha"), "StatefulSet")["spec"]["template"]["spec"]["containers"][0]


def connected(port, password):
    client = redis.Redis(port=port, password=password)
    client.ping()
    return client


def answers(port, password):
    try:
        return bool(connected(port, password))
    except (redis.ConnectionError, redis.AuthenticationError):
        return False


@contextmanager
def running(folder, password, end="terminate"):
    """What the container runs, with folders and a port of the test's own."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed: the manifest's Redis was not started")
    port, data, run = free_port(), folder / "data", folder / "run"
    for one in (data, run):
        one.mkdir(exist_ok=True)
    *command, name, _, _ = manifest()["command"]
    environment = {"PATH": os.environ["PATH"], "REDIS_PASSWORD": password}
    arguments = [*command, name, str(run), str(data)]
    arguments[2] = arguments[2].rstrip() + f" --port {port} --bind 127.0.0.1\n"
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait("Redis answers", lambda: answers(port, password))
        yield port, process
    finally:
        getattr(process, end)()
        process.wait(30)


def test_the_password_is_asked_for_and_in_no_processs_arguments_nor_in_a_readable_file(tmp_path):
    with running(tmp_path, OLD) as (port, process):
        assert not answers(port, None)
        assert not answers(port, NEW)
        commands = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        assert Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(b"redis-server")
        assert not [command for command in commands if OLD.encode() in command]
        assert (tmp_path / "run" / "auth.conf").stat().st_mode & 0o077 == 0


def test_what_was_answered_survives_a_kill_and_so_does_a_copy_of_its_folder(tmp_path):
    first = tmp_path / "first"
    first.mkdir()
    with running(first, OLD, end="kill") as (port, _):
        for number in range(100):
            connected(port, OLD).set(f"key-{number}", number)
    shutil.copytree(first, tmp_path / "copy")
    for folder in (first, tmp_path / "copy"):
        with running(folder, OLD) as (port, _):
            assert connected(port, OLD).dbsize() == 100


def test_two_passwords_are_good_while_the_head_takes_the_new_one(tmp_path):
    """As docs/operations.md says it; who is connected stays."""
    with running(tmp_path, OLD) as (port, _):
        head = connected(port, OLD)
        connected(port, OLD).acl_setuser("default", enabled=True, passwords=[f"+{NEW}"])
        assert answers(port, OLD)
        assert answers(port, NEW)
        connected(port, NEW).acl_setuser("default", enabled=True, passwords=[f"-{OLD}"])
        assert head.ping()
        assert not answers(port, OLD)
        assert answers(port, NEW)
    with running(tmp_path, NEW) as (port, _):
        assert answers(port, NEW)


def test_the_image_is_pinned_and_its_root_file_system_stays_as_it_is():
    container = manifest()
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {"/data", "/run/redis"}
    assert container["command"][-2:] == ["/run/redis", "/data"]
