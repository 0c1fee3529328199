"""Where requests for vectors go: those that are admitted up to a limit, and that may go around Serve's own handling."""

VECTOR_PATHS = ("/v1/embeddings", "/v2/models/")  # prefixes
