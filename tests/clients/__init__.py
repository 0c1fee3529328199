"""Neighbours' client libraries, unchanged, in an environment of their own."""
