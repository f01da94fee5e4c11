"""Stated errors of the clean mode: factors on the fits' own spreads, so that 68 % of mocks lie within.

Found on 400 mixtures of one to three M11-MILES populations with S/N 5-50 (seeds 1000-1399 of
benchmarks/firefly_mocks.py), half of them with noise as correlated as that of prepared spectra;
benchmarks/firefly_mocks.json holds what they cover on others.
"""

from typing import NamedTuple

import numpy as np


class Factors(NamedTuple):
    """Error = sqrt((spread x solutions)^2 + (dust x change)^2 + least^2), in the quantity's unit.

    spread: of the solutions; change: what one error of E(B-V) does to the quantity.
    """

    solutions: float
    dust: float
    least: float


EBV = Factors(1.4, 0.0, 0.018)
AGE = Factors(1.2, 1.3, 0.005)
METAL = Factors(1.15, 0.9, 0.008)


def ebv_error(spread: float) -> float:
    """Error of E(B-V) [mag] from its standard deviation over the solutions of the filtered fit."""
    return combined(EBV, spread, 0.0)


def error(name: str, spread: float, change: float) -> float:
    """Error of a quantity of `populations.NAMES`; masses and M/L go with age."""
    return combined(METAL if name.startswith("metal") else AGE, spread, change)


def combined(factors: Factors, spread: float, change: float) -> float:
    """The error by its factors."""
    return float(np.sqrt((factors.solutions * spread) ** 2 + (factors.dust * change) ** 2 + factors.least**2))
