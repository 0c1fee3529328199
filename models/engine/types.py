"""The arrays that engines take and return."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # [n, d], of unit length
Feeds = Mapping[str, NDArray[Any]]  # a graph's inputs by name, [n, ...] each
