"""Vectors already computed: in this gateway's memory, and on a server that all gateways share."""
