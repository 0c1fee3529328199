"""What runs on Ray: the gateway, the encoders, their configuration and the command line."""
