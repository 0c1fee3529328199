"""A running service as the engine of a job: its bulk lane, as far as its other callers do not notice."""
