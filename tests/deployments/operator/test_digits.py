from __future__ import annotations

import pytest

from deployments.operator.digits import digits


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0123, "0.0123"), (3.754, "3.75"), (999.4, "999"), (999.6, "1000"), (3754.2, "3754"), (-4000.0, "-4000")],
)
def test_no_number_of_a_table_has_an_exponent(value: float, said: str) -> None:
    assert digits(value) == said
