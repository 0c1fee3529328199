"""``embedserve models``: one file for each command. None needs Ray or a service."""
