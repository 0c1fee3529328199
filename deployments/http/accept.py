"""What a client would rather read (RFC 9110, 12.5.1)."""

from __future__ import annotations

from deployments.contract.header_number import decimal_number


def prefers(accept: str, asked: str, usual: str) -> bool:
    """Whether a request names a media type, and likes it no less than the one that it gets otherwise.

    Args:
        accept: the header's value.
        asked: what it must name itself; a wildcard is not enough.
        usual: what it gets otherwise; where it likes both alike, the one that it names first counts.
    """
    found: dict[str, tuple[float, int]] = {}
    for place, entry in enumerate(accept.lower().split(",")):
        name, *parameters = (part.strip() for part in entry.split(";"))
        found.setdefault(name, (_quality(parameters), -place))
    wanted = found.get(asked, (0.0, 0))
    return wanted[0] > 0 and wanted >= found.get(usual, (0.0, 0))


def _quality(parameters: list[str]) -> float:
    """Between 0 and 1; 1 where it is not said, or is no number."""
    said = next((value for name, _, value in (one.partition("=") for one in parameters) if name.strip() == "q"), "1")
    number = decimal_number(said.strip())
    return 1.0 if number is None else min(number, 1.0)
