"""What every schema of the configuration has in common."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, WithJsonSchema

from models.errors import ConfigError
from models.modalities import MODALITIES, modality_of
from models.validation import describe

Profile = Literal["development", "production"]
ModalityName = Annotated[
    str,
    AfterValidator(lambda name: modality_of(name).name),
    WithJsonSchema({"type": "string", "enum": list(MODALITIES)}),
]
MIB = 1 << 20


class Strict(BaseModel):
    """A mapping whose unknown keys are errors: Serve itself ignores typing mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


T = TypeVar("T", bound=BaseModel)


def parse(schema: type[T], document: Any, where: str) -> T:
    """Validate a part of the configuration.

    Raises:
        ConfigError: names each wrong key and what it got.
    """
    try:
        return schema.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{where} is invalid: {describe(error, schema=schema)}") from error
