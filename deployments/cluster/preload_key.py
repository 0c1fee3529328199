"""The name under which it is kept what new nodes download before their replicas start; alone, because the CLI asks for it at once."""

from __future__ import annotations

PRELOAD = "EMBEDSERVE_PRELOAD"  # of a ConfigMap, and of the variable that `embedserve models pull` reads
