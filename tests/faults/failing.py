"""A text encoder whose engine really hangs or really fails when a text says so.

Serve asks for the builder's annotations as objects, so that this module does without postponed annotations.
"""

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray import serve
from ray.serve import Application

from deployments.apps.builders import bind
from deployments.apps.encoder import Encoder
from deployments.config.args import EncoderArgs
from deployments.config.encoder import EncoderConfig
from deployments.encoder.loaded import Loaded
from models.modalities.text import TextEmbedder

FOLDER = "EMBEDSERVE_TEST_FAULTS"  # an environment variable: where it is noted that a fault has happened
HANG, FAIL, FAIL_ALL = "let the engine hang once", "let the engine fail once", "let every engine fail that sees this"
HANG_ALL = "let every engine hang that sees this"
BROKEN = "no-engine-works"  # the name of a file in that folder; while it is there


@serve.deployment(name="TextEncoder")
class FailingEncoder(Encoder.func_or_class):  # type: ignore[name-defined, misc]
    """Serves as usual until it gets one of the four texts, or no engine is to work."""

    def _switched(self, config: EncoderConfig, loaded: Loaded) -> None:
        super()._switched(config, loaded)
        embedder = loaded.embedder
        assert isinstance(embedder, TextEmbedder)
        works, faults = embedder.embed_rows, []

        def embed_rows(rows: Sequence[Any]) -> NDArray[np.float32]:
            for text, fault in ((HANG, _hang), (FAIL, _fail), (FAIL_ALL, _fail), (HANG_ALL, _hang)):
                trigger = embedder.tokenizer.encode([text])[0]
                if any(np.array_equal(row, trigger) for row in rows) and (text in (FAIL_ALL, HANG_ALL) or _first(text)):
                    faults.append(fault)
            if Path(os.environ[FOLDER], BROKEN).exists():
                _fail()
            return faults[0]() if faults else works(rows)

        embedder.embed_rows = embed_rows  # type: ignore[method-assign]


def _hang(*_: object) -> Any:
    threading.Event().wait()


def _fail(*_: object) -> Any:
    raise RuntimeError("the device is gone")


def _first(text: str) -> bool:
    """Whether no other replica had this fault before."""
    try:
        Path(os.environ[FOLDER], text.replace(" ", "-")).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def text_encoder(args: EncoderArgs) -> Application:
    """As ``deployments.apps.builders.encoder``."""
    return bind(FailingEncoder, args.model, args.profile)
