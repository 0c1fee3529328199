"""Where requests for vectors go: those that are admitted up to a limit, and that may go around Serve's own handling."""

from __future__ import annotations

# Prefixes, those that traffic takes first. Nothing else begins with any of them.
VECTOR_PATHS = ("/v1/embeddings", "/v2/models/", "/v2/embed", "/embed", "/api/embed", "/openai/deployments/", "/vector")
ROOT = "/"  # where text-embeddings-inference takes requests too


def takes_vectors(path: str) -> bool:
    """Whether requests to a path may be for vectors."""
    return path.startswith(VECTOR_PATHS) or path == ROOT
