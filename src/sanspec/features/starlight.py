"""A quick stellar continuum for emission lines of many spectra: a sum of E-MILES populations with dust.

Where pPXF or FIREFLY have fitted a spectrum, their continuum is better. This one serves the thousands of training
spectra and a user's own files: it is exact in resolution and redshift, coarse in velocity dispersion.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import nnls

from sanspec.physics.air import air_to_vac
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA
from sanspec.physics.dust import calzetti
from sanspec.physics.lines import EMISSION_LINES
from sanspec.spectra import grid
from sanspec.stellar.library import Library
from sanspec.stellar.lsf import smoothing

FIRST, PIXELS = 35680, 3390  # of the common SDSS grid: 3698-8070 A, rest frame, vacuum
AGES = (0.06, 0.2, 0.5, 1.0, 2.0, 5.0, 12.0)  # Gyr; the nearest of the library is taken
METALS = (-1.31, -0.4, 0.0, 0.22)  # [M/H]; the nearest of the library is taken
REDDENINGS = (0.0, 0.25, 0.6)  # E(B-V) [mag]
VDISPS = (60.0, 120.0, 180.0, 250.0, 330.0)  # km/s
MIDDLE = 1  # index in VDISPS of the first dispersion tried
FURTHER = (
    3727.1,
    3729.9,
    3869.9,
    4102.9,
    4341.7,
    5201.0,
    5877.2,
)  # lines masked in addition to those measured [A]
GAS_WIDTH = 450.0  # half width masked around each line [km/s]
LEAST = 300  # good pixels below which nothing is fitted


@dataclass(frozen=True)
class Bank:
    """Populations, each of mean one, on the grid `wave` (log) [Angstrom, vacuum, rest frame]."""

    wave: Float[np.ndarray, " log"]
    templates: Float[np.ndarray, "vdisp population log"]


def bank(library: Library, fwhm: float) -> Bank:
    """The populations at the dispersions of VDISPS and a resolution of `fwhm` [Angstrom, rest frame]."""
    ages = [int(np.argmin(np.abs(library.ages - age))) for age in AGES]
    metals = [int(np.argmin(np.abs(library.metals - metal))) for metal in METALS]
    chosen = library.cube[:, ages][:, :, metals].reshape(len(library.lam), -1)
    edges_in, edges = air_to_vac(grid.bin_edges(library.lam)), grid.loglam_edges(FIRST, PIXELS)
    wave = 0.5 * (edges[1:] + edges[:-1])
    excess = (fwhm**2 - np.interp(wave, library.lam, library.fwhm) ** 2) / FWHM_PER_SIGMA**2
    widths = [np.sqrt(np.maximum(excess + (vdisp / C_KMS * wave) ** 2, 0.0)) for vdisp in VDISPS]
    rows = np.stack([(smoothing(edges_in, edges, width) @ chosen).T for width in widths])
    return Bank(wave, rows / rows.mean(axis=2, keepdims=True))


def continuum(
    flux: Float[np.ndarray, " pix"], ivar: Float[np.ndarray, " pix"], z: float, populations: Bank
) -> tuple[Float[np.ndarray, " pix"], float]:
    """Starlight of one spectrum on grid.WAVE (observed frame) and its velocity dispersion, one of VDISPS.

    flux: any unit, NaN where unknown. ivar: 0 where masked. NaN where the spectrum has too few good pixels, where z is
    not finite, and beyond the range of the populations.
    """
    nothing = np.full(grid.WAVE.size, np.nan), np.nan
    if not (np.isfinite(z) and z > -0.5):
        return nothing
    rest = grid.WAVE / (1 + z)
    inside = (rest > populations.wave[0]) & (rest < populations.wave[-1])
    use = inside & (ivar > 0) & np.isfinite(flux) & ~about_lines(rest)
    if use.sum() < LEAST:
        return nothing
    weights = np.sqrt(ivar[use])
    at = np.interp(rest[inside], populations.wave, np.arange(populations.wave.size))
    dust = 10 ** (-0.4 * np.outer(REDDENINGS, calzetti(rest[inside]) - calzetti(5500.0)))

    def columns(number: int) -> Float[np.ndarray, "column inside"]:
        stars = interpolated(populations.templates[number], at)
        return (stars[:, None] * dust).reshape(-1, at.size)

    chosen = use[inside]
    mix = mixture(columns(MIDDLE)[:, chosen], flux[use], weights)
    chi2 = [np.sum(((mix @ columns(k)[:, chosen] - flux[use]) * weights) ** 2) for k in range(len(VDISPS))]
    best = int(np.argmin(chi2))
    result = np.full(grid.WAVE.size, np.nan)
    result[inside] = mixture(columns(best)[:, chosen], flux[use], weights) @ columns(best)
    return result, VDISPS[best]


def interpolated(
    rows: Float[np.ndarray, "population log"], at: Float[np.ndarray, " place"]
) -> Float[np.ndarray, "population place"]:
    """Rows interpolated at fractional positions of their last axis."""
    left = np.minimum(at.astype(np.int64), rows.shape[1] - 2)
    part = at - left
    return rows[:, left] * (1 - part) + rows[:, left + 1] * part


def mixture(
    columns: Float[np.ndarray, "column good"],
    flux: Float[np.ndarray, " good"],
    weights: Float[np.ndarray, " good"],
) -> Float[np.ndarray, " column"]:
    """Non-negative coefficients of the columns that fit the flux best, by the compressed normal equations."""
    design = columns * weights
    normal = design @ design.T
    ridge = 1e-10 * np.trace(normal) / len(normal)
    factor = np.linalg.cholesky(normal + ridge * np.eye(len(normal)))
    target = np.linalg.solve(factor, design @ (flux * weights))
    return nnls(factor.T, target)[0]


def about_lines(rest: Float[np.ndarray, " pix"]) -> Bool[np.ndarray, " pix"]:
    """Pixels (vacuum, rest frame) near emission lines."""
    lines = np.array([wave for line in EMISSION_LINES.values() for wave, _ in line.members] + list(FURTHER))
    return (np.abs(rest[:, None] / lines - 1) * C_KMS <= GAS_WIDTH).any(axis=1)
