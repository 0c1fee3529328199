"""What the gateway does between HTTP and the encoders: route, check, cache, queue."""
