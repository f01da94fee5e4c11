"""Dust: how starburst galaxies attenuate their own light, and the Milky Way that of everything behind it."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

R_WAVE = 6176.0  # Angstrom: effective wavelength of SDSS r (Doi et al. 2010)
CALZETTI_RV = 4.05  # A_V per E(B-V) of `calzetti`
CARDELLI_RV = 3.1  # A_V per E(B-V) of the diffuse Milky Way
_A = (1.0, 0.17699, -0.50447, -0.02427, 0.72085, 0.01979, -0.77530, 0.32999)
_B = (0.0, 1.41338, 2.28305, 1.07233, -5.38434, -0.62251, 5.30260, -2.09002)


def calzetti(wave: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """A(lambda) / E(B-V) of starburst galaxies (Calzetti et al. 2000, eq. 4), never below 0.

    wave: rest-frame Angstrom, 1200-22000.
    """
    x = 1e4 / np.asarray(wave, float)
    blue = -2.156 + x * (1.509 + x * (-0.198 + 0.011 * x))
    red = -1.857 + 1.040 * x
    return np.maximum(2.659 * np.where(x > 1 / 0.63, blue, red) + CALZETTI_RV, 0.0)


def cardelli(wave: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """A(lambda) / A_V of the Milky Way, R_V = 3.1 (Cardelli et al. 1989, eqs. 2 and 3).

    wave: Angstrom, 3030-33000.
    """
    x = 1e4 / np.asarray(wave, float)
    a, b = (np.polynomial.polynomial.polyval(x - 1.82, terms) for terms in (_A, _B))
    optical = a + b / CARDELLI_RV
    return np.where(x < 1.1, (0.574 - 0.527 / CARDELLI_RV) * x**1.61, optical)


def milky_way_transmission(wave: Float[np.ndarray, " pix"], a_r: float) -> Float[np.ndarray, " pix"]:
    """Fraction of the light that passes `a_r` magnitudes of Milky Way dust in SDSS r; 1 where `a_r` is NaN.

    wave: observed Angstrom; `cardelli` scaled to its value at the effective wavelength of r.
    """
    if not np.isfinite(a_r):
        return np.ones(np.shape(wave))
    return 10 ** (-0.4 * a_r * cardelli(wave) / cardelli(np.array(R_WAVE)))


# -------------------------------------------------------------------------------------- curves that FIREFLY offers

# Wavelengths [Angstrom] and A / A(V) of the Milky Way: Allen 1976, Astrophysical Quantities
_ALLEN = np.array(
    [(3330, 1.69), (3650, 1.58), (4000, 1.45), (4400, 1.32), (5000, 1.13), (5530, 1.00), (6700, 0.74)]
    + [(9000, 0.46), (10000, 0.38)]
)
# Wavenumbers [1/micron] and A / A(V) of the SMC bar: Gordon et al. 2003, table 4
_GORDON = np.array(
    [(1.235, 0.567), (1.538, 0.801), (1.818, 1.000), (2.273, 1.374), (2.703, 1.672), (3.375, 2.000)]
)
GORDON_RV = 2.74  # their table 2


def odonnell(wave: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """A / E(B-V) of the Milky Way, O'Donnell 1994, eqs. 2-3, R_V = 3.1; `wave` [Angstrom, rest] 3030-9090."""
    y = 1e4 / np.asarray(wave, dtype=np.float64) - 1.82
    a = np.polyval([-0.505, 1.647, -0.827, -1.718, 1.137, 0.701, -0.609, 0.104, 1.0], y)
    b = np.polyval([3.347, -10.805, 5.491, 11.102, -7.985, -3.989, 2.908, 1.952, 0.0], y)
    return 3.1 * a + b


def allen(wave: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """A / E(B-V) of the Milky Way, Allen 1976, R_V = 3.1; `wave` [Angstrom, rest] 3330-10000."""
    return 3.1 * CubicSpline(_ALLEN[:, 0], _ALLEN[:, 1])(wave)


def gordon(wave: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """A / E(B-V) of the SMC bar, Gordon et al. 2003, R_V = 2.74; `wave` [Angstrom, rest] 2963-8097."""
    return GORDON_RV * np.interp(1e4 / np.asarray(wave, dtype=np.float64), _GORDON[:, 0], _GORDON[:, 1])


CURVES: dict[str, Callable] = {
    "calzetti": calzetti,
    "odonnell": odonnell,
    "allen": allen,
    "gordon": gordon,
}


def transmission(
    ebv: Float[np.ndarray, "*shape"] | float, curve: Float[np.ndarray, " pix"]
) -> Float[np.ndarray, "*shape pix"]:
    """Fraction of the light that passes dust of E(B-V) and a curve A / E(B-V): 10^(-0.4 E(B-V) curve)."""
    return np.exp(-0.4 * np.log(10.0) * np.multiply.outer(ebv, curve))
