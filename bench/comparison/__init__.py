"""The published comparison: every load on every system, by turns."""
