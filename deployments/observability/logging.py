"""Our logger: below Serve's, so that its JSON handlers write our lines, and with a level of its own.

``serve_config.yaml`` sets Serve's level to WARNING, which spares building an access-log record per request (a twentieth
of the gateway's time) that ``enable_access_log: false`` would drop afterwards.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("ray.serve.embedserve")
logger.setLevel(logging.INFO)
