"""The input of a population fit: one spectrum with its noise, mask, resolution and redshift.

The noise is the same for both members of a pair, since a predicted spectrum has none of its own: with `noise: constant`
it is the median error of the good pixels of the observed member; with `noise: observed` it is the observed member's
error pixel by pixel. Both members are masked at the same night-sky lines, and both are corrected for the Milky Way's
dust at the position of the galaxy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float

from sanspec.config import Stellar
from sanspec.errors import SanspecError, Warn
from sanspec.physics.constants import LSUN
from sanspec.physics.cosmology import COSMOLOGY
from sanspec.physics.dust import milky_way_transmission
from sanspec.physics.lines import SKY_LINES
from sanspec.products.members import Members
from sanspec.spectra import grid
from sanspec.spectra.spectra import Spectra, near_lines

Pixels = Float[np.ndarray, " pix"]

FLUX_UNIT = 1e-17  # erg/s/cm2/Angstrom
SKY_WIDTH = 8.0  # half width masked around a night-sky line [Angstrom, observed]
LEAST_PIXELS = 300  # good pixels below which a spectrum is not fitted
LOW_SNR = 3.0  # signal-to-noise ratio per pixel below which a fit gets the WARN bit low_snr


class Unfit(Exception):
    """A spectrum that cannot be fitted; `warn` says why."""

    def __init__(self, warn: Warn):
        super().__init__(warn)
        self.warn = Warn.NOT_FITTED | warn


@dataclass(frozen=True)
class Spectrum:
    """One spectrum to fit.

    wave (pix): vacuum Angstrom, observed frame. flux (pix): flux density in units of `norm`. noise (pix): its 1 sigma
    error, same unit. mask (pix): true = use. fwhm (pix): FWHM of the line-spread function [Angstrom, observed]. z:
    redshift. norm: 1e-17 erg/s/cm2/Angstrom, NaN where unknown. warn: bits of `Warn` known before any fit. foreground
    (pix): transmission of the Milky Way's dust, by which flux and noise were divided; fitted models are multiplied by
    it.
    """

    specobjid: int
    kind: str
    z: float
    wave: Pixels
    flux: Pixels
    noise: Pixels
    mask: Bool[np.ndarray, " pix"]
    fwhm: Pixels
    norm: float = np.nan
    warn: int = 0
    foreground: Pixels | None = None


def pairs(members: Members, settings: Stellar, shard: tuple[int, int] = (0, 1)) -> Iterator[Spectrum]:
    """Observed and predicted spectrum of each galaxy in turn, in ascending order of specobjid.

    `shard` (i, n) keeps every n-th galaxy from the i-th on; i counts from 0. A predicted spectrum has the unit of the
    observed one. Raises SanspecError where objects.parquet lacks the Milky Way's extinction.
    """
    rows = np.argsort(members.observed.specobjid)[shard[0] :: shard[1]]
    observed, predicted = members.observed[rows], members.predictor("predicted")[rows]
    a_r = _extinction(members, settings)[rows]
    sky = near_lines(SKY_LINES, SKY_WIDTH)
    for row, z in enumerate(observed.z):
        noise = pair_noise(observed.ivar[row], settings.noise)
        yield _one(observed, row, z, noise, observed.good[row] & ~sky, a_r[row], 0)
        own_z, warn = z if settings.predicted_z == "true" else predicted.z[row], predicted.warn[row]
        if not np.isfinite(own_z):
            own_z, warn = z, warn | Warn.NO_REDSHIFT
        yield _one(predicted, row, own_z, noise, np.isfinite(predicted.flux[row]) & ~sky, a_r[row], warn)


def _one(
    spectra: Spectra, row: int, z: float, noise: Pixels, mask: Bool[np.ndarray, " pix"], a_r: float, warn: int
) -> Spectrum:
    """One of the spectra, corrected for `a_r` magnitudes of Milky Way dust."""
    passed = milky_way_transmission(grid.WAVE, a_r)
    light = spectra.flux[row] / passed, noise / passed, mask, spectra.lsf[row]
    about = int(spectra.specobjid[row]), spectra.kind, float(z), grid.WAVE
    return Spectrum(*about, *light, float(spectra.norm[row]), int(warn), passed)


def pair_noise(ivar: Pixels, noise: str) -> Pixels:
    """The 1 sigma error of both members of a pair from the `ivar` of the observed one; NaN where no pixel is good.

    noise: `constant`, the median error everywhere; or `observed`, the median error only where `ivar` is 0.
    """
    good = ivar > 0
    error = np.full(ivar.shape, np.nan)
    error[good] = ivar[good] ** -0.5
    middle = np.median(error[good]) if good.any() else np.nan
    if noise == "constant":
        return np.full(ivar.shape, middle)
    return np.where(good, error, middle)


def _extinction(members: Members, settings: Stellar) -> Float[np.ndarray, " gal"]:
    """The Milky Way's extinction in r [mag] in front of every galaxy, NaN where it is not to be corrected."""
    if settings.milky_way == "none":
        return np.full(len(members.observed), np.nan)
    path = members.spectra.with_name("objects.parquet")
    table = members.table(path)
    if "extinction_r" not in table:
        raise SanspecError(f"{path} has no column extinction_r: query it, or set stellar.milky_way: none")
    return table["extinction_r"].to_numpy(float)


@lru_cache(maxsize=4096)
def solar_luminosity(z: float) -> float:
    """Rest-frame Lsun/Angstrom of a flux density of 1e-17 erg/s/cm2/Angstrom observed at redshift z; NaN for z <= 0."""
    if z <= 0:
        return np.nan
    distance = COSMOLOGY.luminosity_distance(z).to_value("cm")
    return FLUX_UNIT * 4 * np.pi * distance**2 * (1 + z) / LSUN
