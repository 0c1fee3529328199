"""The replicas of a version agree on one numerics class; the cluster's store is a dictionary here."""

from __future__ import annotations

import pytest

from deployments.config.base import parse
from deployments.config.encoder import EncoderConfig
from deployments.contract.embedding import Label
from deployments.encoder.numerics_agreement import STARTING_S, Agreement
from models.errors import ArtifactError, ConfigError

VNNI = "cpu/int8/avx512_vnni/onnxruntime-1.32.0"
PLAIN = "cpu/int8/avx2/onnxruntime-1.32.0"


class Cluster:
    """Replicas that start, serve and end, and what they share."""

    def __init__(self, *, store: bool = True) -> None:
        self.store = store
        self.kept: dict[str, str] = {}
        self.serving: list[Label] = []
        self.time = 1000.0

    def available(self) -> bool:
        return self.store

    def claim(self, key: str, value: str) -> str:
        return self.kept.setdefault(key, value)

    def replace(self, key: str, value: str) -> None:
        self.kept[key] = value

    async def _asked(self) -> list[Label]:
        return list(self.serving)

    async def load(self, computed: str, hash_: str = "h", **config: str) -> Label:
        """A replica loads an artifact, and is about to serve."""
        label = Label("m@1", hash_, numerics=computed)
        wanted = EncoderConfig(artifact="m@1", **config)
        await Agreement(self, self._asked, lambda: self.time).require(label, wanted)
        return label

    async def start(self, computed: str, hash_: str = "h", **config: str) -> None:
        """A replica starts and serves."""
        self.serving.append(await self.load(computed, hash_, **config))


async def test_the_first_replica_decides_and_others_of_its_kind_join() -> None:
    cluster = Cluster()
    await cluster.start(VNNI)
    await cluster.start(VNNI)
    cluster.time += 10 * STARTING_S
    with pytest.raises(
        ArtifactError, match=f"would be computed here as {PLAIN}, and its other replicas compute {VNNI}"
    ):
        await cluster.start(PLAIN)
    await cluster.start(VNNI)


async def test_the_refusal_says_what_helps() -> None:
    cluster = Cluster()
    await cluster.start(VNNI)
    with pytest.raises(ArtifactError, match=r"nodes with the same processors .* `numerics: mixed` in its user_config"):
        await cluster.load(PLAIN)


async def test_of_two_that_start_at_once_the_second_gives_way() -> None:
    cluster = Cluster()
    first = await cluster.load(VNNI)
    with pytest.raises(ArtifactError):
        await cluster.load(PLAIN)
    cluster.serving.append(first)
    with pytest.raises(ArtifactError):
        await cluster.load(PLAIN)


async def test_when_no_replica_of_the_first_kind_is_left_the_next_decides() -> None:
    cluster = Cluster()
    await cluster.start(VNNI)
    cluster.serving.clear()
    cluster.time += STARTING_S + 1
    await cluster.start(PLAIN)
    cluster.time += STARTING_S + 1
    with pytest.raises(ArtifactError):
        await cluster.start(VNNI)


async def test_another_artifact_or_another_provider_is_another_decision() -> None:
    cluster = Cluster()
    await cluster.start(VNNI, provider="cpu")
    await cluster.load(PLAIN, hash_="another")
    await cluster.load(PLAIN, provider="auto")


async def test_the_configuration_pins_a_class_or_lets_them_mix() -> None:
    cluster = Cluster()
    await cluster.start(VNNI, numerics=VNNI)
    with pytest.raises(ArtifactError, match=f"user_config asks for {VNNI}"):
        await cluster.start(PLAIN, numerics=VNNI)
    await cluster.start(PLAIN, numerics="mixed")
    assert not cluster.kept, "what the configuration decides is no replica's decision"


async def test_without_the_store_the_replicas_that_serve_decide() -> None:
    cluster = Cluster(store=False)
    await cluster.start(VNNI)
    with pytest.raises(ArtifactError):
        await cluster.start(PLAIN)
    await cluster.start(VNNI)


@pytest.mark.parametrize("wrong", ["", "any", "cpu/int8", "cpu/int8/AVX2/x", "cpu/int8/avx2/onnxruntime 1"])
def test_what_is_no_class_is_refused_with_what_would_be_one(wrong: str) -> None:
    with pytest.raises(ConfigError, match=r"numerics: must be agreed, mixed, or a class as /v1/models shows it"):
        parse(EncoderConfig, {"artifact": "m@1", "numerics": wrong}, "user_config")
