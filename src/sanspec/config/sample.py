"""Settings of the sample: the embedded sky, the join of its files, spectra and images for the networks."""

from typing import Literal

from pydantic import Field, model_validator

from sanspec.config.base import Count, Positive, Section


class _Window(Section):
    """A window of redshift."""

    @model_validator(mode="after")
    def _ordered(self):
        if self.z_min >= self.z_max:
            raise ValueError(f"z_min={self.z_min} must be below z_max={self.z_max}")
        return self


class Mock(_Window):
    """The embedded sky: a simulated survey."""

    galaxies: Count = Field(6800, description="number of galaxies to simulate")
    seed: int = Field(1, ge=0, description="seed of the random numbers; another seed gives another sky")
    z_min: float = Field(
        0.0495, ge=0.045, description="minimum redshift, a little below that of `match`: some are rejected"
    )
    z_max: float = Field(0.1505, le=0.155, description="maximum redshift, a little above that of `match`")
    pairs: float = Field(
        0.004, ge=0, le=0.5, description="fraction of galaxies with a neighbour within 5 arcsec"
    )
    defects: float = Field(
        0.0125, ge=0, le=1, description="fraction of galaxies with a deliberate defect, every kind in turn"
    )


class Match(_Window):
    """Join of catalogue, cubes and spectra."""

    z_min: float = Field(
        0.05, ge=0, description="minimum redshift, exclusive (Doorenbos et al. 2024, section 2.2)"
    )
    z_max: float = Field(0.15, gt=0, description="maximum redshift, inclusive")
    tolerate: tuple[Literal["zwarning", "bad_plate", "not_galaxy", "not_sdss", "sky_fibre"], ...] = Field(
        ("bad_plate",),
        description="problems stated in a spectrum's header that flag an object, not reject it",
    )


PixelBit = Literal[
    "NEARBADPIXEL",
    "LOWFLAT",
    "FULLREJECT",
    "PARTIALREJECT",
    "SCATTEREDLIGHT",
    "CROSSTALK",
    "NOSKY",
    "BRIGHTSKY",
    "NODATA",
    "COMBINEREJ",
    "BADFLUXFACTOR",
    "BADSKYCHI",
    "REDMONSTER",
]


class Prepare(Section):
    """Spectra and images as the networks take them."""

    smoothing: Literal["constant_fwhm", "released_sigma"] = Field(
        "constant_fwhm",
        description="constant_fwhm: every spectrum to the resolution `fwhm`; released_sigma: the same Gaussian, `sigma`, for all, as in the code released with the paper",
    )
    fwhm: Positive = Field(5000 / 1500, description="target resolution, FWHM [Angstrom]: R = 1500 at 5000 A")
    sigma: Positive = Field(2.0, description="standard deviation of the released code's kernel [Angstrom]")
    norm_min: Positive = Field(6900.0, description="normalisation window, first wavelength [Angstrom]")
    norm_max: Positive = Field(6950.0, description="normalisation window, last wavelength [Angstrom]")
    norm_frame: Literal["rest", "observed"] = Field(
        "rest", description="frame of the window: rest as in the paper, observed as in its code"
    )
    log_floor: Positive = Field(
        0.02, description="log spectra are masked where the normalised flux is at or below this"
    )
    mask_bits: tuple[PixelBit, ...] = Field(
        ("FULLREJECT", "NOSKY", "BRIGHTSKY", "NODATA"),
        description="SDSS mask bits (and_mask) whose pixels are masked, in addition to pixels of ivar 0",
    )
    test: float | int = Field(
        0.06, ge=0, description="test objects: a fraction of the sample, or a number (paper: 1506)"
    )
    valid: float | int = Field(
        0.04, ge=0, description="validation objects: a fraction, or a number (paper: 512)"
    )
    separation: float = Field(
        5.0, ge=0, description="objects closer than this on the sky are put in the same split [arcsec]"
    )
    covariance: Literal["all", "test", "none"] = Field(
        "all", description="objects for which the noise correlation between pixels is stored"
    )

    @model_validator(mode="after")
    def _sensible(self):
        if self.norm_min >= self.norm_max:
            raise ValueError(f"norm_min={self.norm_min} must be below norm_max={self.norm_max}")
        for name, size in (("test", self.test), ("valid", self.valid)):
            if isinstance(size, float) and size >= 1:
                raise ValueError(f"{name}={size} must be a fraction below 1 or a whole number of objects")
        return self
