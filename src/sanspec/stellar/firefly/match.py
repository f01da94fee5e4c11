"""A spectrum and the populations on its own pixels, at its own resolution: the input of the clean mode."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from astropy.cosmology import Planck15
from jaxtyping import Bool, Float, Int

from sanspec.errors import Warn
from sanspec.physics.air import air_to_vac
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA
from sanspec.spectra import grid
from sanspec.stellar.library import M11_WAVE, Library
from sanspec.stellar.lsf import smoothing
from sanspec.stellar.spectra import LEAST_PIXELS, Spectrum, Unfit

ABSURD = 1e4  # a pixel of more than this many times the median flux is left out
# Air wavelengths [Angstrom] masked by the released FIREFLY: [O II], [Ne III], He I-II, Balmer, [O III], [Ar IV], [N I],
# [O I], [N II], [S II], [Ar III], [Ne V]
_LINES_AIR = (
    *(3202.15, 3345.81, 3425.81, 3726.03, 3728.73, 3868.69, 3889.05, 3967.40, 3970.07, 4101.73, 4340.46),
    *(4363.15, 4685.74, 4711.30, 4740.10, 4861.32, 4958.83, 5006.77, 5197.90, 5200.39, 5875.60, 6300.20),
    *(6363.67, 6547.96, 6562.80, 6583.34, 6716.31, 6730.68, 7135.67),
)
LINES = air_to_vac(np.array(_LINES_AIR))


@dataclass(frozen=True, eq=False)
class Matched:
    """One spectrum with its populations.

    young (ssp): positions in the library of the populations no older than the universe. span: the spectrum's pixels
    that the templates reach. wave (span): rest vacuum Angstrom. fwhm (span): line-spread function, rest Angstrom.
    models (ssp, span): Lsun/Angstrom per solar mass formed. used (span): pixels in the fit. flux, error (used): in
    the unit of the spectrum.
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


@dataclass(frozen=True, eq=False)
class Fitted:
    """The result of either mode: quantities and errors by name, and the best fit.

    model (used): its flux. shares (ssp): of the light. chi2: per pixel.
    """

    values: dict[str, float]
    errors: dict[str, float]
    model: Float[np.ndarray, " used"]
    shares: Float[np.ndarray, " ssp"]
    chi2: float


def match(spectrum: Spectrum, library: Library, line_mask: float, vdisp: float) -> Matched:
    """The spectrum with its templates, at its resolution and broadened by `vdisp` [km/s].

    library: as `trimmed` gives it. line_mask: half width left out around emission lines [Angstrom]. Raises Unfit, with
    the reason.
    """
    if not (np.isfinite(spectrum.z) and spectrum.z > -0.5):
        raise Unfit(Warn.NO_REDSHIFT)
    if len(spectrum.wave) < 3:
        raise Unfit(Warn.SHORT_COVERAGE)
    good = usable(spectrum)
    if not good.any():
        raise Unfit(Warn.NO_SIGNAL)
    stretch = 1.0 + spectrum.z
    young = np.flatnonzero(library.age <= oldest(spectrum.z))
    span, models = on_pixels(spectrum, library, young, vdisp)
    if span.stop - span.start < LEAST_PIXELS:
        raise Unfit(Warn.SHORT_COVERAGE)
    wave, fwhm = spectrum.wave[span] / stretch, spectrum.fwhm[span] / stretch
    used = good[span] & ~near_emission(wave, line_mask)
    if used.sum() < LEAST_PIXELS:
        raise Unfit(Warn.SHORT_COVERAGE)
    flux, error = (np.asarray(x[span][used], float) for x in (spectrum.flux, spectrum.noise))
    if np.median(flux) <= 0:
        raise Unfit(Warn.NO_SIGNAL)
    return Matched(spectrum, library, young, span, wave, fwhm, models, used, flux, error)


@lru_cache(maxsize=2)
def trimmed(library: Library) -> Library:
    """The library without its empty ends, as the clean mode takes it."""
    return library.cut(*M11_WAVE)


@lru_cache(maxsize=4096)
def oldest(z: float) -> float:
    """Age of the universe [Gyr] at redshift z in the cosmology of the released code: no population is older."""
    return float(Planck15.age(z).value)


def usable(spectrum: Spectrum) -> Bool[np.ndarray, " pix"]:
    """Pixels with an error and a flux that is not absurd."""
    with np.errstate(invalid="ignore"):
        good = spectrum.mask & np.isfinite(spectrum.flux) & np.isfinite(spectrum.noise) & (spectrum.noise > 0)
        level = np.median(np.abs(spectrum.flux[good])) if good.any() else 0.0
        return good & (np.abs(spectrum.flux) <= ABSURD * level)


def near_emission(rest: Float[np.ndarray, " pix"], half_width: float) -> Bool[np.ndarray, " pix"]:
    """Pixels (rest vacuum Angstrom) closer than `half_width` [Angstrom] to an emission line."""
    after = np.searchsorted(LINES, rest)
    below = np.abs(rest - LINES[np.maximum(after - 1, 0)])
    above = np.abs(LINES[np.minimum(after, len(LINES) - 1)] - rest)
    return np.minimum(below, above) < half_width


def on_pixels(
    spectrum: Spectrum, library: Library, young: Int[np.ndarray, " ssp"], vdisp: float
) -> tuple[slice, Float[np.ndarray, "ssp span"]]:
    """The pixels that the populations reach, kernels included, and the populations on these pixels.

    They are broadened to the line-spread function and the velocity dispersion; where the library is broader, it is left
    as it is.
    """
    stretch = 1.0 + spectrum.z
    edges, edges_in = grid.bin_edges(spectrum.wave) / stretch, air_to_vac(library.edges)
    first, last = np.searchsorted(edges, edges_in[[0, -1]])
    if last - first < 2 or not len(young):
        return slice(0, 0), np.empty((len(young), 0))
    inside = slice(first, last - 1)
    wave, fwhm = spectrum.wave[inside] / stretch, spectrum.fwhm[inside] / stretch
    own = np.interp(wave, air_to_vac(library.lam), library.fwhm)
    variance = (fwhm**2 - own**2) / FWHM_PER_SIGMA**2 + (vdisp / C_KMS * wave) ** 2
    operator = smoothing(edges_in, edges[first:last], np.sqrt(np.maximum(variance, 0.0)))
    models = (operator @ library.flux[:, young]).T
    reached = np.flatnonzero((models > 0).all(axis=0))
    if not len(reached):
        return slice(0, 0), models[:, :0]
    low, high = reached[0], reached[-1] + 1
    return slice(first + low, first + high), np.ascontiguousarray(models[:, low:high])
