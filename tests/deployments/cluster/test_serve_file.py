from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import HTTPOptionsSchema

from deployments.cluster.serve_file import ServeConfig
from deployments.cluster.serve_file_check import check
from models.catalog.paths import ROOT
from models.errors import ConfigError

SHIPPED: dict[str, Any] = yaml.safe_load((ROOT / "serve_config.yaml").read_text())


def changed(path: list[Any], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(SHIPPED)
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


GATEWAY: list[Any] = ["applications", 0, "deployments", 0, "user_config"]
ENCODER: list[Any] = ["applications", 1, "deployments", 0, "user_config"]
SCALING: list[Any] = ["applications", 1, "deployments", 0, "autoscaling_config"]
TEXT_ARGS: list[Any] = ["applications", 1, "args"]
IMAGE_CONFIG: list[Any] = ["applications", 2, "deployments", 0, "user_config"]
IMAGE_ARGS: list[Any] = ["applications", 2, "args"]
IMAGE_DEPLOYMENTS: list[Any] = ["applications", 2, "deployments"]
IMAGE: dict[str, Any] = SHIPPED["applications"][2]["deployments"][0]
DECODER: dict[str, Any] = {"name": "Decoder", "ray_actor_options": {"num_cpus": 1}}
MISTAKES: list[tuple[str, list[Any], Any, str]] = [
    ("an unknown key at the top", ["aplications"], [], "unknown key 'aplications'"),
    ("an unknown key of an application", ["applications", 0, "importpath"], "x", "unknown key 'importpath'"),
    (
        "an unknown key of a deployment",
        ["applications", 1, "deployments", 0, "num_replica"],
        2,
        "unknown key 'num_replica'",
    ),
    ("an unknown key of http_options", ["http_options", "prot"], 1, "unknown key 'prot'"),
    ("an unknown key of the gateway's user_config", [*GATEWAY, "alias"], {}, "alias"),
    ("a negative weight", [*GATEWAY, "models", "text-embedding", "versions"], {"1.0.0": -1}, "versions.1.0.0"),
    ("weights that are all zero", [*GATEWAY, "models", "text-embedding", "versions"], {"1.0.0": 0}, "above 0"),
    ("a version that is no string", [*GATEWAY, "models", "text-embedding", "versions"], {1.0: 5}, "versions"),
    (
        "a route to a version without application",
        [*GATEWAY, "models", "text-embedding", "versions"],
        {"1.0.0": 1, "7.0.0": 1},
        "text-embedding--7-0-0",
    ),
    ("an alias to nothing", [*GATEWAY, "aliases"], {"x": "nothing"}, "alias 'x'"),
    ("auth that is none of its words", [*GATEWAY, "auth"], "off", "auth: Input should be 'keys' or 'none'"),
    ("fetching without hosts", [*GATEWAY, "fetch"], {"http": True}, "fetch.hosts"),
    ("fetching from an empty list", [*GATEWAY, "fetch"], {"hosts": []}, "fetch.hosts"),
    ("fetching from a URL", [*GATEWAY, "fetch"], {"hosts": ["https://a.example/"]}, "fetch.hosts.0"),
    ("a network that is none", [*GATEWAY, "fetch"], {"hosts": ["*"], "addresses": ["10.0.0.1/8"]}, "fetch.addresses"),
    ("a rate of nothing", [*GATEWAY, "rate"], {"items_per_second": 0}, "rate.items_per_second"),
    ("bulk without a share", [*GATEWAY, "queue"], {"bulk_share": 0}, "queue.bulk_share"),
    ("an encoder without artifact", ENCODER, {}, "artifact"),
    ("a provider that is none", [*ENCODER, "provider"], "rocm", "provider: Input should be 'auto', 'tensorrt', 'cuda'"),
    ("a provider that needs a card where none is given", [*ENCODER, "provider"], "cuda", "set num_gpus"),
    (
        "an unknown import path",
        ["applications", 1, "import_path"],
        "app:main",
        "allowed: deployments.apps.builders:gateway",
    ),
    ("an application with another name than its version", ["applications", 1, "name"], "text", "text-embedding--1-0-0"),
    ("a profile that is none", ["applications", 0, "args"], {"profile": "prod"}, "profile"),
    ("two profiles", ["applications", 0, "args"], {"profile": "production"}, "different profiles"),
    (
        "an autoscaling policy that does not exist",
        [*SCALING, "policy"],
        {"policy_function": "deployments.autoscaling.policies:Text"},
        "allowed: deployments.autoscaling.policies:GatewayPolicy",
    ),
    (
        "an argument that the policy does not take",
        [*SCALING, "policy"],
        {"policy_function": "deployments.autoscaling.policies:TextPolicy", "policy_kwargs": {"utilization": 0.5}},
        "utilization",
    ),
    ("an unknown key of autoscaling_config", [*SCALING, "upscale_dely_s"], 1, "unknown key 'upscale_dely_s'"),
    ("a version that may sleep and of which the gateway does not know", [*SCALING, "min_replicas"], 0, "scale_to_zero"),
    (
        "a version of which the gateway believes that it may sleep",
        [*GATEWAY, "models", "text-embedding", "scale_to_zero"],
        ["1.0.0"],
        "has min_replicas 1",
    ),
    ("no applications", ["applications"], None, "applications"),
    (
        "a place to decode that is none",
        [*IMAGE_ARGS, "decode"],
        "beside",
        "decode: Input should be 'inside' or 'separate'",
    ),
    ("a place to decode text", [*TEXT_ARGS, "decode"], "separate", "a TextEncoder takes inside"),
    ("a decoder that is not deployed", [*IMAGE_ARGS, "decode"], "separate", "deployments lacks 'Decoder'"),
    ("a decoder that nobody calls", IMAGE_DEPLOYMENTS, [IMAGE, DECODER], "args.decode is inside"),
    (
        "a limit of the gateway in an encoder",
        [*IMAGE_CONFIG, "limits"],
        {"items": 3, "body_s": 9},
        "move body_s, items",
    ),
    ("a format that nothing opens", [*GATEWAY, "limits"], {"image_formats": ["JPG"]}, "image_formats.0: must be JPEG"),
    ("no format at all", [*GATEWAY, "limits"], {"image_formats": []}, "image_formats: must name at least one"),
    ("limits of images for text", [*ENCODER, "limits"], {"image_pixels": 9}, "limits is for encoders of images"),
    ("a margin of images for text", [*ENCODER, "shrink_margin"], 3, "shrink_margin is for encoders of images"),
    (
        "an encoder that takes more than the gateway",
        [*IMAGE_CONFIG, "limits"],
        {"image_pixels": 60_000_000},
        "limits.image_pixels allows more than limits.image_pixels in the gateway's",
    ),
    (
        "a gateway that takes more than an encoder",
        [*GATEWAY, "limits"],
        {"image_pixels": 60_000_000},
        "say limits.image_pixels in the encoder's user_config too",
    ),
    (
        "a format that only the gateway takes",
        [*GATEWAY, "limits"],
        {"image_formats": ["PNG", "ICO"]},
        "say limits.image_formats in the encoder's user_config too",
    ),
    (
        "fewer requests than the gateway takes",
        ["applications", 0, "deployments", 0, "max_ongoing_requests"],
        255,
        "max_ongoing_requests must be at least queue.open_requests (256), not 255",
    ),
    (
        "a bound on requests that the gateway's pass by",
        ["applications", 0, "deployments", 0, "max_queued_requests"],
        9,
        "max_queued_requests does nothing here, remove it: queue.open_requests",
    ),
    (
        "a bound on calls that the encoder's pass by",
        ["applications", 1, "deployments", 0, "max_queued_requests"],
        9,
        "max_queued_requests does nothing here, remove it: queue.waiting_items",
    ),
    (
        "a router that no call passes",
        ["applications", 1, "deployments", 0, "request_router_config"],
        {"initial_backoff_s": 1},
        "request_router_config does nothing here",
    ),
    (
        "a deadline of Serve",
        ["http_options", "request_timeout_s"],
        3,
        "request_timeout_s does nothing here, remove it: q",
    ),
    ("TLS of Serve", ["http_options", "ssl_ca_certs"], "ca.pem", "ssl_ca_certs does nothing here, remove it: TLS ends"),
    (
        "a deadline of gRPC",
        ["grpc_options"],
        {"request_timeout_s": 3},
        "request_timeout_s does nothing here, remove it: q",
    ),
    ("services of gRPC that nobody has", ["grpc_options"], {"grpc_servicer_functions": ["a:b"]}, "must be ['deploy"),
    (
        "a policy for an application",
        ["applications", 0, "autoscaling_policy"],
        {"policy_function": "a:b"},
        "autoscaling_policy does nothing here",
    ),
    ("a target of Serve's policy beside ours", [*SCALING, "target_ongoing_requests"], 5, "policy_kwargs.utilisation"),
    (
        "Serve's policy for gateways",
        ["applications", 0, "deployments", 0, "autoscaling_config"],
        {"min_replicas": 1, "max_replicas": 2},
        "does not see a gateway's requests",
    ),
    (
        "an unknown key of ray_actor_options",
        ["applications", 1, "deployments", 0, "ray_actor_options"],
        {"num_cpu": 1},
        "unknown key 'num_cpu'",
    ),
    ("an encoder that is asked over HTTP", ["applications", 1, "route_prefix"], "/text", "write route_prefix: null"),
]


@pytest.mark.parametrize(("path", "value", "says"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_a_mistake_is_refused_by_the_name_of_its_key(path: list[Any], value: Any, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(changed(path, value), "serve_config.yaml")
    assert says in str(caught.value)


def test_an_encoder_may_be_stricter_than_the_gateway_and_both_may_allow_more() -> None:
    check(changed([*IMAGE_CONFIG, "limits"], {"image_pixels": 1000, "image_formats": ["png"]}), "here")
    document = changed([*IMAGE_CONFIG, "limits"], {"image_pixels": 60_000_000, "image_formats": ["JPEG", "ICO"]})
    document["applications"][0]["deployments"][0]["user_config"]["limits"] = {
        "image_pixels": 60_000_000,
        "image_formats": ["JPEG", "ICO"],
    }
    check(document, "here")


def test_keys_that_serve_reports_without_a_value_are_no_mistake() -> None:
    document = copy.deepcopy(SHIPPED)
    document["http_options"] = {**HTTPOptionsSchema().model_dump(), **document["http_options"]}
    check(document, "here")


def test_the_shipped_configuration_is_right_and_pulls_what_it_serves() -> None:
    config = ServeConfig.load(ROOT / "serve_config.yaml")
    assert list(config.artifacts()) == ["text-embedding@1.0.0", "image-embedding@1.0.0", "clip-text-embedding@1.0.0"]
    assert config.sleeping() == ["clip-text-embedding@1.0.0"], "it is fetched once the service is ready"
    assert config.profiles == {"development"}


def test_a_local_start_may_change_port_and_profile_only() -> None:
    config = ServeConfig.load(ROOT / "serve_config.yaml").with_local(port=8123, profile="production")
    assert config.port == 8123
    assert config.profiles == {"production"}
    assert ServeConfig.load(ROOT / "serve_config.yaml").port == 8000


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        ServeConfig.load(tmp_path / "none.yaml")


def test_a_version_may_sleep_when_both_sides_say_so_and_not_sooner_than_gateways_forget_it() -> None:
    document = changed([*SCALING, "min_replicas"], 0)
    document["applications"][0]["deployments"][0]["user_config"]["models"]["text-embedding"]["scale_to_zero"] = [
        "1.0.0"
    ]
    check(document, "here")
    document["applications"][1]["deployments"][0]["autoscaling_config"]["downscale_to_zero_delay_s"] = 5
    with pytest.raises(ConfigError, match="downscale_to_zero_delay_s must be at least 20"):
        check(document, "here")


def test_serves_own_policy_stays_available() -> None:
    check(changed([*SCALING, "policy"], None), "here")


@pytest.mark.parametrize("gpus", [1, 0.5, 0.25], ids=lambda gpus: f"{gpus} of a card")
def test_an_encoder_may_ask_for_cuda_with(gpus: float) -> None:
    document = changed([*ENCODER, "provider"], "cuda")
    document["applications"][1]["deployments"][0]["ray_actor_options"]["num_gpus"] = gpus
    check(document, "here")


def with_decoder(**changes: Any) -> dict[str, Any]:
    document = copy.deepcopy(SHIPPED)
    app = document["applications"][2]
    app["args"]["decode"] = "separate"
    app["deployments"].insert(0, {**DECODER, **changes})
    return document


def test_a_decoder_beside_the_encoder_needs_no_configuration_of_its_own() -> None:
    document = with_decoder()
    check(document, "serve_config.yaml")
    assert ServeConfig(document).artifacts() == ServeConfig(SHIPPED).artifacts()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"user_config": {"artifact": "image-embedding@1.0.0"}}, "takes no user_config"),
        ({"autoscaling_config": {"min_replicas": 0, "max_replicas": 2}}, "min_replicas must be 1 or more"),
        ({"num_cpus": 2}, "unknown key 'num_cpus'"),
    ],
    ids=["an artifact", "sleep", "a key that Serve does not know"],
)
def test_what_a_decoder_cannot_be_told_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check(with_decoder(**changes), "serve_config.yaml")


def test_where_nobody_says_how_many_replicas_there_may_be_a_local_start_takes_the_cores() -> None:
    document = copy.deepcopy(SHIPPED)
    scaling = [app["deployments"][0]["autoscaling_config"] for app in document["applications"]]
    del scaling[1]["max_replicas"]
    scaling[2].pop("max_replicas")
    scaling[2]["min_replicas"] = 7
    local = ServeConfig(document).with_cores(6).document
    found = [app["deployments"][0]["autoscaling_config"]["max_replicas"] for app in local["applications"]]
    kept = [app["deployments"][0]["autoscaling_config"]["max_replicas"] for app in SHIPPED["applications"]]
    assert found == [kept[0], 6, 7, kept[3]]
