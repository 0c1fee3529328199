"""One command, one table: the service beside the model alone, a plain Ray Serve application and a peer."""
