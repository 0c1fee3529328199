"""A Ray cluster seen from outside: its configuration file, Serve's REST API, a local Ray."""
