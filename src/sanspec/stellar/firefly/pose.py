"""A spectrum and the populations on its own pixels, at its own resolution: what the clean mode fits."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy.cosmology import Planck15
from jaxtyping import Bool, Float, Int

from sanspec.config import Stellar
from sanspec.errors import Warn
from sanspec.physics.air import air_to_vac
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA
from sanspec.spectra import grid
from sanspec.stellar.faults import Unfit
from sanspec.stellar.firefly import lines
from sanspec.stellar.library import Library
from sanspec.stellar.lsf import smoothing
from sanspec.stellar.spectra import Spectrum

ABSURD = 1e4  # times the median flux: beyond, a pixel is no measurement


@dataclass(frozen=True, eq=False)
class Problem:
    """One spectrum with its populations.

    young (ssp): places of the populations in the library, none older than the universe; span: the spectrum's
    pixels that the templates reach; wave (span): rest vacuum Angstrom; fwhm (span): line spread, rest
    Angstrom; models (ssp, span): Lsun/Angstrom per solar mass formed; used (span): pixels that the fit sees;
    flux, error (used): unit of the spectrum.
    """

    spectrum: Spectrum
    library: Library
    young: Int[np.ndarray, " ssp"]
    span: slice
    wave: Float[np.ndarray, " span"]
    fwhm: Float[np.ndarray, " span"]
    models: Float[np.ndarray, "ssp span"]
    used: Bool[np.ndarray, " span"]
    flux: Float[np.ndarray, " used"]
    error: Float[np.ndarray, " used"]

    @property
    def snr(self) -> float:
        """Median flux over median error, per pixel."""
        return float(np.median(self.flux) / np.median(self.error))


def check(spectrum: Spectrum) -> None:
    """Raises Unfit, with the reason, for a spectrum that nothing can be fitted to."""
    if not (np.isfinite(spectrum.z) and spectrum.z > -0.5):
        raise Unfit(Warn.NO_REDSHIFT)
    if len(spectrum.wave) < 3:
        raise Unfit(Warn.SHORT_COVERAGE)
    if not usable(spectrum).any():
        raise Unfit(Warn.NO_SIGNAL)


@lru_cache(maxsize=4096)
def oldest(z: float) -> float:
    """Age of the universe [Gyr] at redshift z, as the released code has it: no population is older."""
    return float(Planck15.age(z).value)


def usable(spectrum: Spectrum) -> Bool[np.ndarray, " pix"]:
    """Pixels with a flux, which is not absurd, and an error."""
    with np.errstate(invalid="ignore"):
        good = spectrum.mask & np.isfinite(spectrum.flux) & np.isfinite(spectrum.noise) & (spectrum.noise > 0)
        level = np.median(np.abs(spectrum.flux[good])) if good.any() else 0.0
        return good & (np.abs(spectrum.flux) <= ABSURD * level)


def pose(spectrum: Spectrum, library: Library, settings: Stellar, vdisp: float) -> Problem:
    """The spectrum with its templates, at its resolution and broadened by `vdisp` [km/s].

    library: trimmed to where its fluxes are real. Raises Unfit, with the reason.
    """
    check(spectrum)
    stretch = 1.0 + spectrum.z
    young = np.flatnonzero(library.age <= oldest(spectrum.z))
    span, models = on_pixels(spectrum, library, young, vdisp)
    if span.stop - span.start < settings.least_pixels:
        raise Unfit(Warn.SHORT_COVERAGE)
    wave, fwhm = spectrum.wave[span] / stretch, spectrum.fwhm[span] / stretch
    used = usable(spectrum)[span] & ~lines.near(wave, settings.firefly.line_mask)
    if used.sum() < settings.least_pixels:
        raise Unfit(Warn.SHORT_COVERAGE)
    flux, error = (np.asarray(x[span][used], float) for x in (spectrum.flux, spectrum.noise))
    if np.median(flux) <= 0:
        raise Unfit(Warn.NO_SIGNAL)
    return Problem(spectrum, library, young, span, wave, fwhm, models, used, flux, error)


def on_pixels(
    spectrum: Spectrum, library: Library, young: Int[np.ndarray, " ssp"], vdisp: float
) -> tuple[slice, Float[np.ndarray, "ssp span"]]:
    """The pixels that the populations reach with their kernels and all, and these populations on them."""
    stretch = 1.0 + spectrum.z
    edges, edges_in = grid.bin_edges(spectrum.wave) / stretch, air_to_vac(library.edges)
    first, last = np.searchsorted(edges, edges_in[[0, -1]])
    if last - first < 2 or not len(young):
        return slice(0, 0), np.empty((len(young), 0))
    inside = slice(first, last - 1)
    sigma = kernel_width(spectrum.wave[inside] / stretch, spectrum.fwhm[inside] / stretch, library, vdisp)
    operator = smoothing(edges_in, edges[first:last], sigma)
    models = (operator @ library.flux[:, young]).T
    reached = np.flatnonzero((models > 0).all(axis=0))
    if not len(reached):
        return slice(0, 0), models[:, :0]
    low, high = reached[0], reached[-1] + 1
    return slice(first + low, first + high), np.ascontiguousarray(models[:, low:high])


def kernel_width(
    wave: Float[np.ndarray, " pix"], fwhm: Float[np.ndarray, " pix"], library: Library, vdisp: float
) -> Float[np.ndarray, " pix"]:
    """Standard deviation [Angstrom] that brings the library to a line spread and a velocity dispersion.

    wave: rest vacuum; fwhm: of the spectrum, rest. Zero where the library is the broader.
    """
    own = np.interp(wave, air_to_vac(library.lam), library.fwhm)
    variance = (fwhm**2 - own**2) / FWHM_PER_SIGMA**2 + (vdisp / C_KMS * wave) ** 2
    return np.sqrt(np.maximum(variance, 0.0))
