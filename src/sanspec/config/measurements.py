"""Redshifts, indices, lines, classes, quality."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from sanspec.config.base import Count, Positive, Section


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
        description="classical: parts of pixels, line through the sidebands' means, errors; pyphot: as that package, which has none",
    )
    resolution: Literal["lick", "printed", "none"] = Field(
        "lick",
        description="Lick indices are measured at: lick, Worthey & Ottaviani 1997, table 8; printed, with the 8.9 A at 6000 A of the paper; none, the spectrum's own",
    )
    air: bool = Field(
        True, description="false: index windows taken for vacuum ones, as if the difference were none"
    )
    coefficients: Path | None = Field(
        None,
        description="published coefficients p0-p7 of the correction (.yaml), in place of those fitted to E-MILES",
    )
    correct: bool = Field(True, description="free indices of velocity dispersion")
    hbeta_on_fit: bool = Field(
        True,
        description="Hbeta is measured on the stellar fit, which has no emission; false: on the spectrum",
    )
    bootstrap: Count = Field(1000, description="resamplings of the galaxies for the errors of correlations")


class Lines(Section):
    """Emission lines."""

    continuum: Literal["ppxf", "firefly", "starlight"] = Field(
        "ppxf",
        description="whose stellar fit is subtracted, and Hbeta measured on; starlight: a quick sum of populations",
    )
    v_max: Positive = Field(400.0, description="bound of a line's velocity relative to the redshift [km/s]")
    sigma_start: Positive = Field(
        100.0, description="velocity dispersion at which lines are sought, and weak ones measured [km/s]"
    )
    sigma_max: Positive = Field(
        600.0,
        description="upper bound of the dispersion [km/s]; a line that meets it is broad and not measured",
    )
    own_snr: Positive = Field(
        5.0, description="signal to noise from which a line has velocity and dispersion of its own"
    )
    present_snr: float = Field(
        0.0, ge=0, description="a line is absent where its flux is not positive or below this signal to noise"
    )
    coverage: float = Field(
        0.7,
        gt=0,
        le=1,
        description="least part of a line's squared profile on good pixels, else it is not measured",
    )
    sky_lines: tuple[Positive, ...] = Field(
        (5578.9, 5894.6, 6302.0),
        description="night-sky lines on which no line is measured [Angstrom, observed]",
    )
    sky_width: float = Field(4.0, ge=0, description="half width of what is left out about each [Angstrom]")


class Classify(Section):
    """Passive, star-forming or active: classes and their error budget."""

    ew_min: float = Field(
        1.0, ge=0, description="equivalent width of Halpha below which a galaxy is passive [Angstrom, rest]"
    )
    error_h_beta: float = Field(
        0.15, ge=0, lt=1, description="fractional error of Hbeta (Richardson et al. 2016)"
    )
    error_o_iii: float = Field(0.15, ge=0, lt=1, description="of [O III] 5007")
    error_h_alpha: float = Field(0.20, ge=0, lt=1, description="of Halpha")
    error_n_ii: float = Field(0.30, ge=0, lt=1, description="of [N II] 6583")
    ew_error: float = Field(1.0, ge=0, description="standard deviation put on the equivalent width")
    ew_reading: Literal["additive", "multiplicative"] = Field(
        "additive",
        description="additive: EW + N(0, ew_error) [Angstrom]; multiplicative: EW x N(1, ew_error); both are reported",
    )
    draws: Count = Field(
        2000, description="perturbations of each galaxy for the probabilities of its classes"
    )
    experiments: Count = Field(5000, description="draws of all labels by those probabilities (paper: 5000)")
    seed: int = Field(0, ge=0, description="perturbations and draws are functions of it")


class Agn(Section):
    """Baselines that tell active galaxies without a spectrum."""

    spectra: Count = Field(
        1200, description="training spectra at most whose classes are measured, evenly spread over the split"
    )
    svm_c: tuple[Positive, ...] = Field(
        (1.0, 10.0, 100.0),
        description="penalties C of the support vector machine, chosen by cross-validation",
    )
    svm_gamma: tuple[Positive, ...] = Field(
        (0.02, 0.1, 0.5),
        description="inverse square widths of its kernel, chosen likewise [1 / whitened unit]",
    )
    folds: int = Field(
        5, ge=2, le=20, description="folds of cross-validation and of the photometric redshifts"
    )
    neighbours: Count = Field(
        25, description="neighbours of the photometric redshifts, in colours and magnitude"
    )
    steps: Count = Field(250, description="optimiser steps of the image classifier")
    batch: Count = Field(64, description="galaxies a step")
    rate: Positive = Field(1e-3, description="its peak learning rate")
    widths: tuple[Count, ...] = Field((24, 48, 96), description="channels of its stages, each half as fine")
    seed: int = Field(0, ge=0, description="of its weights and batches, and of the folds")


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
        description="E-MILES populations; `sanspec templates` fetches them",
    )
