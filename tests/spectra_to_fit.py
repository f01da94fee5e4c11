"""SDSS spectrum files as the population fits take them, for tests and benchmarks: native, or smoothed as a run does."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sanspec.config import Prepare
from sanspec.physics.constants import FWHM_PER_SIGMA
from sanspec.physics.dust import milky_way_transmission
from sanspec.spectra import grid
from sanspec.spectra.native import NativeBlock
from sanspec.spectra.preparing import smooth_spectra
from sanspec.stellar.spectra import Spectrum
from sanspec.survey.specfile import MASKED_BITS, read, read_many


def from_file(path: Path, z: float | None = None) -> Spectrum:
    """An SDSS spectrum file at its native pixels and resolution, flux in units of its median; z: the file's own."""
    content = read(path)
    about, wave = content.about, 10.0**content.loglam
    good = (content.ivar > 0) & np.isfinite(content.flux) & ((content.and_mask & MASKED_BITS) == 0)
    known = content.wdisp > 0
    pixel = wave * np.log(10.0) * grid.LOGLAM_STEP
    fwhm = FWHM_PER_SIGMA * np.interp(wave, wave[known], (content.wdisp * pixel)[known])
    norm = float(np.median(content.flux[good]))
    noise = np.where(good, np.where(good, content.ivar, 1.0) ** -0.5, np.nan) / norm
    where = about.specobjid, "observed", about.z if z is None else z
    return Spectrum(*where, wave, np.where(good, content.flux, np.nan) / norm, noise, good, fwhm, norm)


def from_prepared(paths: Sequence[Path], prepare: Prepare) -> list[Spectrum]:
    """SDSS spectrum files smoothed and resampled as `sanspec prepare` does, flux in units of each one's median."""
    native = read_many(paths)
    about = [(one.specobjid, one.z) if one else (0, np.nan) for one in native.about]
    return smoothed(native, about, prepare)


def smoothed(
    native: NativeBlock,
    about: Sequence[tuple[int, float]],
    prepare: Prepare,
    a_r: Sequence[float] | None = None,
) -> list[Spectrum]:
    """Native spectra as `sanspec prepare` smooths and resamples them, flux in units of each one's median.

    about: specobjid and z. a_r: the Milky Way's extinction in r [mag] to correct for; none where not given.
    """
    block, coarse, spectra = smooth_spectra(native, prepare), grid.coarse_wave(), []
    for row, (specobjid, z) in enumerate(about):
        passed = milky_way_transmission(grid.WAVE, np.nan if a_r is None else a_r[row])
        good = block.ivar[row] > 0
        norm = float(np.median(block.flux[row][good])) if good.any() else np.nan
        noise = np.where(good, np.where(good, block.ivar[row], 1.0) ** -0.5, np.nan) / norm / passed
        fwhm = np.interp(grid.WAVE, coarse, block.lsf[row])
        light = block.flux[row] / norm / passed, noise, good, fwhm
        spectra.append(Spectrum(specobjid, "observed", z, grid.WAVE, *light, norm, 0, passed))
    return spectra
