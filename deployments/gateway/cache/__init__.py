"""Vectors already computed: this gateway's memory, then a server that all gateways share."""
