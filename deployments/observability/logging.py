"""Our logger: a child of Serve's, whose JSON handlers write our lines, with a level of its own.

``serve_config.yaml`` sets Serve's level to WARNING. Otherwise Serve would build a record of each request for its own access
log, a twentieth of the gateway's time, only for ``enable_access_log: false`` to drop it.
"""

from __future__ import annotations

import logging

from models.redaction import redacted


class Redaction(logging.Filter):
    """Takes secrets out of every line that passes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the line; it always passes."""
        record.msg, record.args = redacted(record.getMessage()), None
        if record.exc_info:
            record.exc_text = redacted(
                logging.Formatter().formatException(record.exc_info)
            )  # formatters take it as it is
        return True


logger = logging.getLogger("ray.serve.embedserve")
logger.setLevel(logging.INFO)
logger.addFilter(Redaction())
