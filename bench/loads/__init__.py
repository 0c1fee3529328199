"""What is asked: requests, their inputs, and the generators of load."""
