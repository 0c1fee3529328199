"""How the versions of a model compare, from what a running service counted."""
