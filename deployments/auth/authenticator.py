"""Who may ask the gateway for what."""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deployments.auth.api_keys import ApiKey, Scope
from deployments.auth.key_file import FILE_VARIABLE, INLINE_VARIABLE, load_keys, read_keys
from deployments.config.base import Profile
from deployments.observability.logging import logger
from models.errors import AuthenticationError, ConfigError, ForbiddenError

Mode = Literal["keys", "none"]
Needed = Scope | Literal["any"]  # `any`: a valid key of whatever scope
REFRESH_S = 2.0  # how soon a key that was added or revoked counts


@dataclass(frozen=True, slots=True)
class Held:
    """A key in memory."""

    digest: bytes  # sha256, 32 bytes
    key: ApiKey


class Authenticator:
    """The keys in force, and whether they are asked for.

    Where keys are configured, requests need one in every profile. A broken key file never opens the service.
    """

    def __init__(self, profile: Profile, environment: Mapping[str, str] | None = None) -> None:
        """Read the keys that the environment names.

        Raises:
            ConfigError: they cannot be read.
        """
        environment = os.environ if environment is None else environment
        self._profile = profile
        self._mode: Mode = "keys"
        file, inline = environment.get(FILE_VARIABLE), environment.get(INLINE_VARIABLE)
        if file and inline:
            raise ConfigError(f"both {FILE_VARIABLE} and {INLINE_VARIABLE} are set; set one")
        self._path = Path(file) if file else None
        self._configured = bool(file or inline)
        self._seen: tuple[int, int, int] | None = None
        self._problem: str | None = None  # why the file was not taken when it was last looked at
        self._keys: tuple[Held, ...] = ()
        if self._path is not None:
            self._seen = _signature(self._path)
            self._keys = _held(load_keys(self._path).keys)
        elif inline:
            self._keys = _held(read_keys(inline, INLINE_VARIABLE).keys)

    def configure(self, mode: Mode) -> None:
        """Ask for keys or not, as the configuration says.

        Raises:
            ConfigError: the production profile has no keys and was not told to serve without.
        """
        if mode == "keys" and self._profile == "production" and not self._keys:
            raise ConfigError(
                f"the production profile asks for API keys and has none: {FILE_VARIABLE} names their file "
                "(`embedserve keys create` makes one); `auth: none` in the gateway's user_config serves without"
            )
        if mode == "none" and self._profile == "production":
            logger.warning("auth is none: whoever reaches this service may use it")
        self._mode = mode

    @property
    def required(self) -> bool:
        """Whether requests need a key."""
        return self._configured and self._mode == "keys"

    def refresh(self) -> None:
        """Read the key file again if it changed; when that fails, the keys stay as they are. Waits for the disk."""
        if self._path is None:
            return
        try:
            signature = _signature(self._path)
            if signature == self._seen:
                return
            self._seen = signature
            keys = load_keys(self._path).keys
        except ConfigError as error:
            if str(error) != self._problem:  # logged once, and not at every look
                logger.error("the API keys stay as they were: %s", error)
            self._problem = str(error)
            return
        self._problem = None
        self._keys = _held(keys)
        logger.info("API keys read again: %s", ", ".join(key.name for key in keys) or "none is left")

    def authenticate(self, headers: Sequence[str], needed: Needed, now: float | None = None) -> str:
        """Find out who asks.

        Args:
            headers: the values of all its Authorization headers.
            needed: the scope that its route asks for.
            now: seconds since 1970.

        Returns:
            The name of the key that the request came with.

        Raises:
            AuthenticationError: it came with none.
            ForbiddenError: the key is unknown or expired, or lacks the scope.
        """
        scheme, _, presented = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
        presented = presented.strip()
        if scheme.lower() != "bearer" or not presented:
            raise AuthenticationError("an API key is needed; send it once, as `Authorization: Bearer <key>`")
        key = self._find(presented)
        if key is None:
            raise ForbiddenError("the API key is not known here", code="invalid_api_key")
        if key.expired(time.time() if now is None else now):
            raise ForbiddenError("the API key has expired", code="expired_api_key")
        if needed != "any" and needed not in key.scopes:
            raise ForbiddenError(f"the API key lacks the scope {needed!r}", code="missing_scope")
        return key.name

    def _find(self, presented: str) -> ApiKey | None:
        """Compare with all keys, also after one was found, so that the time it takes tells nothing of the keys."""
        digest = hashlib.sha256(presented.encode("utf-8", "surrogatepass")).digest()
        found = None
        for held in self._keys:
            if hmac.compare_digest(held.digest, digest):
                found = held.key
        return found


def _held(keys: Sequence[ApiKey]) -> tuple[Held, ...]:
    return tuple(Held(bytes.fromhex(key.sha256), key) for key in keys)


def _signature(path: Path) -> tuple[int, int, int]:
    """Time, size and inode, which change when a file does. Links are followed: Kubernetes replaces a mounted secret by one.

    Raises:
        ConfigError: there is no such file.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigError(f"cannot read the key file {path}: {error.strerror}") from error
    return status.st_mtime_ns, status.st_size, status.st_ino
