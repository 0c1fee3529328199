"""One replica in a process of its own: ``python -m bench.gpu.child``. A crash of it, or of its card, is a line and not the end.

It reads its job as JSON, says ``ready``, waits for a line, does the job and prints the result as JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from bench.gpu.opening import Opening
from bench.gpu.probe import batches, rate, swap
from bench.gpu.replicas import READY


def main() -> None:
    """The command line."""
    job: dict[str, Any] = json.loads(sys.stdin.readline())
    opening = Opening(job["wish"], job["null"])
    size, tokens, seconds, graphs = job["size"], job["tokens"], job["seconds"], job["graphs"]
    embedder = opening.open(job["reference"], job["largest"], graphs=graphs)
    run = batches(embedder, tokens)(size)
    run()
    print(READY, flush=True)
    sys.stdin.readline()
    if job["job"] == "rate":
        result: dict[str, Any] = {"rate": rate(run, size, seconds)}
    else:
        result = asdict(
            swap(embedder, lambda: opening.open(job["other"], job["largest"], graphs=graphs), tokens, size, seconds)
        )
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
