"""What the seams rely on in the installed Ray and uvicorn. A new Ray that breaks one of these breaks that seam."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray._private import services
from ray.experimental import internal_kv
from ray.serve._private import constants as serve_constants
from ray.serve._private import haproxy, haproxy_templates, http_util, logging_utils
from ray.serve.handle import DeploymentBroadcastResponse, DeploymentHandle
from starlette.middleware import Middleware
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from deployments.serve_internals import cluster_store, haproxy_lines, haproxy_process, http_hook, settings
from deployments.serve_internals.local_rays import local_rays
from deployments.serve_internals.log_folder import log_folder

CONSTANTS = {
    "RAY_SERVE_ENABLE_HA_PROXY": True,
    "RAY_SERVE_REPLICA_GRPC_MAX_MESSAGE_LENGTH": 256 << 20,
    "RAY_SERVE_GRPC_MAX_MESSAGE_SIZE": 64 << 20,
    "PROXY_HEALTH_CHECK_PERIOD_S": 2.0,
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "deployments.serve_internals.http_hook:middlewares",
    "RAY_SERVE_HAPROXY_BALANCE_ALGORITHM": haproxy_lines.VARIABLES[haproxy_lines.VARIABLE],
    "RAY_SERVE_HAPROXY_BINARY_PATH": "/opt/embedserve/bin/embedserve-haproxy",
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
    "RAY_SERVE_HAPROXY_TIMEOUT_CLIENT_S": 120,
    "RAY_SERVE_HAPROXY_METRICS_ENABLED": False,
    "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS": 5000,
    "CONTROL_LOOP_INTERVAL_S": 0.25,
    "RAY_SERVE_STOP_FAILED_ROLLING_UPDATES": False,
}


PLACE = Path("/var/lib/embedserve")


@pytest.fixture(scope="module")
def constants() -> dict[str, object]:
    """What a Ray makes of our variables when it starts."""
    names = json.dumps([*CONSTANTS, *haproxy_process.PLACES])
    program = (
        f"import json, ray.serve._private.constants as c; print(json.dumps({{n: getattr(c, n) for n in {names}}}))"
    )
    environment = {**os.environ, **settings.SWITCHES, **haproxy_process.files(PLACE)}
    output = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    found: dict[str, object] = json.loads(output.stdout)
    return found


@pytest.mark.parametrize("name", CONSTANTS)
def test_ray_reads_the_variable(constants: dict[str, object], name: str) -> None:
    assert constants[name] == CONSTANTS[name]


@pytest.mark.parametrize(("name", "file"), haproxy_process.PLACES.items())
def test_every_file_of_haproxy_lies_where_we_say(constants: dict[str, object], name: str, file: str) -> None:
    assert constants[name] == str(PLACE / file)


def test_no_file_of_haproxy_is_elsewhere(constants: dict[str, object]) -> None:
    """A new Ray may have one more: whatever is in /tmp/haproxy-serve by default can be put elsewhere, and is."""
    source = inspect.getsource(serve_constants)
    assert set(re.findall(r'"(RAY_SERVE_HAPROXY_\w+)",\s*"/tmp/haproxy-serve', source)) == set(haproxy_process.PLACES)


def test_serve_starts_our_program_and_knows_the_process_as_its_own(tmp_path: Path) -> None:
    """Serve signals only processes that name its configuration, and expects the admin socket to answer with their id."""
    source = inspect.getsource(haproxy.HAProxyApi._start_and_wait_for_haproxy)
    assert "get_haproxy_binary()" in source
    assert '"-f", self.config_file_path' in source
    assert "_get_running_pid() == proc.pid" in inspect.getsource(haproxy.HAProxyApi._wait_for_hap_availability)


def test_every_variable_of_ours_is_one_that_ray_is_seen_to_read() -> None:
    ours = {name for name in settings.SWITCHES if name.startswith("RAY_")}
    by_the_raylet = {"RAY_worker_niceness"}  # a test of the running service looks at its replicas
    assert ours - {"RAY_SERVE_THROUGHPUT_OPTIMIZED"} - by_the_raylet == {
        name if name.startswith("RAY_") else f"RAY_SERVE_{name}" for name in CONSTANTS
    }


def test_haproxys_lines_land_in_the_section_that_every_backend_inherits() -> None:
    """The balance algorithm is written as it is, in ``defaults``, before the first frontend or backend."""
    template = haproxy_templates.HAPROXY_CONFIG_TEMPLATE
    place = template.index("{{ config.balance_algorithm }}")
    before = [
        line.strip() for line in template[:place].splitlines() if line and not line[0].isspace() and line[0] != "{"
    ]
    assert before[-1] == "defaults"


def test_serve_loads_what_the_variable_names_and_applies_it_outside_its_own_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = settings.HTTP_HOOK["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"]
    monkeypatch.setattr(http_util, "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", path)
    options = http_util.configure_http_middlewares(http_util.HTTPOptions())
    assert [middleware.cls for middleware in options.middlewares] == [http_hook.Envelope]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    outermost = http_util._apply_middlewares(app, options.middlewares)
    assert isinstance(outermost, http_hook.Envelope)


def test_serve_understands_the_headers_that_the_hook_sets_and_takes_away() -> None:
    assert http_util.parse_disconnect_disabled_header(dict([http_hook.UNWATCHED]))
    assert not http_util.parse_disconnect_disabled_header({})
    assert http_util.SERVE_HTTP_REQUEST_TIMEOUT_S_HEADER.encode() == http_hook.TIMEOUT_HEADER


async def test_serve_names_a_request_in_its_scope_and_answer_as_the_shortcut_does() -> None:
    seen: list[Scope] = []
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    layers = http_util._apply_middlewares(app, [Middleware(http_hook.Envelope)])
    await layers({"type": "http", "path": "/v1/models", "headers": [], "method": "GET"}, receive, send)
    given = dict(seen[0]["headers"])[b"x-request-id"]
    assert dict(sent[0]["headers"])[b"x-request-id"] == given


def test_uvicorn_sends_through_a_transport_that_may_be_exchanged() -> None:
    """``gather`` puts its own in the place of ``transport``; test_single_write.py sees what arrives."""
    assert "transport" in inspect.signature(RequestResponseCycle.__init__).parameters
    assert "self.transport.write(" in inspect.getsource(RequestResponseCycle.send)


def test_serves_folder_for_logs_is_below_that_of_rays_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    node = SimpleNamespace(get_logs_dir_path=lambda: str(tmp_path))
    monkeypatch.setattr(logging_utils.ray._private.worker, "_global_node", node)
    assert log_folder() == tmp_path / "serve"


def test_a_process_with_an_address_of_ray_is_found() -> None:
    services._cached_find_gcs_addresses.cache_clear()  # Ray looks once and remembers what another test's cluster showed
    address = "127.0.0.1:1"  # an argument as Ray's own processes carry it
    program = [sys.executable, "-c", "input()", "raylet", f"--gcs-address={address}"]
    with subprocess.Popen(["raylet", *program[1:]], executable=sys.executable, stdin=subprocess.PIPE) as process:
        try:
            assert address in (local_rays() or [])
        finally:
            process.kill()


def test_a_handle_asks_every_replica_in_public() -> None:
    """What ``connections`` needs of Serve."""
    assert list(inspect.signature(DeploymentHandle.broadcast).parameters)[:2] == ["self", "method_name"]
    parameters = inspect.signature(DeploymentBroadcastResponse.results_async).parameters
    assert {"timeout_s", "return_exceptions"} <= parameters.keys()
    for public in (DeploymentHandle, DeploymentBroadcastResponse):
        assert public._annotated_type.name == "PUBLIC_API"


def test_rays_store_keeps_the_first_value_of_a_key_and_takes_bytes() -> None:
    put = inspect.signature(internal_kv._internal_kv_put).parameters
    assert [*put][:3] == ["key", "value", "overwrite"]
    assert "namespace" in put
    assert "namespace" in inspect.signature(internal_kv._internal_kv_get).parameters
    assert internal_kv._internal_kv_initialized() is cluster_store.available() is False, (
        "there is no Ray in this process"
    )
