"""Our logger: a child of Serve's, whose JSON handlers write our lines, with a level of its own.

``serve_config.yaml`` sets Serve's level to WARNING. Otherwise Serve would build a record of each request for its own access
log, a twentieth of the gateway's time, only for ``enable_access_log: false`` to drop it.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("ray.serve.embedserve")
logger.setLevel(logging.INFO)
