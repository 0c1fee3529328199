"""``embedserve experiment``."""
