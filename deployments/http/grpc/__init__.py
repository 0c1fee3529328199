"""gRPC: the Open Inference Protocol v2 and gRPC's own health service, each call as the HTTP request that means the same.

So a call passes every layer that a request passes, in the same order: keys, limits, admission, deadline, access log and metrics.
"""
