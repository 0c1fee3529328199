"""The ``embedserve`` command: one file for each command."""
