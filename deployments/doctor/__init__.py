"""What is wrong with a machine, a configuration or a running service, and what to do about it."""
