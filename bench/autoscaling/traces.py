"""Traffic: the number of requests in each second, drawn from a seed."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HOUR = 3600


@dataclass(frozen=True)
class Trace:
    """Requests by second."""

    name: str
    requests: NDArray[np.int64]  # [seconds]

    @property
    def seconds(self) -> int:
        """Its length."""
        return len(self.requests)


def steady(rate: float, seconds: int, seed: int) -> Trace:
    """The same rate all the time; arrivals are random (Poisson), as in every trace."""
    return _drawn("steady", np.full(seconds, rate), seed)


def daily(low: float, high: float, seed: int) -> Trace:
    """A day: lowest at 4 a.m., highest at 4 p.m.; minutes differ at random by 5 % (standard deviation)."""
    clock = np.arange(24 * HOUR) / HOUR
    wave = (1 - np.cos((clock - 4) / 24 * 2 * math.pi)) / 2
    minutes = np.random.default_rng(seed).normal(1, 0.05, 24 * 60).clip(0.8, 1.2)
    return _drawn("daily cycle", (low + (high - low) * wave) * np.repeat(minutes, 60), seed)


def flash_crowd(low: float, high: float, seed: int) -> Trace:
    """From ``low`` to ``high`` within ten seconds, for ten minutes; then back within a minute."""
    rates = np.full(HOUR, low)
    rates[600:610] = np.linspace(low, high, 10)
    rates[610:1200] = high
    rates[1200:1260] = np.linspace(high, low, 60)
    return _drawn("flash crowd", rates, seed)


def slow_ramp(low: float, high: float, seed: int) -> Trace:
    """Up within half an hour and down within half an hour."""
    up = np.linspace(low, high, HOUR // 2)
    return _drawn(
        "slow ramp", np.concatenate([np.full(600, low), up, np.full(600, high), up[::-1], np.full(1200, low)]), seed
    )


def _drawn(name: str, rates: NDArray[np.float64], seed: int) -> Trace:
    return Trace(name, np.random.default_rng(seed).poisson(rates))
