"""Names of the steps behind an encoder of texts."""

from __future__ import annotations

from typing import Literal

Pooling = Literal["mean", "cls", "max", "lasttoken", "weightedmean", "mean_sqrt_len_tokens"]
Activation = Literal["identity", "tanh", "relu", "gelu", "sigmoid", "silu"]
