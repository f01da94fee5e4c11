"""Stellar populations: their templates, pPXF and FIREFLY."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from sanspec.config.base import Count, Positive, Section


class Templates(Section):
    """Stellar population models; null: fetched from the Python package index."""

    emiles: Path | None = Field(
        None, description="ppxf-8.2.6.tar.gz downloaded by hand, which carries E-MILES; null: fetch it"
    )
    m11: Path | None = Field(
        None, description="wheel of sdss-mangadap 4.5.0 downloaded by hand, with M11-MILES; null: fetch it"
    )


class Ppxf(Section):
    """Populations, kinematics and emission lines with pPXF (Cappellari 2023)."""

    library: Path = Field(
        Path("results/raw/templates/emiles.npz"),
        description="population library in the layout of ppxf's `sps_lib` (.npz)",
    )
    imf: str = Field(
        "Salpeter, unimodal 1.30", description="initial mass function of the library, stated in the tables"
    )
    wave_min: Positive = Field(3545.0, description="first wavelength fitted [Angstrom, rest, air]")
    wave_max: Positive = Field(8000.0, description="last wavelength fitted [Angstrom, rest, air]")
    age_max: Positive = Field(14.2, description="age of the oldest population [Gyr]")
    regul: float = Field(
        10.0, ge=0, le=1000, description="regularisation of the single fit; 0: none (paper: 10)"
    )
    solver: Literal["projection", "capfit"] = Field(
        "projection",
        description="minimiser: projection, variable projection with analytic derivatives; capfit, pPXF's own",
    )
    draws: int = Field(50, ge=0, le=10000, description="bootstrap draws per spectrum; 0: none (paper: 50)")
    bootstrap_objects: int | None = Field(
        48, ge=0, description="number of test galaxies, chosen at random, that get a bootstrap; null: all"
    )
    bootstrap: Literal["fast", "full"] = Field(
        "fast", description="full: every draw is fitted anew; fast: Gauss-Newton steps from the single fit"
    )
    flips: Literal["block", "independent"] = Field(
        "block",
        description="random signs of the residuals: per block of one FWHM, or independent per pixel as in the paper",
    )


class Firefly(Section):
    """Populations with FIREFLY's method (Wilkinson et al. 2017)."""

    library: Path = Field(
        Path("results/raw/templates/m11_miles.npz"),
        description="M11 populations (.npz), fetched by default; or a folder of firefly_release models",
    )
    method: Literal["clean", "compat"] = Field(
        "clean",
        description="compat: reproduces the released code; clean: its faults corrected, with calibrated errors",
    )
    imf: Literal["", "kr", "ss", "cha"] = Field(
        "",
        description="initial mass function to take from a folder of firefly_release; empty: the only one in it",
    )
    line_mask: float = Field(
        20.0, ge=0, le=100, description="half width masked around every emission line [Angstrom, rest]"
    )
    curve: Literal["calzetti", "odonnell", "allen", "gordon"] = Field(
        "calzetti",
        description="attenuation curve of E(B-V): starbursts; Milky Way (odonnell, allen); SMC (gordon)",
    )
    attenuation: Literal["smoothed", "curve"] = Field(
        "smoothed",
        description="dust on the models (clean): the smoothed attenuation found, or `curve` at its E(B-V)",
    )
    ebv_max: Positive = Field(1.5, description="maximum E(B-V) [mag]")
    calibration: float = Field(
        0.03, ge=0, le=1, description="fractional flux calibration error per smooth mode (clean)"
    )
    averages: Literal["linear", "log"] = Field(
        "linear",
        description="linear: log of the mean age and metallicity, as FIREFLY; log (clean): mean of the logs, as pPXF",
    )
    draws: int = Field(10, ge=0, le=1000, description="bootstrap draws per spectrum; 0: none (paper: 10)")
    bootstrap_objects: int | None = Field(
        48, ge=0, description="number of test galaxies, chosen at random, that get a bootstrap; null: all"
    )
    flips: Literal["block", "independent"] = Field(
        "block",
        description="random signs of the residuals: per block of one FWHM, or independent per pixel as in the paper",
    )


class Stellar(Section):
    """Stellar populations of observed and predicted spectra."""

    noise: Literal["constant", "observed"] = Field(
        "constant",
        description="noise of observed and predicted spectra: the observed error pixel by pixel, or its median (constant)",
    )
    predicted_z: Literal["measured", "true"] = Field(
        "measured",
        description="redshift of the fit to a predicted spectrum: measured on it, or the true one",
    )
    milky_way: Literal["catalogue", "none"] = Field(
        "catalogue",
        description="correction for the Milky Way's dust: by extinction_r of the catalogue, or none",
    )
    shards: Count = Field(8, description="number of jobs into which the fits are split")
    seed: int = Field(0, ge=0, description="seed of the bootstraps")
    ppxf: Ppxf = Ppxf()
    firefly: Firefly = Firefly()
