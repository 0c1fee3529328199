"""Tests of what a seam alone gives. On a service without it they must fail: when they pass, the seam is not needed."""

from __future__ import annotations

import pytest

from deployments.serve_internals.names import Seam
from deployments.serve_internals.seams import SEAMS


def needs(seam: Seam, instead: str) -> pytest.MarkDecorator:
    """Expect a failure where ``EMBEDSERVE_INTERNALS`` switches the seam off; ``instead`` says what happens then."""
    return pytest.mark.xfail(not SEAMS.on(seam), reason=f"without {seam}: {instead}", strict=True)
