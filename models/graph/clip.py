"""The pre-norm transformer block of the towers of CLIP and SigLIP."""

from __future__ import annotations

from models.graph.attention import output_bias, self_attention
from models.graph.builder import GraphBuilder, Value
from models.graph.layers import activate, layer_norm
from models.graph.linear import Linear, Origin, Weights


def clip_layer(
    graph: GraphBuilder,
    x: Value,
    weights: Weights,
    prefix: str,
    heads: int,
    epsilon: float,
    linear: Linear,
    *,
    shape: Value,
    causal: bool = False,
    activation: str = "quick_gelu",
) -> Value:
    """Attention and feed-forward, each with a LayerNorm before and a residual after; [rows, h] to [rows, h]."""
    this, up, down = f"{prefix}.self_attn", f"{prefix}.mlp.fc1", f"{prefix}.mlp.fc2"
    normed = layer_norm(graph, x, weights, f"{prefix}.layer_norm1", epsilon)
    names = (f"{this}.q_proj", f"{this}.k_proj", f"{this}.v_proj")
    context = self_attention(graph, normed, weights, names, heads, linear, shape=shape, causal=causal)
    output = f"{this}.out_proj"
    bias = output_bias(weights, names[2], output)
    x = linear(graph, context, output, weights[f"{output}.weight"].T, bias=bias, residual=x)
    normed = layer_norm(graph, x, weights, f"{prefix}.layer_norm2", epsilon)
    bias = weights[f"{up}.bias"]
    inner = linear(graph, normed, up, weights[f"{up}.weight"].T, bias=bias, origin=Origin.NORM)
    inner = activate(graph, activation, inner)
    bias = weights[f"{down}.bias"]
    return linear(graph, inner, down, weights[f"{down}.weight"].T, bias=bias, residual=x, origin=Origin.GELU)
