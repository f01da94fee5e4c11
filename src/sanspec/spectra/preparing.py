"""Spectra as networks and measurements take them: smoothed, resampled, normalised, logarithmic, coarse."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt32

from sanspec.config import Prepare
from sanspec.errors import Warn
from sanspec.physics.constants import FWHM_PER_SIGMA
from sanspec.spectra import grid, linespread, smoothing
from sanspec.spectra.native import NativeBlock

Pixels = Float[np.ndarray, "gal pix"]

UNUSABLE = Warn.UNREADABLE | Warn.NO_SIGNAL | Warn.NOT_NORMALISABLE | Warn.BAD_IMAGE  # in no split
MASKED_TOLERANCE = 0.10  # masked fraction of the pixels above which a spectrum is flagged
BROAD_TOLERANCE = 0.15  # excess of the native over the target FWHM above which it is flagged
_WITHOUT_FLUX = Warn.UNREADABLE | Warn.NO_SIGNAL | Warn.NOT_NORMALISABLE


@dataclass(frozen=True)
class SmoothedBlock:
    """Spectra on the product grid at the target resolution, in the unit of the native flux.

    flux (gal, pix): 1e-17 erg/s/cm2/A, interpolated where masked, NaN without a good pixel. ivar (gal, pix): 0 where
    masked. correlation (gal, lag, pix): noise correlation of pixels p and p + 1 + lag. lsf (gal, coarse): FWHM [A]. snr
    (gal): median over the native pixels within the grid. warn (gal): Warn bits.
    """

    flux: Pixels
    ivar: Pixels
    correlation: Float[np.ndarray, "gal lag pix"]
    lsf: Float[np.ndarray, "gal coarse"]
    snr: Float[np.ndarray, " gal"]
    warn: UInt32[np.ndarray, " gal"]


@dataclass(frozen=True)
class PreparedBlock(SmoothedBlock):
    """Normalised spectra as spectra.h5 holds them; a row with a bit of UNUSABLE has flux NaN and ivar 0.

    flux, ivar (gal, pix): of the normalised flux. norm (gal): 1e-17 erg/s/cm2/A. log_flux (gal, pix): natural
    logarithm, gaps interpolated. mask (gal, pix): true where log_flux was measured. coarse_log_flux, coarse_mask (gal,
    coarse): their block means.
    """

    norm: Float[np.ndarray, " gal"]
    log_flux: Pixels
    mask: Bool[np.ndarray, "gal pix"]
    coarse_log_flux: Float[np.ndarray, "gal coarse"]
    coarse_mask: Bool[np.ndarray, "gal coarse"]


def prepare_spectra(native: NativeBlock, z: Float[np.ndarray, " gal"], settings: Prepare) -> PreparedBlock:
    """Native spectra smoothed, resampled, normalised and in logarithm (Doorenbos et al. 2024, section 2.2).

    z: redshift, which places the rest-frame normalisation window.
    """
    smoothed = smooth_spectra(native, settings)
    norm = normalisation(smoothed.flux, smoothed.ivar, z, settings)
    without = np.isnan(norm) & ((smoothed.warn & _WITHOUT_FLUX) == 0)
    warn = smoothed.warn | bits(without, Warn.NOT_NORMALISABLE)
    usable = (warn & _WITHOUT_FLUX) == 0
    flux = np.where(usable[:, None], smoothed.flux / norm[:, None], np.nan)
    ivar = np.where(usable[:, None], smoothed.ivar * norm[:, None] ** 2, 0.0)
    mask = (ivar > 0) & (flux > settings.log_floor)
    log_flux = fill_gaps(np.log(np.where(mask, flux, 1.0)), mask)
    negative = np.any((flux <= 0) & (ivar > 0), axis=1)
    changed = {
        "flux": flux,
        "ivar": ivar,
        "correlation": np.where(usable[:, None, None], smoothed.correlation, 0.0),
        "warn": warn | bits(negative, Warn.NONPOSITIVE_FLUX),
    }
    coarse = grid.coarse(log_flux, mask)
    return PreparedBlock(
        **vars(smoothed) | changed,
        norm=np.where(usable, norm, np.nan),
        log_flux=log_flux,
        mask=mask,
        coarse_log_flux=coarse[0],
        coarse_mask=coarse[1],
    )


# ----------------------------------------------------------------------------------- smoothing and resampling


def noise_lags(settings: Prepare) -> int:
    """Lags of the stored noise correlation: enough for a kernel as broad as the target."""
    constant = settings.smoothing == "constant_fwhm"
    return smoothing.lags_needed(settings.fwhm / FWHM_PER_SIGMA if constant else settings.sigma)


def smooth_spectra(native: NativeBlock, settings: Prepare) -> SmoothedBlock:
    """Native spectra at the target resolution on the product grid, with the covariance of their noise."""
    blur, lsf, native_lsf = _widths(native, settings)
    pixels = native.flux.shape[1]
    if settings.smoothing == "constant_fwhm":
        operator = smoothing.blurred(native.first, pixels, settings.fwhm / FWHM_PER_SIGMA)
    else:
        operator = smoothing.released(native.first, pixels, settings.sigma)
    flux, ivar, correlation, _ = smoothing.resample(
        native.flux, native.ivar, blur, operator, noise_lags(settings)
    )
    good = ivar > 0
    warn = _warn(native.warn, good, native_lsf, settings)
    return SmoothedBlock(fill_gaps(flux, good), ivar, correlation, lsf, _median_snr(native), warn)


def _widths(native: NativeBlock, settings: Prepare) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variance of the smoothing kernel [Angstrom^2], and FWHM after and before it [Angstrom, coarse grid]."""
    first, pixels = native.first, native.flux.shape[1]
    present = linespread.native_variance(native.wdisp, first)
    rebinning = linespread.rebinning_variance(first, pixels)
    before = linespread.at_coarse(present, first)
    if settings.smoothing == "constant_fwhm":
        blur = linespread.kernel_variance(present, rebinning, settings.fwhm)
        added = linespread.at_coarse(blur, first)
        width = linespread.at_coarse(linespread.native_width(first, pixels), first)
        beat = linespread.at_coarse(linespread.rebinning_beat(first, pixels), first)
        added += beat * np.exp(-2 * np.pi**2 * added / width**2)  # the part that survives the blur
    else:
        offsets, weights = smoothing.sampled_gaussian(settings.sigma)
        blur, added = np.zeros_like(present), np.sum(weights * offsets**2)
    after = before + added + linespread.at_coarse(rebinning, first)
    return blur, linespread.fwhm(after), linespread.fwhm(before)


def _warn(before: np.ndarray, good: np.ndarray, native_lsf: np.ndarray, settings: Prepare) -> np.ndarray:
    """Warn bits of smoothed spectra; a spectrum without a good pixel keeps the one bit that says why."""
    end = grid.COARSE_BLOCK
    reaches = good[:, :end].any(axis=1) & good[:, -end:].any(axis=1)
    narrow = (native_lsf <= (1 + BROAD_TOLERANCE) * settings.fwhm).all(axis=1)  # false if broad or unknown
    warn = before | bits(~reaches, Warn.SHORT_COVERAGE)
    warn |= bits(1 - good.mean(axis=1) > MASKED_TOLERANCE, Warn.MASKED_PIXELS)
    if settings.smoothing == "constant_fwhm":
        warn |= bits(~narrow, Warn.LSF_BROAD)
    nothing = before | bits(before == 0, Warn.NO_SIGNAL)
    return np.where(good.any(axis=1), warn, nothing)


def bits(holds: Bool[np.ndarray, " gal"], bit: Warn) -> UInt32[np.ndarray, " gal"]:
    """A Warn bit where it holds, else 0."""
    return np.where(holds, np.uint32(bit), np.uint32(0))


def _median_snr(native: NativeBlock) -> Float[np.ndarray, " gal"]:
    """Median signal-to-noise ratio of the good native pixels; NaN without one."""
    wave = linespread.native_wave(native.first, native.flux.shape[1])
    inside = slice(*np.searchsorted(wave, [grid.WAVE[0], grid.WAVE[-1]]))
    snr = native.flux[:, inside] * np.sqrt(native.ivar[:, inside])
    good = native.ivar[:, inside] > 0
    return np.array([np.median(row[use]) if use.any() else np.nan for row, use in zip(snr, good)])


# ---------------------------------------------------------------------------------- normalisation and gaps


def normalisation(
    flux: Pixels, ivar: Pixels, z: Float[np.ndarray, " gal"], settings: Prepare
) -> Float[np.ndarray, " gal"]:
    """Mean flux over the good pixels of the normalisation window (Doorenbos et al. 2024, section 2.2).

    In the unit of `flux`. NaN if fewer than half of the pixels in the window are good or the mean is not positive.
    """
    stretch = 1.0 + np.asarray(z, dtype=np.float64) if settings.norm_frame == "rest" else np.ones(len(flux))
    low, high = settings.norm_min * stretch[:, None], settings.norm_max * stretch[:, None]
    use = (low <= grid.WAVE) & (high >= grid.WAVE) & (ivar > 0)
    count = use.sum(axis=1)
    mean = np.where(use, flux, 0.0).sum(axis=1) / np.maximum(count, 1)
    return np.where((count >= 0.5 * (high - low)[:, 0]) & (mean > 0), mean, np.nan)


def fill_gaps(values: Pixels, good: Bool[np.ndarray, "gal pix"]) -> Pixels:
    """`values` where `good`, else interpolated linearly, constant at the ends; NaN for rows without a good pixel."""
    result = np.array(values, dtype=np.float64)
    pixel = np.arange(values.shape[1])
    for row, use in zip(result, good):
        if not use.any():
            row[:] = np.nan
        elif not use.all():
            row[~use] = np.interp(pixel[~use], pixel[use], row[use])
    return result
