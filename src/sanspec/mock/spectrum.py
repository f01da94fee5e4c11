"""The spectrum of a fibre: starlight broadened and redshifted, lines, extinction, calibration errors, noise."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import erf

from sanspec.mock import night
from sanspec.mock.gas import WAVE as LINE_WAVE
from sanspec.mock.stars import FIRST, PIXELS, milky_way
from sanspec.physics.constants import C_KMS
from sanspec.spectra.grid import LOGLAM_STEP
from sanspec.survey.sdss import PixMask

PIXEL_KMS = LOGLAM_STEP * np.log(10) * C_KMS  # 69.03 km/s
BOXES = 1 / 6  # variance [pixel2] of the pixels of library and kernel; wdisp includes one pixel
TAPS = 24  # half width of a kernel [pixel]: 5 sigma at 300 km/s
LEVELS = 256  # number of widths at which the kernel is tabulated

MILKY_WAY = milky_way(night.WAVE)


COLUMNS = ("flux", "ivar", "and_mask", "or_mask", "wdisp", "sky", "model")


@dataclass(frozen=True)
class Spectrum:
    """An observed spectrum from pixel `first` of the common 1e-4 dex grid; 1e-17 erg/s/cm2/A."""

    first: int
    flux: Float[np.ndarray, " pix"]
    ivar: Float[np.ndarray, " pix"]
    and_mask: Int[np.ndarray, " pix"]
    or_mask: Int[np.ndarray, " pix"]
    wdisp: Float[np.ndarray, " pix"]
    sky: Float[np.ndarray, " pix"]
    model: Float[np.ndarray, " pix"]

    @property
    def wave(self) -> Float[np.ndarray, " pix"]:
        """Wavelengths [Angstrom, vacuum]."""
        return 10 ** (LOGLAM_STEP * (self.first + np.arange(self.flux.size)))


def kernel(sigma: Float[np.ndarray, " pix"], part: float) -> Float[np.ndarray, "pix tap"]:
    """Gaussians of `sigma` pixels, integrated over pixels and centred `part` of a pixel right of the middle."""
    levels = np.linspace(sigma.min(), sigma.max() + 1e-6, LEVELS)
    edges = np.arange(-TAPS - 0.5, TAPS + 1.0) - part
    table = 0.5 * np.diff(erf(edges / (np.sqrt(2) * levels[:, None])), axis=1)
    nearest = np.rint((sigma - levels[0]) / (levels[1] - levels[0])).astype(int)
    return table[nearest].astype(np.float32)


def observe(
    rest: Float[np.ndarray, " rest"],
    library_sigma: Float[np.ndarray, " rest"],
    z: float,
    vdisp: float,
    wdisp: Float[np.ndarray, " pix"],
) -> Float[np.ndarray, " pix"]:
    """A rest-frame spectrum as observed at `z`, on night.WAVE, still per rest-frame Angstrom.

    It is broadened by vdisp^2 + wdisp^2 - library_sigma^2 (pixels), where that is positive, and moved by the
    exact, fractional number of pixels in the same convolution.
    """
    start = night.FIRST - np.log10(1 + z) / LOGLAM_STEP - FIRST  # rest pixel under the first observed one
    whole, part = int(np.floor(start)), float(start % 1)
    at = np.clip(np.arange(whole, whole + night.PIXELS), 0, PIXELS - 1)
    variance = (vdisp / PIXEL_KMS) ** 2 + wdisp**2 - library_sigma[at] ** 2 - BOXES
    taps = kernel(np.sqrt(np.maximum(variance, 0.01)), part)
    rows = np.clip(np.arange(whole - TAPS, whole + night.PIXELS + TAPS), 0, PIXELS - 1)
    windows = np.lib.stride_tricks.sliding_window_view(rest[rows], 2 * TAPS + 1)
    return np.einsum("pt,pt->p", taps, windows)


def emission(
    flux: Float[np.ndarray, " line"],
    z: float,
    width: Float[np.ndarray, " line"],
    wdisp: Float[np.ndarray, " pix"],
) -> Float[np.ndarray, " pix"]:
    """Gaussian lines of integrated `flux` and intrinsic `width` [km/s], per Angstrom, pixel by pixel."""
    result = np.zeros(night.PIXELS)
    centres = (np.log10(LINE_WAVE * (1 + z)) / LOGLAM_STEP) - night.FIRST
    for centre, line, kms in zip(centres, flux, width):
        if not 0 < centre < night.PIXELS - 1 or line <= 0:
            continue
        sigma = np.sqrt((kms / PIXEL_KMS) ** 2 + wdisp[int(centre)] ** 2 - BOXES / 2)
        low, high = max(int(centre - 6 * sigma), 0), min(int(centre + 6 * sigma) + 2, night.PIXELS)
        edges = np.arange(low, high + 1) - 0.5
        share = 0.5 * np.diff(erf((edges - centre) / (np.sqrt(2) * sigma)))
        result[low:high] += line * share / (night.WAVE[low:high] * np.log(10) * LOGLAM_STEP)
    return result


def calibration(rng: np.random.Generator) -> Float[np.ndarray, " pix"]:
    """Multiplicative error of the flux calibration: 5 per cent grey, 4 between g and r, 1.5 of ripple.

    The survey's plates state 4-5, 3-4 and 2 per cent (header keys GRMSSTD, GRRMSSTD, RIRMSSTD).
    """
    x = (night.WAVE - 6000.0) / 2500.0
    ripple = rng.normal(0, 0.010, 3) @ np.stack(
        [np.cos(k * np.pi * x + rng.uniform(0, 6.3)) for k in (1.0, 1.7, 2.6)]
    )
    tilt = rng.normal(0, 0.04) * x / 0.6
    return 10 ** (-0.4 * (rng.normal(0, 0.05) + tilt)) * (1 + ripple)


def expose(
    light: Float[np.ndarray, " pix"],
    wdisp: Float[np.ndarray, " pix"],
    mw_ebv: float,
    platesn2: float,
    rng: np.random.Generator,
) -> Spectrum:
    """The pipeline's spectrum of `light` (1e-17 erg/s/cm2/A before Galactic extinction, on night.WAVE)."""
    model = light * 10 ** (-0.4 * mw_ebv * MILKY_WAY) * calibration(rng)
    sky = night.sky(rng)
    variance = night.variance(model, sky, platesn2)
    flux = model + night.residual(rng) + rng.standard_normal(night.PIXELS) * np.sqrt(variance)
    ivar = 1 / variance
    and_mask = np.where(sky > 4 * night.CONTINUUM, PixMask.BRIGHTSKY, 0)
    lost = rng.random(night.PIXELS) < 0.0003
    ivar[lost] = 0
    and_mask[lost] |= PixMask.NODATA
    or_mask = and_mask | np.where(rng.random(night.PIXELS) < 0.02, PixMask.NEARBADPIXEL, 0)
    low, count = int(rng.integers(10, 48)), int(rng.integers(3808, 3849))
    use = slice(low, low + count)
    columns = (array[use] for array in (flux, ivar, and_mask, or_mask, wdisp, sky, model))
    return Spectrum(night.FIRST + low, *columns)
