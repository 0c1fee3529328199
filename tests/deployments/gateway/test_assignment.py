"""`embedserve assign` says offline which version a key got online: by the exposure log of the gateway's own application."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import hmac
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from deployments.cli.main import app as commands
from deployments.cli.start_checks import require_secret
from deployments.cluster.serve_file import ServeConfig
from deployments.config.base import parse
from deployments.config.experiments import Exposures
from deployments.config.gateway import GatewayConfig
from deployments.contract.embedding import Embedding, Label
from deployments.contract.model_info import ModelInfo
from deployments.gateway.assignment import Assignments
from deployments.gateway.cache.key import cache_key
from deployments.gateway.exposures import key_hash, read_secret
from models.errors import ConfigError
from tests.deployments.http.service import Application, application

SECRET = b"a secret of the operator's own"
TEXT = "a text that is in the cache"
EVEN, TILTED = {"1": 90, "2": 10}, {"1": 60, "2": 40, "3": 0}
OVERRIDES = [{"version": "2", "key": "customer-7"}, {"version": "1", "header": "x-tenant", "value": "acme"}]


def document(weights: dict[str, float], **more: Any) -> dict[str, Any]:
    """A Serve configuration with one model of these weights."""
    routes = {"type": "text", "versions": weights, "overrides": OVERRIDES}
    told = {"models": {"m": routes}, "aliases": {"other": "m", "pinned": "m@2"}, **more}
    gateway = {"name": "gateway", "import_path": "deployments.apps.builders:gateway"}
    return {"applications": [{**gateway, "deployments": [{"name": "Gateway", "user_config": told}]}]}


def configure(gateway: Application, weights: dict[str, float]) -> None:
    """Give the running application other weights, each version with a replica and the text's vector in its cache."""
    config = Assignments.of(document(weights, cache={"bytes": 100_000}), "test").config
    registry = gateway.embeddings.registry
    for _ in range(2):  # a version gains weight only once it is ready
        registry.configure(config)
        for version in registry.of_model("m"):
            label = Label(version.reference, f"hash-{version.version}")
            version.info = ModelInfo(label, "m", "text", 4, "fp32", "CPU")
            one = Embedding(np.eye(4, dtype=np.float32)[0], 5, label)
            gateway.embeddings.cache.put(cache_key(label.identity, TEXT), one)


def started(folder: Path, weights: dict[str, float]) -> Application:
    """A gateway's application with exposures on."""
    gateway = application(folder)
    gateway.embeddings.exposure_secret = SECRET
    configure(gateway, weights)
    return gateway


async def ask(gateway: Application, key: str | None, model: str = "m", headers: dict[str, str] | None = None) -> int:
    """One request over ASGI; its status."""
    sent = {"content-type": "application/json", **({"x-routing-key": key} if key else {}), **(headers or {})}
    body, status = json.dumps({"model": model, "input": TEXT}).encode(), 0
    messages = [{"type": "http.request", "body": body}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
    scope = {"type": "http", "method": "POST", "path": "/v1/embeddings", "raw_path": b"/v1/embeddings", "headers": raw}
    scope |= {"query_string": b"", "http_version": "1.1", "scheme": "http", "server": ("h", 1), "root_path": ""}
    await gateway.app({**scope, "client": ("c", 1), "extensions": {}}, receive, send)
    return status


def online(gateway: Application, keys: list[str]) -> dict[str, tuple[str, str, str]]:
    """By key hash: version, how it was chosen, experiment; as the access log has it after one request of each key."""

    async def all_of_them() -> None:
        for key in keys:
            assert await ask(gateway, key) == 200
        gateway.log.write(gateway.log.take())

    before = len(gateway.lines())
    asyncio.run(all_of_them())
    lines = gateway.lines()[before:]
    assert len(lines) == len(keys)
    return {line["key_hash"]: (line["version"], line["chosen"], line["experiment"]) for line in lines}


def assigned(
    folder: Path, keys: list[str], weights: dict[str, float], *options: str
) -> dict[str, tuple[str, str, str]]:
    """The same by the command, from a configuration and files of keys and of the secret."""
    (folder / "serve.yaml").write_text(yaml.safe_dump(document(weights)))
    (folder / "secret").write_bytes(SECRET + b"\n")
    with (folder / "keys.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["order", "key"], *([i, key] for i, key in enumerate(keys))])
    told = ["--from", folder / "keys.csv", "--config", folder / "serve.yaml", "--secret-file", folder / "secret"]
    result = CliRunner().invoke(commands, ["assign", "m", *map(str, told), *options])
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert [row["key"] for row in rows] == keys
    return {row["key_hash"]: (row["version"], row["chosen"], row["experiment"]) for row in rows}


@pytest.mark.parametrize("count", [1_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_offline_and_online_agree_on_every_key_of_two_gateways_across_a_restart_and_a_weight_change(
    tmp_path: Path, count: int
) -> None:
    keys = ["customer-7", 'with "quotes", and a comma', *(f"user-{i}@example.org" for i in range(count - 2))]
    first, second = (started(tmp_path / name, EVEN) for name in ("first", "second"))
    half = count // 2
    even = online(first, keys[:half]) | online(second, keys[half:])
    assert even == assigned(tmp_path, keys, EVEN)
    assert len(even) == count
    configure(first, TILTED)
    restarted = started(tmp_path / "again", TILTED)
    tilted = online(first, keys[half:]) | online(restarted, keys[:half])
    assert tilted == assigned(tmp_path, keys, TILTED)
    assert {how for _, how, _ in tilted.values()} == {"weight", "override"}
    moved = {(even[key][0], tilted[key][0]) for key in even if even[key][0] != tilted[key][0]}
    assert moved == {("1", "2")}
    assert {row[2] for row in even.values()}.isdisjoint(row[2] for row in tilted.values())
    assert not any(
        key in file.read_text() for file in tmp_path.rglob("*.log") for key in ("customer-7", "@example.org")
    )


@pytest.mark.parametrize(
    ("model", "headers", "version", "chosen"),
    [
        ("m", {"x-tenant": "acme"}, "1", "override"),
        ("m@2", {}, "2", "pin"),
        ("pinned", {"x-tenant": "acme"}, "2", "pin"),
    ],
    ids=["an override by header", "a version that is named", "an alias of a version"],
)
def test_the_log_says_how_a_version_was_chosen(
    tmp_path: Path, model: str, headers: dict[str, str], version: str, chosen: str
) -> None:
    gateway = started(tmp_path, EVEN)
    assert asyncio.run(ask(gateway, "somebody", model, headers)) == 200
    (line,) = gateway.lines()
    assert (line["version"], line["chosen"]) == (version, chosen)
    assert line["key_hash"] == hmac.new(SECRET, b"somebody", hashlib.sha256).hexdigest()
    choice = Assignments.of(document(EVEN), "test").assign(model, "somebody", headers)
    assert (choice.version, choice.how) == (version, chosen)


def test_a_fallback_is_named_as_such(tmp_path: Path) -> None:
    gateway = started(tmp_path, EVEN)
    registry = gateway.embeddings.registry
    registry.routes["m"] = registry.routes["m"].model_copy(update={"fallback": "1", "overrides": []})
    registry.versions["m@2"].info = None
    assert {how for _, how, _ in online(gateway, [f"k{i}" for i in range(60)]).values()} == {"weight", "fallback"}


def test_a_request_without_a_key_has_no_hash_and_without_exposures_a_line_says_nothing_of_them(tmp_path: Path) -> None:
    gateway = started(tmp_path, EVEN)
    asyncio.run(ask(gateway, None))
    gateway.embeddings.exposure_secret = None
    asyncio.run(ask(gateway, "somebody"))
    keyless, without = gateway.lines()
    assert (keyless["key_hash"], keyless["chosen"]) == (None, "weight")
    assert without.keys().isdisjoint({"key_hash", "chosen", "experiment"})


def test_the_metrics_count_requests_by_experiment_how_their_version_was_chosen_and_whether_they_had_a_key(
    tmp_path: Path,
) -> None:
    gateway = started(tmp_path, EVEN)
    for key, model in ((None, "m"), (None, "m"), ("somebody", "m"), ("somebody", "m@2")):
        assert asyncio.run(ask(gateway, key, model)) == 200
    experiment = Assignments.of(document(EVEN), "test").experiment("m")
    counted: dict[tuple[str, ...], float] = {}
    for (model, _, *rest), count in gateway.embeddings.metrics.assignments._pending.items():
        counted[model, *rest] = counted.get((model, *rest), 0) + count
    assert counted == {
        ("m", experiment, "weight", "no"): 2,
        ("m", experiment, "weight", "yes"): 1,
        ("m", experiment, "pin", "yes"): 1,
    }


def test_the_name_of_an_experiment_is_that_of_its_shares_and_not_of_how_they_are_written() -> None:
    names = [
        Assignments.of(document(weights), "test").experiment("m")
        for weights in ({"1": 90, "2": 10}, {"2": 1, "1": 9, "3": 0}, {"1": 89, "2": 11})
    ]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read: No such file"), (b" \n", "is empty"), (b"short", "has 5 bytes and needs 16")],
    ids=["no file", "an empty file", "a short secret"],
)
def test_a_secret_that_is_missing_or_short_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"experiments.exposures.secret_file: .*{said}"):
        read_secret(Exposures(secret_file=str(path)))
    with pytest.raises(ConfigError, match="environment variable SECRET is empty or not set"):
        read_secret(Exposures(secret_env="SECRET"), {})
    assert key_hash(read_secret(Exposures(secret_env="SECRET"), {"SECRET": SECRET.decode()}), "a") == key_hash(
        SECRET, "a"
    )


def test_a_start_without_the_secret_is_refused_before_anything_starts() -> None:
    told = document(EVEN, experiments={"exposures": {"secret_env": "EMBEDSERVE_TEST_NO_SUCH_SECRET"}})
    with pytest.raises(ConfigError, match="EMBEDSERVE_TEST_NO_SUCH_SECRET is empty or not set"):
        require_secret(ServeConfig(told))
    require_secret(ServeConfig(document(EVEN)))


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"experiments": {"exposures": {}}}, "exactly one of secret_env and secret_file"),
        ({"experiments": {"exposures": {"secret_file": "secret"}}}, "must be an absolute path"),
        ({"experiments": {"exposure": {}}}, "exposure"),
        ({"experiments": {"exposures": {"secret_env": "S"}}, "access_log": False}, "access_log must be true"),
    ],
    ids=["no secret", "a relative path", "a typing mistake", "no log to stand in"],
)
def test_a_configuration_of_exposures_that_would_do_nothing_is_refused(told: dict[str, Any], said: str) -> None:
    models = {"m": {"type": "text", "versions": {"1": 1}}}
    with pytest.raises(ConfigError, match=said):
        parse(GatewayConfig, {"models": models, **told}, "user_config")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["m"], "one of the two"),
        (["m", "k", "--from", "keys.csv"], "one of the two"),
        (["n", "k"], "no model 'n' in this configuration; there are: m, other, pinned"),
        (["m@9", "k"], "no version '9' of m there; there are: 1, 2"),
        (["m", ""], "a key is empty"),
        (["m", "k", "--header", "acme"], "must be NAME=VALUE"),
        (["m", "--from", "absent.csv"], "cannot read absent.csv"),
    ],
    ids=["no keys", "keys twice", "an unknown model", "an unknown version", "an empty key", "a header", "no file"],
)
def test_a_wrong_call_of_assign_says_what_would_be_right(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "serve.yaml").write_text(yaml.safe_dump(document(EVEN)))
    result = CliRunner().invoke(commands, ["assign", *arguments, "--config", str(tmp_path / "serve.yaml")])
    assert result.exit_code != 0
    assert said in str(result.exception)
