"""Stellar populations: their templates, pPXF and FIREFLY."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from sanspec.config.base import Count, Fraction, Positive, Section, Whole


class Templates(Section):
    """Stellar population models; null: fetched from the Python package index."""

    emiles: Path | None = None
    """ppxf-8.2.6.tar.gz downloaded by hand, which carries E-MILES; null: fetch it"""
    m11: Path | None = None
    """wheel of sdss-mangadap 4.5.0 downloaded by hand, with M11-MILES; null: fetch it"""


class Ppxf(Section):
    """Populations, kinematics and emission lines with pPXF (Cappellari 2023)."""

    library: Path = Path("results/raw/templates/emiles.npz")
    """population library in the layout of ppxf's `sps_lib` (.npz)"""
    imf: str = "Salpeter, unimodal 1.30"
    """initial mass function of the library, stated in the tables"""
    wave_min: Positive = 3545.0
    """first wavelength fitted [Angstrom, rest, air]"""
    wave_max: Positive = 8000.0
    """last wavelength fitted [Angstrom, rest, air]"""
    age_max: Positive = 14.2
    """age of the oldest population [Gyr]"""
    regul: float = Field(10.0, ge=0, le=1000)
    """regularisation of the single fit; 0: none (paper: 10)"""
    solver: Literal["projection", "capfit"] = "projection"
    """minimiser: projection, variable projection with analytic derivatives; capfit, pPXF's own"""
    draws: int = Field(50, ge=0, le=10000)
    """bootstrap draws per spectrum; 0: none (paper: 50)"""
    bootstrap_objects: int | None = Field(48, ge=0)
    """number of test galaxies, chosen at random, that get a bootstrap; null: all"""
    bootstrap: Literal["fast", "full"] = "fast"
    """full: every draw is fitted anew; fast: Gauss-Newton steps from the single fit"""
    flips: Literal["block", "independent"] = "block"
    """random signs of the residuals: per block of one FWHM, or independent per pixel as in the paper"""


class Firefly(Section):
    """Populations with FIREFLY's method (Wilkinson et al. 2017)."""

    library: Path = Path("results/raw/templates/m11_miles.npz")
    """M11 populations (.npz), fetched by default; or a folder of firefly_release models"""
    method: Literal["clean", "compat"] = "clean"
    """compat: reproduces the released code; clean: its faults corrected, with calibrated errors"""
    imf: Literal["", "kr", "ss", "cha"] = ""
    """initial mass function to take from a folder of firefly_release; empty: the only one in it"""
    line_mask: float = Field(20.0, ge=0, le=100)
    """half width masked around every emission line [Angstrom, rest]"""
    curve: Literal["calzetti", "odonnell", "allen", "gordon"] = "calzetti"
    """attenuation curve of E(B-V): starbursts; Milky Way (odonnell, allen); SMC (gordon)"""
    attenuation: Literal["smoothed", "curve"] = "smoothed"
    """dust on the models (clean): the smoothed attenuation found, or `curve` at its E(B-V)"""
    ebv_max: Positive = 1.5
    """maximum E(B-V) [mag]"""
    calibration: Fraction = 0.03
    """fractional flux calibration error per smooth mode (clean)"""
    averages: Literal["linear", "log"] = "linear"
    """linear: log of the mean age and metallicity, as FIREFLY; log (clean): mean of the logs, as pPXF"""
    draws: int = Field(10, ge=0, le=1000)
    """bootstrap draws per spectrum; 0: none (paper: 10)"""
    bootstrap_objects: int | None = Field(48, ge=0)
    """number of test galaxies, chosen at random, that get a bootstrap; null: all"""
    flips: Literal["block", "independent"] = "block"
    """random signs of the residuals: per block of one FWHM, or independent per pixel as in the paper"""


class Stellar(Section):
    """Stellar populations of observed and predicted spectra."""

    noise: Literal["constant", "observed"] = "constant"
    """noise of observed and predicted spectra: the observed error pixel by pixel, or its median (constant)"""
    predicted_z: Literal["measured", "true"] = "measured"
    """redshift of the fit to a predicted spectrum: measured on it, or the true one"""
    milky_way: Literal["catalogue", "none"] = "catalogue"
    """correction for the Milky Way's dust: by extinction_r of the catalogue, or none"""
    shards: Count = 8
    """number of jobs into which the fits are split"""
    seed: Whole = 0
    """seed of the bootstraps"""
    ppxf: Ppxf = Ppxf()
    firefly: Firefly = Firefly()
