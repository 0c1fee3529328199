"""Who may ask the gateway for what."""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deployments.auth.api_keys import ApiKey, Scope
from deployments.auth.key_file import FILE_VARIABLE, INLINE_VARIABLE, read_keys
from deployments.auth.watched_keys import WatchedKeys
from deployments.config.base import Profile
from deployments.observability.logging import logger
from models.errors import AuthenticationError, ConfigError, ForbiddenError, UnavailableError

Mode = Literal["keys", "none"]
Needed = Scope | Literal["any"]  # `any`: a valid key of whatever scope
REFRESH_S = 2.0  # how soon a key that was added or revoked counts
GRACE_S = 300.0  # as `auth_grace_s` of the gateway's configuration, where its reason stands


@dataclass(frozen=True, slots=True)
class Held:
    """A key in memory."""

    digest: bytes = field(repr=False)  # sha256, 32 bytes
    key: ApiKey


class Authenticator:
    """The keys in force, and whether they are asked for.

    Where keys are configured, requests need one in every profile. A broken key file never opens the service: the keys that
    it held count for a while, and then none does.
    """

    def __init__(
        self,
        profile: Profile,
        environment: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the keys that the environment names; ``clock`` counts seconds and never goes back.

        Raises:
            ConfigError: they cannot be read.
        """
        environment = os.environ if environment is None else environment
        self._profile = profile
        self._mode: Mode = "keys"
        file, inline = environment.get(FILE_VARIABLE), environment.get(INLINE_VARIABLE)
        for variable, value in ((FILE_VARIABLE, file), (INLINE_VARIABLE, inline)):
            if value is not None and not value.strip():  # from a template or a shell that lacked the value
                raise ConfigError(f"{variable} is set and empty; give it a value, or unset it to serve without keys")
        if file and inline:
            raise ConfigError(f"both {FILE_VARIABLE} and {INLINE_VARIABLE} are set; set one")
        self._configured = bool(file or inline)
        self._watched = WatchedKeys(Path(file), clock) if file else None
        self._grace_s = GRACE_S
        self._refuses = False  # all requests, because the file could not be read for too long
        self._keys: tuple[Held, ...] = ()
        if self._watched is not None:
            self._keys = _held(self._watched.keys)
        elif inline:
            self._keys = _held(read_keys(inline, INLINE_VARIABLE).keys)

    def configure(self, mode: Mode, grace_s: float = GRACE_S) -> None:
        """Ask for keys or not, as the configuration says.

        Args:
            mode: whether keys are asked for.
            grace_s: how long the keys of a file count that cannot be read any more, seconds.

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
        self._mode, self._grace_s = mode, grace_s

    @property
    def required(self) -> bool:
        """Whether requests need a key."""
        return self._configured and self._mode == "keys"

    @property
    def age_s(self) -> float:
        """Seconds since the key file was last read whole; 0 where no file holds the keys."""
        return 0.0 if self._watched is None else self._watched.age_s

    def next_expiry(self, now: float) -> float:
        """When the next key expires that has not yet done so at ``now``, both in seconds since 1970; 0 where none does."""
        moments = [held.key.expires.timestamp() for held in self._keys if held.key.expires is not None]
        return min((moment for moment in moments if moment > now), default=0.0)

    @property
    def refuses_all(self) -> bool:
        """Whether no key is accepted, because their file could not be read for too long."""
        refuses = self.required and self.age_s > self._grace_s
        if refuses and not self._refuses:
            logger.error("no API key is accepted any more: their file could not be read for %.0f s", self.age_s)
        self._refuses = refuses
        return refuses

    def refresh(self) -> None:
        """Read the key file again; when that fails, the keys stay for a while. Waits for the disk."""
        if self._watched is not None and self._watched.look():
            self._keys = _held(self._watched.keys)

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
            UnavailableError: which keys are good cannot be told now.
        """
        scheme, _, presented = headers[0].partition(" ") if len(headers) == 1 else ("", "", "")
        presented = presented.strip()
        if scheme.lower() != "bearer" or not presented:
            raise AuthenticationError("an API key is needed; send it once, as `Authorization: Bearer <key>`")
        if self.refuses_all:
            raise UnavailableError("API keys cannot be checked now; the service's log says why", retry_after_s=10)
        key = self._find(presented)
        if key is None:
            raise ForbiddenError("the API key is not known here", code="invalid_api_key")
        if key.expired(time.time() if now is None else now):
            raise ForbiddenError("the API key has expired", code="expired_api_key")
        if needed != "any" and needed not in key.scopes:
            raise ForbiddenError(f"the API key lacks the scope {needed!r}", code="missing_scope")
        return key.name

    def scopes(self, name: str) -> tuple[Scope, ...]:
        """What the key of that name may do; nothing where there is none."""
        return next((held.key.scopes for held in self._keys if held.key.name == name), ())

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
