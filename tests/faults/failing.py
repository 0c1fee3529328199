"""A text encoder whose engine really hangs or really fails when a text says so.

Serve asks for the builder's annotations as objects, so that this module does without postponed annotations.
"""

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray import serve
from ray.serve import Application

from deployments.apps.builders import bind
from deployments.config.args import EncoderArgs
from deployments.config.encoder import EncoderConfig
from deployments.encoder.encoder import TextEncoder
from models.embedder import TextEmbedder

FOLDER = "EMBEDSERVE_TEST_FAULTS"  # an environment variable: where it is noted that a fault has happened
HANG, FAIL, FAIL_ALL = "let the engine hang once", "let the engine fail once", "let every engine fail that sees this"
BROKEN = "no-engine-works"  # the name of a file in that folder; while it is there


@serve.deployment(name="TextEncoder")
class FailingEncoder(TextEncoder.func_or_class):  # type: ignore[name-defined, misc]
    """Serves as usual until it gets one of the three texts, or no engine is to work."""

    def _load(self, config: EncoderConfig) -> Any:
        loaded = super()._load(config)
        works = loaded.embedder.engine.run_text

        def run_text(*inputs: Any) -> Any:
            return (_fail if Path(os.environ[FOLDER], BROKEN).exists() else works)(*inputs)

        loaded.embedder.engine.run_text = run_text
        return loaded

    def _embed(self, embedder: TextEmbedder, rows: list[NDArray[Any]]) -> NDArray[np.float32]:
        for text, fault in ((HANG, _hang), (FAIL, _fail), (FAIL_ALL, _fail)):
            trigger = embedder.tokenizer.encode([text])[0]
            if any(np.array_equal(row, trigger) for row in rows) and (text == FAIL_ALL or _first(text)):
                embedder.engine.run_text = fault  # type: ignore[method-assign]
        vectors: NDArray[np.float32] = super()._embed(embedder, rows)
        return vectors


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
    """As ``deployments.apps.builders.text_encoder``."""
    return bind(FailingEncoder, args.model, args.profile)
