"""Stellar populations: their templates, pPXF and FIREFLY."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

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
        description="any population library as ppxf's `sps_lib` reads it (.npz)",
    )
    imf: str = Field(
        "Salpeter, unimodal 1.30", description="initial mass function of the library, for the record"
    )
    wave_min: Positive = Field(3545.0, description="first wavelength fitted [Angstrom, rest, air]")
    wave_max: Positive = Field(8000.0, description="last wavelength fitted [Angstrom, rest, air]")
    velscale: float = Field(69.0, gt=20, le=150, description="logarithmic pixel of the fit [km/s]")
    age_max: Positive = Field(14.2, description="oldest population [Gyr]")
    regul: float = Field(
        10.0, ge=0, le=1000, description="smoothing of the weights in the first fit, 0: none (paper: 10)"
    )
    solver: Literal["projection", "capfit"] = Field(
        "projection",
        description="way to the minimum: projection, by closed derivatives; capfit: pPXF's own, by trial",
    )
    draws: int = Field(50, ge=0, le=10000, description="bootstrap draws, 0: none (paper: 50)")
    bootstrap_objects: int | None = Field(
        48, ge=0, description="test objects, chosen at random, that get a bootstrap; null: all"
    )
    bootstrap: Literal["fast", "full"] = Field(
        "fast", description="full: every draw is refitted; fast: two Gauss-Newton steps, full at bounds"
    )
    flips: Literal["block", "independent"] = Field(
        "block",
        description="residuals change sign in blocks of one FWHM of the line spread, or pixel by pixel as the paper",
    )


class Firefly(Section):
    """Populations with FIREFLY's method (Wilkinson et al. 2017)."""

    library: Path = Field(
        Path("results/raw/templates/m11_miles.npz"),
        description="M11 populations (.npz), made by itself; or a folder of firefly_release models",
    )
    method: Literal["clean", "compat"] = Field(
        "clean",
        description="clean: mended, with calibrated errors; compat: as the released code does it, faults and all",
    )
    imf: Literal["", "kr", "ss", "cha"] = Field(
        "",
        description="initial mass function where the templates are a folder of firefly_release; empty: the only one there",
    )
    wave_min: Positive = Field(3550.0, description="templates start here [Angstrom, rest, air] (clean)")
    wave_max: Positive = Field(
        7400.0, description="templates end here [Angstrom, rest, air]; M11-MILES is empty beyond (clean)"
    )
    line_mask: float = Field(
        20.0, ge=0, le=100, description="half width left out about every emission line [Angstrom, rest]"
    )
    vdisp: float = Field(
        150.0, ge=0, le=600, description="velocity dispersion where pPXF measured none [km/s]"
    )
    resolution: Positive = Field(
        2000.0, description="resolving power of the data (compat; clean takes the data's own line spread)"
    )
    curve: Literal["calzetti", "odonnell", "allen", "gordon"] = Field(
        "calzetti",
        description="attenuation curve from which E(B-V) is read: of starbursts, the Milky Way (two), the SMC",
    )
    attenuation: Literal["smoothed", "curve"] = Field(
        "smoothed",
        description="what multiplies the models: the smoothed attenuation itself, or `curve` of its E(B-V) (clean)",
    )
    ebv_max: Positive = Field(1.5, description="greatest E(B-V) [mag]; 200 values from 0 up to it are tried")
    smoothing: Positive = Field(
        200.0, description="half width of the running median over the attenuation [Angstrom]"
    )
    iterations: int = Field(
        10, ge=1, le=30, description="populations added to a combination, one an iteration"
    )
    calibration: float = Field(
        0.03, ge=0, le=1, description="flux calibration error of each smooth mode, as a fraction (clean)"
    )
    averages: Literal["linear", "log"] = Field(
        "linear",
        description="linear: log of the mean age and metallicity, as FIREFLY; log: mean of the logs, as pPXF (clean)",
    )
    draws: int = Field(10, ge=0, le=1000, description="bootstrap draws, 0: none (paper: 10)")
    bootstrap_objects: int | None = Field(
        48, ge=0, description="test objects, chosen at random, that get a bootstrap; null: all"
    )
    flips: Literal["block", "independent"] = Field(
        "block",
        description="residuals change sign in blocks of one FWHM of the line spread, or pixel by pixel as the paper",
    )

    @model_validator(mode="after")
    def _ordered(self):
        if self.wave_min >= self.wave_max:
            raise ValueError(f"wave_min={self.wave_min} must be below wave_max={self.wave_max}")
        return self


class Stellar(Section):
    """Stellar populations of observed and predicted spectra."""

    noise: Literal["constant", "observed"] = Field(
        "constant",
        description="noise of both members of a pair: constant, the median of the observed one's; or the observed one's, pixel by pixel",
    )
    predicted_z: Literal["measured", "true"] = Field(
        "measured",
        description="redshift at which a predicted spectrum is fitted: its own or the observed one's",
    )
    milky_way: Literal["catalogue", "none"] = Field(
        "catalogue",
        description="the Milky Way's dust: taken out by the catalogue's extinction_r, or left in",
    )
    sky_lines: tuple[Positive, ...] = Field(
        (5578.9, 5894.6, 6302.0), description="night-sky lines left out of every fit [Angstrom, observed]"
    )
    sky_width: float = Field(
        8.0, ge=0, description="half width of what is left out about each of them [Angstrom]"
    )
    least_pixels: Count = Field(300, description="WARN bit not_fitted where a spectrum has fewer good pixels")
    low_snr: Positive = Field(3.0, description="WARN bit low_snr below this signal to noise per pixel")
    shards: Count = Field(8, description="jobs into which the fits of a run are split")
    seed: int = Field(0, ge=0, description="a bootstrap draw depends on (seed, specobjid, kind, draw) alone")
    ppxf: Ppxf = Ppxf()
    firefly: Firefly = Firefly()
