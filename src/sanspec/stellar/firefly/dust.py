"""Dust as FIREFLY finds it: high-pass filtered spectra, the attenuation that is left over, curves by name."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from sanspec.stellar.firefly import kernels

SMOOTHING = 200.0  # half width of the running median over the attenuation [Angstrom]
FIRST_MODE, RAMP = 20, 20  # Fourier modes removed, and over how many more the filter opens


def calzetti(wave: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """A / E(B-V) of Calzetti et al. 2000 (eq. 4, R_V = 4.05) at rest `wave` [Angstrom], 1200-22000."""
    x = 1e4 / np.asarray(wave, dtype=np.float64)
    red = 2.659 * (-1.857 + 1.040 * x) + 4.05
    blue = 2.659 * (-2.156 + 1.509 * x - 0.198 * x**2 + 0.011 * x**3) + 4.05
    return np.where(x <= 1 / 0.63, red, blue)


def window(pixels: int) -> Float[np.ndarray, " mode"]:
    """The filter's transmission of the modes of a real transform of `pixels` values: 0, a ramp, 1; the mean is kept.

    The released code's ramp is not quite the same for positive and negative frequencies; the real part of its inverse
    transform is that of the mean of the two.
    """
    full = np.zeros(pixels)
    full[0] = 1.0
    steps = np.arange(RAMP)
    full[FIRST_MODE + steps] = (steps + 1) / RAMP
    full[pixels - 1 - (FIRST_MODE + RAMP - steps)] = (RAMP - steps) / RAMP
    full[FIRST_MODE + RAMP : pixels - FIRST_MODE - RAMP] = 1.0
    mirrored = full[-np.arange(pixels)]
    return 0.5 * (full + mirrored)[: pixels // 2 + 1]
