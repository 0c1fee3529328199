"""Embedding a whole catalogue offline, on Ray Data, with the bits that the service serves."""
