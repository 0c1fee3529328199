"""The ``@serve.deployment`` classes and the builders that serve_config.yaml names."""
