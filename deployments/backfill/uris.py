"""URIs of places that pyarrow's filesystems reach, with their options: ``s3://bucket/folder?endpoint_override=host:9000``."""

from __future__ import annotations

import re
from pathlib import Path

from models.errors import JobError

SCHEME = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# What stands behind the last `?` of `name=value` pairs. Any other `?` is a wildcard, and so is every one of a path here.
OPTIONS = re.compile(r"\?[a-z_]+=[^?]*\Z", re.IGNORECASE)


def absolute(uri: str) -> str:
    """The same place for a process that runs in another folder, as Ray's workers on a cluster do."""
    return uri if SCHEME.match(uri) else str(Path(uri).expanduser().absolute())


def parted(uri: str) -> tuple[str, str]:
    """A URI without its options, and these with their ``?``; "" where it has none."""
    found = OPTIONS.search(uri) if SCHEME.match(uri) and not uri.lower().startswith("file:") else None
    return (uri[: found.start()], found[0]) if found else (uri, "")


def below(uri: str, name: str) -> str:
    """What has a name inside a folder."""
    place, options = parted(uri)
    return f"{place.rstrip('/')}/{name}{options}"


def without_options(uri: str, library: str) -> str:
    """The same URI.

    Raises:
        JobError: it has options, which ``library`` does not read.
    """
    options = parted(uri)[1]
    if options:
        raise JobError(
            f"{library} reads no options in a URI: without {options!r}, and AWS_ENDPOINT_URL names the store"
        )
    return uri
