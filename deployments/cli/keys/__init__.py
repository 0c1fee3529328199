"""``embedserve keys``: one file for each command."""
