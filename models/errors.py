"""The one hierarchy of errors; ``deployments/http/status.py`` maps it to status codes."""


class EmbedserveError(Exception):
    """Base of every error that this project raises on purpose. The message may be shown to users."""


class InputError(EmbedserveError):
    """The caller's input is wrong; ``param`` names the field, ``code`` is a stable machine-readable reason."""

    def __init__(self, message: str, *, param: str | None = None, code: str = "invalid_value") -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class LimitError(InputError):
    """The caller's input is well-formed and larger than a configured limit."""

    def __init__(self, message: str, *, param: str | None = None, code: str = "too_large") -> None:
        super().__init__(message, param=param, code=code)


class SlowInputError(InputError):
    """The caller's input did not arrive in time."""


class MediaTypeError(InputError):
    """The request's content type is not accepted by the route."""


class ContentEncodingError(MediaTypeError):
    """The request's body is compressed in a way that no route accepts."""


class AuthenticationError(EmbedserveError):
    """The caller sent no API key where one is needed."""

    code = "missing_api_key"


class ForbiddenError(EmbedserveError):
    """The caller's API key is unknown, expired, or lacks a scope; ``code`` says which."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class ModelNotFoundError(EmbedserveError):
    """No such model, version or alias."""


class NotOfferedError(EmbedserveError):
    """A protocol has this, and this service does not; the message says what does its work here."""

    code = "not_offered"


class UnavailableError(EmbedserveError):
    """No capacity, or no replica of the version is ready; the caller may try again after ``retry_after_s`` seconds."""

    def __init__(self, message: str, *, retry_after_s: float = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class EngineError(UnavailableError):
    """An engine failed or its process ended at this very work, which may be why: others may fail at it too."""


class EngineTimeoutError(EngineError):
    """An engine did not come back from this very work in time, which may be why: it is never tried again as it was."""


class RateLimitError(EmbedserveError):
    """This caller exceeds its rate limit; it may try again after ``retry_after_s`` seconds."""

    code = "rate_limit_exceeded"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineError(EmbedserveError):
    """The request's deadline passed before its vectors were computed."""


class ConfigError(EmbedserveError):
    """A configuration is invalid; the message names the key and the allowed values."""


class CatalogError(ConfigError):
    """The catalogue of model versions is invalid or cannot be read."""


class SourceError(EmbedserveError):
    """A source of model files does not answer, lacks a file, or sent bytes with another sha256."""


class UnreachableError(SourceError):
    """A source of model files does not answer."""


class StoreError(EmbedserveError):
    """The folder of model files cannot be written: its disk is full, or this user may not."""


class ArtifactError(EmbedserveError):
    """A model artifact is missing, does not match its hash, does not load, or does not embed."""


class JobError(EmbedserveError):
    """A job over many rows cannot begin, or cannot go on; the message names the file, column or folder that is why."""
