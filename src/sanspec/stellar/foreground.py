"""The Milky Way's dust in front of a galaxy: Cardelli, Clayton & Mathis 1989, scaled to the catalogue's A_r."""

import numpy as np
from jaxtyping import Float

R_WAVE = 6176.0  # Angstrom: effective wavelength of SDSS r (Doi et al. 2010)
R_V = 3.1
_A = (1.0, 0.17699, -0.50447, -0.02427, 0.72085, 0.01979, -0.77530, 0.32999)
_B = (0.0, 1.41338, 2.28305, 1.07233, -5.38434, -0.62251, 5.30260, -2.09002)


def extinction(wave: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """A(lambda) / A_V of Cardelli et al. 1989, eqs. 2 and 3 (R_V = 3.1); wave: vacuum Angstrom, 3030 to 20000."""
    x = 1e4 / np.asarray(wave, float)
    optical = (
        np.polynomial.polynomial.polyval(x - 1.82, _A) + np.polynomial.polynomial.polyval(x - 1.82, _B) / R_V
    )
    return np.where(x < 1.1, (0.574 - 0.527 / R_V) * x**1.61, optical)


def transmission(wave: Float[np.ndarray, " pix"], a_r: float) -> Float[np.ndarray, " pix"]:
    """Fraction of the light that passes dust of `a_r` magnitudes in SDSS r; 1 where `a_r` is unknown (NaN)."""
    if not np.isfinite(a_r):
        return np.ones(np.shape(wave))
    return 10 ** (-0.4 * a_r * extinction(wave) / extinction(np.array(R_WAVE)))
