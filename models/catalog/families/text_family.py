"""What the families of sentence encoders share: everything but the encoder."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import onnx

from models.catalog.families.base import Family
from models.catalog.folder import ModelFolder
from models.catalog.head_weights import head_of
from models.catalog.text_folder import text_settings
from models.errors import ArtifactError
from models.graph.builder import GraphBuilder, Value
from models.graph.linear import Linear, Weights
from models.graph.sentence import sentence_model

# The keys of config.json that say how large a weight is, by the end of its name.
SIZES = {
    ".word_embeddings.weight": ("vocab_size", "hidden_size"),
    ".position_embeddings.weight": ("max_position_embeddings", "hidden_size"),
    ".token_type_embeddings.weight": ("type_vocab_size", "hidden_size"),
    ".intermediate.dense.weight": ("intermediate_size", "hidden_size"),
}


class TextFamily(Family):
    """An encoder of texts: a family says how long they may be, and adds the nodes up to the token vectors."""

    modality = "text"

    @abstractmethod
    def hidden(self, config: dict[str, Any]) -> int:
        """Dimensions of its token vectors."""

    @abstractmethod
    def positions(self, config: dict[str, Any]) -> int | None:
        """Tokens that its table of positions has room for: without those that RoBERTa keeps free; None for no table."""

    @abstractmethod
    def tokens(self, graph: GraphBuilder, config: dict[str, Any], weights: Weights, linear: Linear) -> Value:
        """Add the nodes from ``input_ids`` and ``attention_mask``, int64 [n, t], to token vectors [n, t, hidden].

        Padding is on the right. Token vectors may not depend on it, nor on the other rows, to the last bit.

        Raises:
            ArtifactError: the configuration asks for something that the graph cannot do.
            KeyError: a weight is missing.
        """

    def dimensions(self, config: dict[str, Any], settings: dict[str, Any]) -> int:
        """What pooling, dense layers and truncation make of the token vectors' size.

        Raises:
            ArtifactError: a dense layer takes vectors of another size than it gets.
        """
        pooling = settings["pooling"]
        width = self.hidden(config) * (1 if isinstance(pooling, str) else len(pooling))
        for layer in settings.get("dense", ()):
            if layer["inputs"] != width:
                raise ArtifactError(
                    f"{layer['weights']}/config.json: in_features is {layer['inputs']}, and it gets {width}"
                )
            width = layer["outputs"]
        return min(width, int(settings.get("truncate_dim", width)))

    def settings(self, config: dict[str, Any], folder: ModelFolder) -> dict[str, Any]:
        """Everything that the folder's files say."""
        return text_settings(folder, config, self.positions(config))

    def build(
        self, config: dict[str, Any], weights: Weights, linear: Linear, settings: dict[str, Any]
    ) -> onnx.ModelProto:
        """Encoder, pooling and what follows in one graph."""
        _require_sizes(config, weights)
        graph = GraphBuilder("text_encoder", linear.dtype, standard=linear.standard)
        tokens = self.tokens(graph, config, weights, linear)
        return sentence_model(graph, tokens, head_of(settings, weights), self.hidden(config), linear.precision)


def _require_sizes(config: dict[str, Any], weights: Weights) -> None:
    """Refuse a config.json whose sizes are not those of the weights, as transformers does."""
    for name, array in weights.items():
        for ending, keys in SIZES.items():
            for axis, key in enumerate(keys):
                if name.endswith(ending) and config.get(key, array.shape[axis]) != array.shape[axis]:
                    raise ArtifactError(
                        f"config.json: {key} is {config[key]!r:.60}, and the weights {name} are {tuple(array.shape)}"
                    )
