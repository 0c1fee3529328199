"""What the service tells of itself: metrics, traces, log lines, and the record of each request that they are made of."""
