"""A text encoder one of whose replicas refuses a swap, as one on a node whose store lacks the file.

Serve asks for the builder's annotations as objects, so that this module does without postponed annotations.
"""

import tempfile
from pathlib import Path

from ray import serve
from ray.serve import Application

from deployments.apps.builders import bind
from deployments.apps.encoder import Encoder
from deployments.config.args import EncoderArgs
from models.catalog.artifact import Artifact
from models.errors import ArtifactError


@serve.deployment(name="TextEncoder")
class RefusingEncoder(Encoder.func_or_class):  # type: ignore[name-defined, misc]
    """Serves as usual; the first replica that is to load another version's artifact lacks it."""

    def __init__(self, reference: str, profile: str) -> None:
        super().__init__(reference, profile)
        found, lacks = self._slot._loader._artifact, []

        def artifact(name: str) -> Artifact:
            if name != reference and (lacks or _first()):
                lacks.append(name)
                raise ArtifactError(f"{name} is not in the store")
            return found(name)

        self._slot._loader._artifact = artifact


def _first() -> bool:
    """Whether no other replica of this service was first."""
    try:
        Path(tempfile.gettempdir(), "lacks-an-artifact").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def text_encoder(args: EncoderArgs) -> Application:
    """As ``deployments.apps.builders.encoder``."""
    return bind(RefusingEncoder, args.model, args.profile)
