"""Object stores that are not Amazon's: what the libraries must be told of one before they speak to it."""

from __future__ import annotations

import os
import re

from deployments.backfill.uris import parted

# Arrow signs a checksum at the end of what it uploads, which Amazon's store wants and others refuse with 411.
CHECKSUMS = "AWS_REQUEST_CHECKSUM_CALCULATION"
PLAIN_HTTP = "AWS_ALLOW_HTTP"  # without it Lance says only "builder error" of an endpoint that is named without TLS
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
NAMED = re.compile(r"[?&]endpoint_override=([^&]+)")


SMALL_AT_ONCE = "allow_delayed_open"


def small_at_once(uri: str) -> str:
    """The URI by which Arrow writes a small file in one request: in parts it takes three, of which a busy store may get the last one twice."""
    place, options = parted(uri)
    if not uri.lower().startswith("s3:") or SMALL_AT_ONCE in options:
        return uri
    return f"{place}{options or '?'}{'&' if options else ''}{SMALL_AT_ONCE}=true"


def adapt(uri: str) -> None:
    """Set the variables that fit the store of a URI, where the user set none; libraries read them with each connection."""
    if not uri.lower().startswith("s3:"):
        return
    endpoint = _endpoint(uri)
    if endpoint:
        os.environ.setdefault(CHECKSUMS, "when_required")
    if endpoint.startswith("http://"):
        os.environ.setdefault(PLAIN_HTTP, "true")


def lance_options(uri: str) -> dict[str, str]:
    """What Lance must be told of the store of a URI beside the variables; nothing of Amazon's own.

    Its usual client wants 206 for every request of a range, and some stores say 200 where the range is the whole object; its other one
    (OpenDAL) takes both.
    """
    endpoint = _endpoint(uri) if uri.lower().startswith("s3:") else ""
    return {"use_opendal": "true", "aws_endpoint": endpoint} if endpoint else {}


def _endpoint(uri: str) -> str:
    """Where the store of a URI is, if it or a variable says so; "" otherwise."""
    found = NAMED.search(parted(uri)[1])
    return found[1] if found else next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "")
