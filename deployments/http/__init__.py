"""Thin adapters between HTTP protocols and ``Embeddings``; no logic of their own."""
