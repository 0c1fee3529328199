"""Calls from gateways to encoders over connections of their own, beside Serve's handles."""
