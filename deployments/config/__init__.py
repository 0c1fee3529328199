"""The schemas of everything that serve_config.yaml hands to our deployments, and a reason beside each default."""
