"""Serving graphs of texts: an encoder's token vectors, and what follows them."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from models.graph.builder import GraphBuilder, Value
from models.graph.head import Head, finish

# Names of outputs with one vector per input, and of outputs with one per token; the first that a graph has is taken.
POOLED_OUTPUTS = ("embedding", "sentence_embedding", "image_embeds", "text_embeds", "image_embedding")
TOKEN_OUTPUTS = ("token_embeddings", "last_hidden_state")
UNIT, RAW = "unit", "raw"  # whether a graph's vectors have length 1, or the length that the model gives them


def sentence_model(graph: GraphBuilder, tokens: Value, head: Head, hidden: int, precision: str) -> onnx.ModelProto:
    """``input_ids`` int64 [n, t], ``attention_mask`` int64 [n, t] → ``embedding`` float32 [n, d].

    Args:
        graph: holds the encoder.
        tokens: its token vectors, [n, t, hidden].
        head: what follows.
        hidden: of the encoder.
        precision: of its products, for the file's properties.
    """
    return graph.model(
        {name: (TensorProto.INT64, ["n", "t"]) for name in ("input_ids", "attention_mask")},
        ("embedding", finish(graph, tokens, head), ["n", head.width(hidden)]),
        {
            "embedserve.output": UNIT if head.unit else RAW,
            "embedserve.precision": precision,
            "embedserve.pooling": "+".join(head.pooling),
        },
    )
