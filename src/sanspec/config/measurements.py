"""Redshifts, indices, lines, classes, quality."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from sanspec.config.base import Count, Positive, Section

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Redshift(Section):
    """Redshifts from the spectra alone: a chi2 scan of eigenspectra over trial redshifts."""

    z_min: float = Field(0.0, gt=-0.1, description="first trial redshift")
    z_max: float = Field(0.3, gt=0, le=0.6, description="last trial redshift")
    step: float = Field(
        2e-4,
        ge=1e-5,
        le=1e-3,
        description="spacing of the trial redshifts in log10(1 + z) [dex]; the best one is refined",
    )
    polynomials: int = Field(
        3, ge=0, le=10, description="number of Legendre polynomials fitted along with the eigenspectra"
    )
    ambiguous: float = Field(
        9.0,
        ge=0,
        description="a redshift is flagged as ambiguous if another one fits worse by less than this chi2",
    )
    components: Count = Field(10, description="number of eigenspectra made from the training split")
    spectra: Count = Field(4000, description="maximum number of training spectra that they are made from")

    @model_validator(mode="after")
    def _ordered(self):
        if self.z_min >= self.z_max:
            raise ValueError(f"z_min={self.z_min} must be below z_max={self.z_max}")
        return self


class Lick(Section):
    """Absorption indices and their correction for velocity dispersion."""

    method: Literal["classical", "pyphot"] = Field(
        "classical",
        description="classical: line through the means of the sidebands, partial pixels, errors; pyphot: as that package measures, without errors",
    )
    resolution: Literal["lick", "printed", "none"] = Field(
        "lick",
        description="resolution of the Lick indices: lick, Worthey & Ottaviani 1997, table 8; printed, the same with the 8.9 A at 6000 A of the paper; none, that of the spectrum",
    )
    air: bool = Field(True, description="index windows are wavelengths in air; false: taken for vacuum ones")
    coefficients: Path | None = Field(
        None,
        description="published coefficients p0-p7 of the correction (.yaml), instead of those fitted to E-MILES",
    )
    correct: bool = Field(True, description="correct indices for velocity dispersion")
    hbeta_on_fit: bool = Field(
        True,
        description="measure Hbeta on the stellar fit, which has no emission; false: on the spectrum",
    )
    bootstrap: Count = Field(1000, description="bootstrap resamplings for the errors of correlations")


class Lines(Section):
    """Emission lines."""

    continuum: Literal["ppxf", "firefly", "starlight"] = Field(
        "ppxf",
        description="stellar fit that is subtracted, and on which Hbeta is measured; starlight: a quick sum of populations",
    )
    v_max: Positive = Field(
        400.0,
        description="maximum velocity of a line relative to the redshift [km/s]; a line at it is not measured",
    )
    sigma_max: Positive = Field(
        600.0, description="maximum velocity dispersion [km/s]; a line at it is broad and not measured"
    )
    present_snr: float = Field(
        0.0, ge=0, description="a line is absent where its flux is not positive or below this signal to noise"
    )


class Classify(Section):
    """Passive, star-forming or active: classes and their error budget."""

    ew_min: float = Field(
        1.0, ge=0, description="equivalent width of Halpha below which a galaxy is passive [Angstrom, rest]"
    )
    line_errors: tuple[Fraction, Fraction, Fraction, Fraction] = Field(
        (0.15, 0.15, 0.20, 0.30),
        description="fractional errors of Hbeta, [O III] 5007, Halpha, [N II] 6583 (Richardson et al. 2016)",
    )
    ew_error: float = Field(1.0, ge=0, description="standard deviation of the error of the equivalent width")
    ew_reading: Literal["additive", "multiplicative"] = Field(
        "additive",
        description="additive: EW + N(0, ew_error) [Angstrom]; multiplicative: EW x N(1, ew_error); both are reported",
    )
    draws: Count = Field(
        2000, description="perturbations of each galaxy for the probabilities of its classes"
    )
    experiments: Count = Field(5000, description="draws of all labels from those probabilities (paper: 5000)")
    seed: int = Field(0, ge=0, description="seed of the perturbations and draws")


class Agn(Section):
    """Baselines that identify active galaxies without a spectrum."""

    spectra: Count = Field(
        1200,
        description="maximum number of training spectra with measured classes, evenly spread over the split",
    )
    steps: Count = Field(250, description="optimiser steps of the image classifier")
    batch: Count = Field(64, description="galaxies per step")
    rate: Positive = Field(1e-3, description="its peak learning rate")
    widths: tuple[Count, ...] = Field(
        (24, 48, 96), description="channels of its stages, each with half the resolution of the one before"
    )
    seed: int = Field(
        0, ge=0, description="seed of its weights and batches, and of the folds of cross-validation"
    )


class Quality(Section):
    """Pixel-by-pixel comparison of predicted with observed spectra."""

    wave_min: Positive = Field(4000.0, description="shortest rest-frame wavelength compared [Angstrom]")
    wave_max: Positive = Field(7000.0, description="longest rest-frame wavelength compared [Angstrom]")

    @model_validator(mode="after")
    def _ordered(self):
        if self.wave_min >= self.wave_max:
            raise ValueError(f"wave_min={self.wave_min} must be below wave_max={self.wave_max}")
        return self


class Measure(Section):
    """Measurements on spectrum files of your own."""

    z_min: float = Field(-0.002, gt=-0.1, description="first trial redshift")
    z_max: float = Field(0.6, gt=0, le=0.6, description="last trial redshift")
    components: Count = Field(8, description="stellar eigenspectra made from the E-MILES populations")
    templates: Path = Field(
        Path("results/raw/templates/emiles.npz"),
        description="E-MILES populations; `sanspec templates` downloads them",
    )
