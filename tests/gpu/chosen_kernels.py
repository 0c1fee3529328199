"""Run with the GPU package: loads graphs as a replica with a card does and says as JSON what would compute each node.

python -m tests.gpu.chosen_kernels GRAPH …
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import onnxruntime as ort

from models.engine.placement import placement
from models.engine.provider_options import Device
from models.engine.session import EngineOptions, shared_session, troubles_of


def main() -> None:
    """The command line."""
    found = {}
    for name in sys.argv[1:]:
        for captured in (False, True):
            options = EngineOptions(provider="cuda", device=Device(memory_limit=8 << 30, cuda_graph=captured))
            session = shared_session(Path(name), options, 1)
            placed = Counter({f"{provider} {operator}": n for (provider, operator), n in placement(session).items()})
            found[f"{name} {'captured' if captured else 'launched'}"] = {
                "providers": session.get_providers(),
                "placed": dict(placed),
                "troubles": [str(trouble) for trouble in troubles_of(session)],
            }
    print(json.dumps({"version": ort.__version__, "graphs": found}))


if __name__ == "__main__":
    main()
