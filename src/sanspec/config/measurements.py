"""Redshifts, indices, lines, classes, quality."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from sanspec.config.base import BelowOne, Count, NotNegative, Positive, Section, Whole


class Redshift(Section):
    """Redshifts from the spectra alone: a chi2 scan of eigenspectra over trial redshifts."""

    z_min: float = Field(0.0, gt=-0.1)
    """first trial redshift"""
    z_max: float = Field(0.3, gt=0, le=0.6)
    """last trial redshift"""
    step: float = Field(2e-4, ge=1e-5, le=1e-3)
    """spacing of the trial redshifts in log10(1 + z) [dex]; the best one is refined"""
    polynomials: int = Field(3, ge=0, le=10)
    """number of Legendre polynomials fitted along with the eigenspectra"""
    ambiguous: NotNegative = 9.0
    """a redshift is flagged as ambiguous if another one fits worse by less than this chi2"""
    components: Count = 10
    """number of eigenspectra made from the training split"""
    spectra: Count = 4000
    """maximum number of training spectra that they are made from"""


class Lick(Section):
    """Absorption indices and their correction for velocity dispersion."""

    method: Literal["classical", "pyphot"] = "classical"
    """classical: line through the means of the sidebands, partial pixels, errors; pyphot: as that package measures, without errors"""
    resolution: Literal["lick", "printed", "none"] = "lick"
    """resolution of the Lick indices: lick, Worthey & Ottaviani 1997, table 8; printed, the same with the 8.9 A at 6000 A of the paper; none, that of the spectrum"""
    air: bool = True
    """index windows are wavelengths in air; false: taken for vacuum ones"""
    coefficients: Path | None = None
    """published coefficients p0-p7 of the correction (.yaml), instead of those fitted to E-MILES"""
    correct: bool = True
    """correct indices for velocity dispersion"""
    hbeta_on_fit: bool = True
    """measure Hbeta on the stellar fit, which has no emission; false: on the spectrum"""
    bootstrap: Count = 1000
    """bootstrap resamplings for the errors of correlations"""


class Lines(Section):
    """Emission lines."""

    continuum: Literal["ppxf", "firefly", "starlight"] = "ppxf"
    """stellar fit that is subtracted, and on which Hbeta is measured; starlight: a quick sum of populations"""
    v_max: Positive = 400.0
    """maximum velocity of a line relative to the redshift [km/s]; a line at it is not measured"""
    sigma_max: Positive = 600.0
    """maximum velocity dispersion [km/s]; a line at it is broad and not measured"""
    present_snr: NotNegative = 0.0
    """a line is absent where its flux is not positive or below this signal to noise"""


class Classify(Section):
    """Passive, star-forming or active: classes and their error budget."""

    ew_min: NotNegative = 1.0
    """equivalent width of Halpha below which a galaxy is passive [Angstrom, rest]"""
    line_errors: tuple[BelowOne, BelowOne, BelowOne, BelowOne] = (0.15, 0.15, 0.20, 0.30)
    """fractional errors of Hbeta, [O III] 5007, Halpha, [N II] 6583 (Richardson et al. 2016)"""
    ew_error: NotNegative = 1.0
    """standard deviation of the error of the equivalent width"""
    ew_reading: Literal["additive", "multiplicative"] = "additive"
    """additive: EW + N(0, ew_error) [Angstrom]; multiplicative: EW x N(1, ew_error); both are reported"""
    draws: Count = 2000
    """perturbations of each galaxy for the probabilities of its classes"""
    experiments: Count = 5000
    """draws of all labels from those probabilities (paper: 5000)"""
    seed: Whole = 0
    """seed of the perturbations and draws"""


class Agn(Section):
    """Baselines that identify active galaxies without a spectrum."""

    spectra: Count = 1200
    """maximum number of training spectra with measured classes, evenly spread over the split"""
    steps: Count = 250
    """optimiser steps of the image classifier"""
    batch: Count = 64
    """galaxies per step"""
    rate: Positive = 1e-3
    """its peak learning rate"""
    widths: tuple[Count, ...] = (24, 48, 96)
    """channels of its stages, each with half the resolution of the one before"""
    seed: Whole = 0
    """seed of its weights and batches, and of the folds of cross-validation"""


class Quality(Section):
    """Pixel-by-pixel comparison of predicted with observed spectra."""

    wave_min: Positive = 4000.0
    """shortest rest-frame wavelength compared [Angstrom]"""
    wave_max: Positive = 7000.0
    """longest rest-frame wavelength compared [Angstrom]"""


class Measure(Section):
    """Measurements on spectrum files of your own."""

    z_min: float = Field(-0.002, gt=-0.1)
    """first trial redshift"""
    z_max: float = Field(0.6, gt=0, le=0.6)
    """last trial redshift"""
    components: Count = 8
    """stellar eigenspectra made from the E-MILES populations"""
    templates: Path = Path("results/raw/templates/emiles.npz")
    """E-MILES populations; `sanspec templates` downloads them"""
