"""The cache level that gateways share: vectors in Redis or Valkey, under the same content-hash key as in memory.

It may only ever help. A lookup is given up after a few milliseconds, writes happen behind the answers and are dropped
when they pile up, and a server that is down, slow or full is left alone until it answers again.
"""
