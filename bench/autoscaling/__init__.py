"""The autoscaler's simulator, and the service times that it needs."""
