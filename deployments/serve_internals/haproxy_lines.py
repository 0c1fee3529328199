"""Lines for HAProxy's configuration that Ray offers no settings for.

Ray writes the balance algorithm into the section ``defaults`` as it stands, and so whatever follows it, too.
"""

from __future__ import annotations

from typing import Final

ALGORITHM: Final = "leastconn"  # Ray's own default
# Those who were refused come again after 1 to 3 s, each at another time (`deployments/http/retry.py`).
RETRY: Final = "hdr retry-after %[rand(3),add(1)] hdr retry-after-ms %[rand(2000),add(1000)]"
LINES: Final = (
    "timeout http-request 10s",  # in which a request's headers must arrive; Ray waits for an hour
    # As many requests as a gateway takes (`queue.open_requests`). Refusing one costs the gateway a quarter of a millisecond,
    # HAProxy a tenth of that. At four times what 2 cores bear, for 30 s: 1,277 requests/s are answered well with 256,
    # 1,045 with 512 or 1,024. Without a bound it was 352: HAProxy ran out of connections and took the gateway for dead.
    "default-server maxconn 256",
    "timeout queue 50ms",  # how long a request may wait for one of them; then 503. `haproxy_rules` refuses it at once
    f"http-error status 503 content-type application/json {RETRY} string "
    """'{"error":{"message":"the service is at capacity, or no gateway is ready","type":"server_error","""
    """"param":null,"code":"unavailable"}}'""",
)
VARIABLE: Final = "RAY_SERVE_HAPROXY_BALANCE_ALGORITHM"
VARIABLES: Final = {VARIABLE: "\n    ".join((ALGORITHM, *LINES))}
