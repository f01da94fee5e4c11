"""The Milky Way's dust in front of a galaxy: Cardelli, Clayton & Mathis 1989, scaled to the catalogue's A_r."""

import numpy as np
from jaxtyping import Float

from sanspec.physics.dust import cardelli

R_WAVE = 6176.0  # Angstrom: effective wavelength of SDSS r (Doi et al. 2010)


def transmission(wave: Float[np.ndarray, " pix"], a_r: float) -> Float[np.ndarray, " pix"]:
    """Fraction of the light that passes dust of `a_r` magnitudes in SDSS r; 1 where `a_r` is unknown (NaN)."""
    if not np.isfinite(a_r):
        return np.ones(np.shape(wave))
    return 10 ** (-0.4 * a_r * cardelli(wave) / cardelli(np.array(R_WAVE)))
