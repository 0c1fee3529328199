"""Objects of an S3-compatible store, by URLs that are signed for an hour.

The endpoint and the credentials come from the variables that AWS' own tools read; obstore signs, ``download`` transfers.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from models.errors import SourceError
from models.redaction import redacted

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Store

VALID = timedelta(hours=1)  # asked when a try begins; each try signs anew
ASKING = timedelta(seconds=10)  # for credentials, where a service of the cloud has them
UNSIGNED = "AWS_SKIP_SIGNATURE"
REMEDY = (
    "s3:// reads AWS_ENDPOINT_URL (none: Amazon), AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the "
    f"credentials of the node or pod; {UNSIGNED}=true asks without"
)


def signed_url(folder: str, name: str) -> str:
    """The URL of an object for the next hour.

    Args:
        folder: ``s3://bucket`` or ``s3://bucket/prefix``.
        name: of the object, below it.

    Raises:
        SourceError: there are no credentials, the endpoint is no URL, or the extra ``s3`` is not installed.
    """
    try:
        import obstore
        from obstore.exceptions import BaseError
    except ImportError as error:
        raise SourceError("s3:// needs the extra s3: pip install 'embedserve[s3]'") from error
    unsigned = os.environ.get(UNSIGNED, "").lower() in ("1", "true", "yes", "on")
    try:
        url: str = obstore.sign(_store(folder, unsigned=unsigned), "GET", name, expires_in=VALID)
    except (BaseError, ValueError) as error:
        reason = redacted(str(error).splitlines()[0], os.environ.get("AWS_SECRET_ACCESS_KEY"))
        raise SourceError(f"cannot sign a request for {folder}: {reason}; {REMEDY}") from error
    if urlsplit(url).scheme not in ("http", "https"):
        raise SourceError(f"cannot ask for {folder}: AWS_ENDPOINT_URL is no URL of a server; {REMEDY}")
    return url.partition("?")[0] if unsigned else url


def _store(folder: str, *, unsigned: bool) -> S3Store:
    from obstore.store import S3Store

    retries: RetryConfig = {"max_retries": 2, "retry_timeout": ASKING}
    options: ClientConfig = {"connect_timeout": ASKING / 4, "timeout": ASKING / 2}
    if unsigned:  # any key: the signature is taken off again
        return S3Store.from_url(folder, access_key_id="-", secret_access_key="-", skip_signature=False)
    return S3Store.from_url(folder, retry_config=retries, client_options=options)
