"""The schemas of everything that serve_config.yaml hands to our deployments. Each default has its reason beside it."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from models.catalog.catalog import NAME, SHRINK_MARGIN, VERSION, describe
from models.engine.providers import Wish
from models.errors import ConfigError

Profile = Literal["development", "production"]
Modality = Literal["text", "image"]
MIB = 1 << 20


class Strict(BaseModel):
    """A mapping whose unknown keys are errors: Serve itself ignores typing mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Override(Strict):
    """Requests that a version answers whatever the weights say: those of one routing key, or with one header value."""

    version: str
    key: str | None = None
    header: str | None = None
    value: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.key is None) == (self.header is None) or (self.header is None) != (self.value is None):
            raise ValueError("an override has either a key, or a header and its value")
        return self


class ModelRoutes(Strict):
    """The versions of one model name that the gateway reaches, and the share of traffic of each."""

    type: Modality
    versions: dict[str, Annotated[float, Field(ge=0, le=1000)]]  # weights, relative to their sum; 0: pinned use only
    overrides: list[Override] = []  # the first that matches counts
    shadow: dict[str, Annotated[float, Field(ge=0, le=100)]] = {}  # percent of requests copied to a version, unanswered
    scale_to_zero: list[str] = []  # versions with min_replicas 0: their requests wait for a first replica, never 503
    fallback: str | None = None  # answers when the chosen version has no replica; none: 503, for its space is another

    @field_validator("versions")
    @classmethod
    def _check(cls, versions: dict[str, float]) -> dict[str, float]:
        for version in versions:
            if not VERSION.match(version):
                raise ValueError(f"version {version!r} must be letters, digits, '.' and '-'")
        if not versions or sum(versions.values()) <= 0:
            raise ValueError("at least one version needs a weight above 0")
        return versions

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        named = {*self.shadow, *self.scale_to_zero, *(override.version for override in self.overrides)}
        named |= {self.fallback} if self.fallback else set()
        unknown = sorted(named - set(self.versions))
        if unknown:
            raise ValueError(f"version {unknown[0]!r} is not among the versions; list it there with weight 0")
        return self


class Limits(Strict):
    """What the gateway refuses before any work is done."""

    body_bytes: Annotated[int, Field(ge=1024)] = 32 * MIB  # 16 phone photos; larger jobs are several requests
    body_s: Annotated[float, Field(gt=0)] = 30.0  # until the body has arrived: a full one at 9 Mbit/s
    items: Annotated[int, Field(ge=1)] = 2048  # what the OpenAI API allows in one list
    characters: Annotated[int, Field(ge=1)] = 200_000  # of one text; beyond it only the first 256 pieces would count
    tokens: Annotated[int, Field(ge=1)] = 65_536  # ids of one token list, for the same reason
    image_bytes: Annotated[int, Field(ge=1024)] = 20 * MIB  # a 50-megapixel JPEG
    image_pixels: Annotated[int, Field(ge=1)] = 50_000_000  # 150 MB decoded
    image_formats: tuple[str, ...] = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


class Queue(Strict):
    """How requests wait for a version and leave together."""

    # Per gateway; beyond it 503, before a request is read. A quarter of a second's work of 2 cores. HAProxy refuses beyond
    # the same number (`HAPROXY_DEFAULTS`), so that this one counts where several nodes' HAProxies ask the same gateway.
    open_requests: Annotated[int, Field(ge=1)] = 256
    waiting_items: Annotated[int, Field(ge=1)] = 4096  # per version; beyond it 503, whatever is known of the speed
    waiting_s: Annotated[float, Field(gt=0)] | None = None  # of work at the measured speed; none: callers know best
    bulk_waiting: Annotated[float, Field(gt=0, le=1)] = 0.5  # part of both for bulk; the rest is kept for users
    bulk_share: Annotated[float, Field(gt=0, le=1)] = 0.1  # of the work while users wait, so that bulk goes on
    call_cost: Annotated[int, Field(ge=1)] = 1024  # tokens (text) in one call: above it a batch gains no speed
    call_images: Annotated[int, Field(ge=1)] = 8  # images in one call, for the same reason
    calls_per_replica: Annotated[int, Field(ge=1)] = 2  # one that computes and one that is prepared meanwhile
    # At most, for requests that would otherwise leave in a small call beside a large one; while a replica has nothing to do,
    # nobody waits. With 5 ms and 20 ms as many are served: what they wait for is there before either.
    gather_s: Annotated[float, Field(ge=0, le=1)] = 0.01
    timeout_s: Annotated[float, Field(gt=0)] = 30.0  # a request's deadline when it brings none


class SharedCacheConfig(Strict):
    """A Redis or Valkey server that all gateways ask for what their own memory lacks.

    Its URL may hold a password and so never stands here: exactly one of ``url_env`` and ``url_file`` says where it is.
    """

    url_env: str | None = None  # an environment variable of every node that may run a gateway
    url_file: str | None = None  # a file there, such as a mounted secret
    timeout_ms: Annotated[float, Field(ge=1, le=1000)] = 5.0  # a near server needs 1; in 5 a short text is computed
    ttl_s: Annotated[int, Field(ge=1)] = 7 * 86_400  # vectors of artifacts that serve no more go within a week
    waiting_writes: Annotated[int, Field(ge=1)] = (
        4096  # per gateway, 8 MB at 512 dimensions; beyond it they are dropped
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.url_env is None) == (self.url_file is None):
            raise ValueError("a shared cache has either url_env or url_file")
        return self


class Rate(Strict):
    """How many inputs each API key may send to one gateway replica; callers without a key share one allowance."""

    items_per_second: Annotated[float, Field(gt=0)] | None = None  # none: queues shed what no machine can take anyway
    burst_s: Annotated[float, Field(gt=0, le=3600)] = 10.0  # unused seconds that may come at once: a job's first lists
    keys: dict[str, Annotated[float, Field(gt=0)]] = {}  # another rate for a key, by its name


class Cache(Strict):
    """The gateway's cache of vectors."""

    bytes: Annotated[int, Field(ge=0)] = 256 * MIB  # about 150,000 texts at 384 dimensions; 0 switches it off
    shared: SharedCacheConfig | None = None  # off: one gateway gains nothing from it, and it is one more thing to run


class Fetch(Strict):
    """Images that clients name by URL. Without this mapping the gateway fetches nothing."""

    # Names, `*.example.com` for all names below one, or `*`: then clients choose whom the gateway calls on.
    hosts: Annotated[
        tuple[Annotated[str, Field(pattern=r"^(\*|(\*\.)?[a-z0-9:]([a-z0-9.:-]*[a-z0-9])?)$")], ...],
        Field(min_length=1),
    ]
    http: bool = False  # whoever sits on the way reads and changes what comes without TLS
    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (443, 80)  # others are rarely pictures, often machinery
    addresses: tuple[IPv4Network | IPv6Network, ...] = ()  # networks allowed although they are not public
    redirects: Annotated[int, Field(ge=0, le=10)] = 3  # to https, to a CDN, to the picture
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0  # for all of it, redirects too; users wait meanwhile
    at_once: Annotated[int, Field(ge=1, le=1000)] = 16  # fetches of a gateway replica; each may hold limits.image_bytes
    per_request: Annotated[int, Field(ge=1)] = 32  # one request must not set the gateway upon a stranger


class GatewayConfig(Strict):
    """``user_config`` of the Gateway deployment; all of it may change while it runs."""

    models: dict[str, ModelRoutes]
    aliases: dict[str, str] = {}
    auth: Literal["keys", "none"] = "keys"  # asked for where they are configured; production does not start without
    limits: Limits = Limits()
    queue: Queue = Queue()
    rate: Rate = Rate()
    fetch: Fetch | None = None  # off: a gateway that calls where clients tell it is a way into the private network
    cache: Cache = Cache()
    access_log: bool = True  # a line for each request: 10 µs of a gateway, without which no request can be looked up
    revision: int = 0  # counted up by the operators' commands, so that two at once notice each other
    previous: dict[str, Any] = {}  # what `embedserve rollback` goes back to, by model; `@last` signs a change under way

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.models:
            if not NAME.match(name):
                raise ValueError(f"model name {name!r} must be lower-case letters, digits and '-', at most 40")
        for alias, target in self.aliases.items():
            name, _, version = target.partition("@")
            if name not in self.models or (version and version not in self.models[name].versions):
                raise ValueError(f"alias {alias!r} points at {target!r}, which is not among the models")
        return self


class EncoderConfig(Strict):
    """``user_config`` of an encoder deployment; a change swaps the artifact without a restart."""

    artifact: str  # `name@version` of the catalogue, or the path of a graph to serve under this version's label
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None  # refuse an artifact with another content hash
    threads: Annotated[int, Field(ge=0, le=256)] = 0  # ONNX Runtime's threads; 0: the replica's cores
    # The second batch in the engine has a session of its own, where a graph's threads share its operators. 16 texts in fp32
    # per request: 47 requests/s, 40 without; pictures in fp32 22 and 19. Takes the weights' memory twice: 80 MB for text.
    spare_session: bool = True
    batch_cost: Annotated[int, Field(ge=1)] = 2048  # tokens (or images × 64) that one batch may hold
    engine_timeout_s: Annotated[float, Field(gt=0)] = 20.0  # a batch takes 0.1 to 2 s; what takes ten times that hangs
    shrink_margin: int | None = None  # decode large JPEGs smaller, 3 or more; 0: never; none: as the catalogue says
    provider: Wish = "auto"  # the best of what this replica has; in production any other must be got, or nothing loads
    cuda_graph: bool = False  # replay captured launches: pays where batches are small, and one batch at a time runs
    engine_cache: str | None = None  # a folder for TensorRT's engines, which take minutes; none: built at each start
    limits: Limits = Limits()

    @field_validator("shrink_margin")
    @classmethod
    def _check_margin(cls, margin: int | None) -> int | None:
        if margin and not SHRINK_MARGIN <= margin <= 64:
            raise ValueError(f"must be 0 (every pixel is decoded) or {SHRINK_MARGIN} to 64; less moves vectors too far")
        return margin


T = TypeVar("T", bound=BaseModel)


def parse(schema: type[T], document: Any, where: str) -> T:
    """Validate a part of the configuration.

    Raises:
        ConfigError: names each wrong key and what it got.
    """
    try:
        return schema.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{where} is invalid: {describe(error)}") from error


def application_name(model: str, version: str) -> str:
    """The Serve application of one model version: ``text-embedding--1-0-0``."""
    return f"{model}--{version.replace('.', '-')}"


DEPLOYMENT_NAMES: dict[Modality, str] = {"text": "TextEncoder", "image": "ImageEncoder"}
DECODER_NAME = "Decoder"
GATEWAY_APPLICATION = "gateway"
