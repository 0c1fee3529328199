"""What an engine shows before the first row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deployments.backfill.expectation import Expectation
from deployments.backfill.model import Wanted
from models.errors import JobError


@dataclass(frozen=True)
class Proof:
    """Its numerics class and golden vectors, or why it was refused."""

    error: str = ""
    numerics: str = ""
    vectors: bytes = b""
    dimensions: int = 1

    def expectation(self, wanted: Wanted) -> Expectation:
        """What every engine of the job must show too.

        Raises:
            JobError: the engine was refused.
        """
        if self.error:
            raise JobError(self.error)
        golden = np.frombuffer(self.vectors, np.float32).reshape(-1, self.dimensions)
        return Expectation(wanted.hash, self.numerics, golden, "the job's first engine has")
