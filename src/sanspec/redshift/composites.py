"""Model eigenspectra for galaxies at any redshift: composite E-MILES populations, and ionised gas."""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d
from scipy.special import ndtr

from sanspec.physics import dust
from sanspec.physics.air import air_to_vac
from sanspec.physics.constants import C_KMS
from sanspec.physics.lines import LINE_GROUPS, LineGroup
from sanspec.redshift.eigenfit import Eigenspectra
from sanspec.spectra import grid
from sanspec.stellar.library import Library

# On the common SDSS grid: 2480-8530 A, the rest frame of 4000-8499 A up to z = 0.6
FIRST, PIXELS = 33945, 5365
STARTS = (1.0, 4.0, 8.0, 13.0)  # time since star formation began [Gyr]
FADES = (0.1, 1.0, 3.0, 1e3)  # e-folding time of star formation [Gyr]
REDDENINGS = (0.0, 0.2, 0.5)  # E(B-V) [mag]
VDISPS = (80.0, 160.0, 260.0)  # stellar velocity dispersions [km/s]
GAS_SIGMA = 110.0  # width of the emission lines, instrument included [km/s]
PIXEL_KMS = C_KMS * np.log(10.0) * grid.LOGLAM_STEP


def eigenspectra(library: Library, components: int) -> Eigenspectra:
    """The first `components` stellar vectors, and one vector for each group of emission lines, all of unit length.

    The stellar vectors are principal components of the equally weighted `composites`; no mean is subtracted.
    """
    stars = composites(library)
    stars /= stars.mean(axis=1, keepdims=True)
    principal = np.linalg.svd(stars, full_matrices=False)[2][:components]
    principal *= np.where(principal.sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    gas = np.stack([line_template(group) for group in LINE_GROUPS])
    vectors = np.concatenate([principal, gas / np.linalg.norm(gas, axis=1, keepdims=True)])
    return Eigenspectra(grid.LOGLAM_STEP * np.arange(FIRST, FIRST + PIXELS), vectors)


def composites(library: Library) -> Float[np.ndarray, "composite log"]:
    """Composite populations of every history, metallicity, reddening and velocity dispersion."""
    edges = grid.loglam_edges(FIRST, PIXELS)
    weights = np.stack([history(library.ages, start, fade) for start in STARTS for fade in FADES])
    mixed = np.einsum("ha,lam->hml", weights, library.cube).reshape(-1, len(library.lam))
    stars = grid.rebin(air_to_vac(grid.bin_edges(library.lam)), mixed, edges)
    curve = dust.calzetti(0.5 * (edges[1:] + edges[:-1]))
    screens = [10 ** (-0.4 * ebv * curve) for ebv in REDDENINGS]
    broad = [gaussian_filter1d(stars, vdisp / PIXEL_KMS, axis=1, mode="nearest") for vdisp in VDISPS]
    return np.concatenate([spectra * screen for spectra in broad for screen in screens])


def history(ages: Float[np.ndarray, " age"], start: float, fade: float) -> Float[np.ndarray, " age"]:
    """Fraction of the mass formed in each age bin by star formation that began `start` ago and decays over `fade`.

    All in Gyr. The bins meet half way between ages in the logarithm; the youngest bin reaches to the present.
    """
    middle = np.sqrt(ages[1:] * ages[:-1])
    limits = np.minimum(np.concatenate([[0.0], middle, [np.inf]]), start)
    formed = np.exp((limits - start) / fade)  # of the integral, what is still to come
    return np.diff(formed) / (formed[-1] - formed[0])


def line_template(group: LineGroup) -> Float[np.ndarray, " log"]:
    """Gaussian emission lines averaged over the pixels [flux per Angstrom]."""
    edges = grid.loglam_edges(FIRST, PIXELS)
    result = np.zeros(PIXELS)
    for wave, strength in group.lines:
        sigma = wave * GAS_SIGMA / C_KMS
        result += strength * np.diff(ndtr((edges - wave) / sigma)) / np.diff(edges)
    return result
