"""Dust as FIREFLY finds it: attenuation curves by name, and E(B-V) of an attenuation found without one."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.optimize import minimize_scalar

from sanspec.physics.dust import calzetti
from sanspec.stellar.firefly import kernels

TRIED = 200  # values of E(B-V) compared with an attenuation

# Wavelengths [Angstrom] and A / A(V) of the Milky Way: Allen 1976, Astrophysical Quantities
ALLEN = np.array(
    [(3330, 1.69), (3650, 1.58), (4000, 1.45), (4400, 1.32), (5000, 1.13), (5530, 1.00), (6700, 0.74)]
    + [(9000, 0.46), (10000, 0.38)]
)
# Wavenumbers [1/micron] and A / A(V) of the SMC bar: Gordon et al. 2003, table 4
GORDON = np.array(
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
    return 3.1 * CubicSpline(ALLEN[:, 0], ALLEN[:, 1])(wave)


def gordon(wave: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """A / E(B-V) of the SMC bar, Gordon et al. 2003, R_V = 2.74; `wave` [Angstrom, rest] 2963-8097."""
    return GORDON_RV * np.interp(1e4 / np.asarray(wave, dtype=np.float64), GORDON[:, 0], GORDON[:, 1])


CURVES: dict[str, Callable] = {
    "calzetti": calzetti,
    "odonnell": odonnell,
    "allen": allen,
    "gordon": gordon,
}


def transmission(
    ebv: Float[np.ndarray, "*shape"] | float, curve: Float[np.ndarray, " pix"]
) -> Float[np.ndarray, "*shape pix"]:
    """Fraction of the light that E(B-V) of a curve A / E(B-V) lets through: 10^(-0.4 E(B-V) curve)."""
    return np.exp(-0.4 * np.log(10.0) * np.multiply.outer(ebv, curve))


def best_ebv(
    attenuation: Float[np.ndarray, " pix"], curve: Float[np.ndarray, " pix"], ebv_max: float
) -> float:
    """E(B-V) [mag] of the curve nearest to an attenuation among 200 from 0 to ebv_max.

    Both are taken relative to their median. As in the released code: least sum of squares of the squared
    differences, after a 3 sigma clip of these.
    """
    tried = ebv_max * np.arange(TRIED) / (TRIED - 1)
    count = len(curve)
    middle = np.sort(curve)[[(count - 1) // 2, count // 2]]  # the median of a monotonic function of the curve
    shapes = transmission(tried, curve) / transmission(tried, middle).mean(axis=1)[:, None]
    apart = kernels.clipped_squares((attenuation - shapes) ** 2, kernels.CLIP_SIGMA)[2]
    return float(tried[np.argmin(apart)])


def nearest_ebv(
    attenuation: Float[np.ndarray, " pix"], curve: Float[np.ndarray, " pix"], ebv_max: float
) -> float:
    """E(B-V) [mag], 0 to ebv_max, of the curve nearest to an attenuation in the mean absolute difference.

    Both relative to their median. Unlike `best_ebv` it is not bound to a grid, nor drawn by the few worst
    pixels.
    """
    middle = np.sort(curve)[[(len(curve) - 1) // 2, len(curve) // 2]]

    def apart(ebv: float) -> float:
        shape = transmission(ebv, curve) / transmission(ebv, middle).mean()
        return float(np.abs(attenuation - shape).mean())

    return float(minimize_scalar(apart, bounds=(0.0, ebv_max), method="bounded", options={"xatol": 1e-4}).x)
