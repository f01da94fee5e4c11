"""Dust: how starburst galaxies attenuate their own light, and the Milky Way that of everything behind it."""

import numpy as np
from jaxtyping import Float

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
