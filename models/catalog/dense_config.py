"""config.json of a Dense module of sentence-transformers."""

from __future__ import annotations

from typing import Any

from models.catalog.fields import Fields
from models.catalog.folder import ModelFolder
from models.errors import ArtifactError
from models.graph.steps import Activation
from models.validation import one_of

ACTIVATIONS: dict[str, Activation] = {
    "torch.nn.modules.linear.Identity": "identity",
    "torch.nn.modules.activation.Tanh": "tanh",
    "torch.nn.modules.activation.ReLU": "relu",
    "torch.nn.modules.activation.GELU": "gelu",
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.modules.activation.SiLU": "silu",
}


def read_dense(folder: ModelFolder, path: str) -> dict[str, Any]:
    """The layer as an element of ``config.dense`` of a catalogue entry.

    Raises:
        ArtifactError: it is not served, or has no weights; the message names file and key.
    """
    name = f"{path}/config.json"
    if not path or not folder.has(name):
        raise ArtifactError(f"modules.json lists Dense, and {name.lstrip('/')} does not exist")
    if not folder.has(f"{path}/model.safetensors"):
        raise ArtifactError(
            f"{path} lacks model.safetensors; pickled weights (.bin) are not loaded: save the model anew"
        )
    fields = folder.fields(name)
    activation = fields.take("activation_function", str, "torch.nn.modules.activation.Tanh")
    if activation not in ACTIVATIONS:
        raise ArtifactError(f"{name}: activation_function is {activation!r:.80}; served are {one_of(ACTIVATIONS)}")
    fields.require("module_input_name", "sentence_embedding")
    fields.require("module_output_name", "sentence_embedding")
    layer: dict[str, Any] = {
        "weights": path,
        "activation": ACTIVATIONS[activation],
        "inputs": _size(fields, "in_features"),
        "outputs": _size(fields, "out_features"),
        "bias": fields.take("bias", bool, True),
    }
    if fields.take("use_residual", bool, False):
        layer["residual"] = True
    fields.end()
    folder.note(f"dense layer {path}", f"{layer['inputs']} to {layer['outputs']}, {layer['activation']}", name)
    return layer


def _size(fields: Fields, key: str) -> int:
    size = fields.take(key, int, 0)
    if size < 1:
        raise ArtifactError(f"{fields.where}: {key} must be a whole number from 1")
    return size
