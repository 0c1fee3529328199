"""What is written down for those who compare versions."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from deployments.config.base import Strict


class Exposures(Strict):
    """Which version answered whom, in the access log and in traces: with a keyed hash of the routing key, never the key.

    The secret of that hash is not written here: exactly one of ``secret_env`` and ``secret_file`` says where it is.
    """

    secret_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = (
        None  # an environment variable on every node that may run a gateway; none: secret_file says it
    )
    secret_file: str | None = None  # a file on those nodes, such as a mounted secret; none: secret_env says it

    @field_validator("secret_file")
    @classmethod
    def _check_file(cls, path: str | None) -> str | None:
        if path is not None and not path.startswith("/"):
            raise ValueError("must be an absolute path of a file that holds the secret, and not the secret itself")
        return path

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.secret_env is None) == (self.secret_file is None):
            raise ValueError("exposures need exactly one of secret_env and secret_file")
        return self


class Experiments(Strict):
    """What helps to compare versions by the traffic that they get."""

    exposures: Exposures | None = (
        None  # off: it needs a secret of the operator's, and a hash of a name is still about somebody
    )
