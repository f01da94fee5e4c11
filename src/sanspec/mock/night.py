"""The spectrograph and the night sky of the SDSS, from the tables in night.yaml.

Sky in 1e-17 erg/s/cm2/A per fibre of 3 arcsec, vacuum wavelengths in Angstrom.
"""

from pathlib import Path

import numpy as np
import yaml
from jaxtyping import Float

from sanspec.spectra.grid import LOGLAM_STEP

FIRST, PIXELS = 35780, 3900  # of the common grid of 1e-4 dex: 3784-9289 A
WAVE = 10 ** (LOGLAM_STEP * np.arange(FIRST, FIRST + PIXELS))

_TABLES = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
CONTINUUM, DISPERSION, READ, SHOT = (
    np.interp(WAVE, *_TABLES[name]) for name in ("continuum", "dispersion", "read", "shot")
)
_LINE_WAVE, _PEAK = np.array(_TABLES["lines"].split(), dtype=float).reshape(-1, 2).T
_OFFSET = np.arange(PIXELS)[:, None] - (np.log10(_LINE_WAVE) / LOGLAM_STEP - FIRST)
_WIDTH = 1.05 * np.interp(_LINE_WAVE, *_TABLES["dispersion"])
LINES = (_PEAK * np.exp(-0.5 * (_OFFSET / _WIDTH) ** 2)).sum(axis=1)
_SLOPE = np.gradient(LINES)


def sky(rng: np.random.Generator) -> Float[np.ndarray, " pix"]:
    """The sky of one night on WAVE: continuum and airglow vary independently, by 17 and 30 per cent."""
    return CONTINUUM * rng.lognormal(0, 0.17) + LINES * rng.lognormal(0, 0.30)


def residual(rng: np.random.Generator) -> Float[np.ndarray, " pix"]:
    """What sky subtraction leaves beyond the noise: 1 per cent of the lines, a shift of 0.03 pixels."""
    return LINES * rng.normal(0, 0.01) + _SLOPE * rng.normal(0, 0.03)


def variance(
    flux: Float[np.ndarray, " pix"], sky: Float[np.ndarray, " pix"], platesn2: float
) -> Float[np.ndarray, " pix"]:
    """Variance per pixel of a spectrum on WAVE, from a plate of quality `platesn2` (18 is the median)."""
    photons = (READ + SHOT * (np.maximum(flux, 0) + sky)) * 18.0 / platesn2
    return photons + (0.012 * sky) ** 2
