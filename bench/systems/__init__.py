"""The systems that are compared: how each is started, and what runs in its processes."""
