"""Thin adapters between HTTP protocols and ``EmbeddingService``; no logic of their own."""
