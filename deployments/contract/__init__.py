"""The types that travel between gateway and encoders."""
