"""Opens the artifact that an encoder's configuration names, and proves it before it serves."""

from __future__ import annotations

from collections.abc import Callable

from deployments.config.base import Profile
from deployments.config.encoder import MIXED, EncoderConfig
from deployments.contract.embedding import Label
from deployments.encoder import device
from deployments.encoder.loaded import Loaded
from deployments.observability.logging import logger
from models.catalog.artifact import Artifact, open_artifact, with_shrinking
from models.catalog.catalog import Catalog
from models.catalog.model_spec import ModelSpec
from models.catalog.paths import found_path
from models.catalog.record import is_synthetic, vouched
from models.catalog.source_entry import RANDOM
from models.catalog.store import pull
from models.embedder import open_embedder, warm_up
from models.engine.session import EngineOptions
from models.errors import ArtifactError

# For real weights where random ones stand in: a silent hub or proxy would hold up a swap for minutes.
LOOK_AGAIN_S = 600.0


class ArtifactLoader:
    """Loads artifacts for one version, one at a time."""

    def __init__(
        self,
        spec: ModelSpec,
        profile: Profile,
        options: Callable[[EncoderConfig, Artifact], EngineOptions] = device.engine_options,
    ) -> None:
        """Load for the version ``spec``.

        Args:
            spec: the version that the encoder serves.
            profile: ``production`` refuses synthetic weights, and a provider other than the one asked for.
            options: chooses the options of an artifact's engine; the default needs a Ray worker.
        """
        self._spec = spec
        self._profile = profile
        self.options = options

    def load(self, config: EncoderConfig) -> Loaded:
        """Open the artifact, prove that it computes as it should, and run it in the shapes of requests.

        Raises:
            EmbedserveError: it is not what the configuration says, may not be served here, or does not compute.
        """
        opened = self._artifact(config.artifact)
        artifact = with_shrinking(opened, config.shrink_margin)
        name = artifact.graph.name
        if config.hash is not None and config.hash != artifact.hash:
            raise ArtifactError(f"{name} has content hash {artifact.hash}, user_config asks for {config.hash}")
        synthetic = is_synthetic(artifact)
        if synthetic and self._profile == "production":
            raise ArtifactError(f"{name} has synthetic weights, which the production profile refuses")
        if config.hash is None and not vouched(opened):
            self._require_known(opened, config.shrink_margin)
        embedder = open_embedder(artifact, self.options(config, artifact))
        device.prove(embedder, config, self._profile)
        warm_up(embedder)
        for trouble in embedder.engine.noticed:
            logger.warning("%s", trouble)
        dependent = bool(artifact.spec.config.get("batch_dependent"))
        numerics = embedder.engine.numerics(artifact.spec.precision)
        mapped = artifact.spec.adapted
        adapted = None if mapped is None else (mapped.to, mapped.hash)
        label = Label(self._spec.reference, artifact.hash, synthetic, numerics, dependent, adapted)
        found = {RANDOM} if synthetic else artifact.spec.checkpoints - {RANDOM}
        prepare = embedder.preparation(config.limits)
        return Loaded(
            embedder,
            label,
            prepare,
            config.numerics == MIXED,
            tuple(sorted(found)),
            device.notices(embedder, config),
        )

    def _require_known(self, artifact: Artifact, margin: int | None) -> None:
        """Production serves no file of which nothing says what it should be; elsewhere the log names it."""
        shown = with_shrinking(artifact, margin).hash
        said = f"neither a record nor a hash says what {artifact.graph.name} should be; `hash: {shown}` in user_config pins it"
        if self._profile == "production":
            raise ArtifactError(said)
        logger.warning("%s", said)

    def _artifact(self, name: str) -> Artifact:
        if "@" not in name:
            return open_artifact(self._spec, found_path(name))
        spec = Catalog.load().find(name)
        if (spec.type, spec.dimensions) != (self._spec.type, self._spec.dimensions):
            raise ArtifactError(
                f"{name} is {spec.type} with {spec.dimensions} dimensions; {self._spec.reference} is "
                f"{self._spec.type} with {self._spec.dimensions}: give it a version of its own"
            )
        return pull(spec, allow_synthetic=self._profile == "development", retry_s=LOOK_AGAIN_S)
