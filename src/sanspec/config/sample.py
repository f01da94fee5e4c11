"""The sample: the embedded sky, the join, spectra and images as the networks take them."""

from typing import Literal

from pydantic import Field, model_validator

from sanspec.config.base import Count, Positive, Section


class Mock(Section):
    """The embedded sky."""

    galaxies: Count = Field(6800, description="galaxies to simulate")
    seed: int = Field(
        1, ge=0, description="galaxy i is drawn from the generator [seed, i], whatever the number of workers"
    )
    z_min: float = Field(
        0.0495, ge=0.045, description="least redshift drawn: a little outside the survey's window on purpose"
    )
    z_max: float = Field(0.1505, le=0.155, description="greatest redshift drawn")
    pairs: float = Field(
        0.004, ge=0, le=0.5, description="fraction of the galaxies that start a pair closer than 5 arcsec"
    )
    defects: float = Field(
        0.0125, ge=0, le=1, description="fraction of the galaxies with a deliberate defect, each kind in turn"
    )

    @model_validator(mode="after")
    def _ordered(self):
        if self.z_min >= self.z_max:
            raise ValueError(f"z_min={self.z_min} must be below z_max={self.z_max}")
        return self


class Match(Section):
    """Join of catalogue, cubes and spectra."""

    z_min: float = Field(
        0.05, ge=0, description="least redshift, exclusive (Doorenbos et al. 2024, section 2.2)"
    )
    z_max: float = Field(0.15, gt=0, description="greatest redshift, inclusive")
    tolerate: tuple[Literal["zwarning", "bad_plate", "not_galaxy", "not_sdss", "sky_fibre"], ...] = Field(
        ("bad_plate",),
        description="what the spectrum's header may say against an object that is kept, flagged",
    )

    @model_validator(mode="after")
    def _ordered(self):
        if self.z_min >= self.z_max:
            raise ValueError(f"z_min={self.z_min} must be below z_max={self.z_max}")
        return self


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
        description="constant_fwhm: to `fwhm`, by a kernel of target minus native minus rebinning variance; released_sigma: by a Gaussian of `sigma` on the 1 A grid, as the released code",
    )
    fwhm: Positive = Field(5000 / 1500, description="target resolution, FWHM [Angstrom]: R = 1500 at 5000 A")
    sigma: Positive = Field(2.0, description="standard deviation of the released code's kernel [Angstrom]")
    broad_tolerance: Positive = Field(
        0.15,
        description="WARN bit lsf_broad where the native FWHM exceeds the target by more than this fraction",
    )
    norm_min: Positive = Field(6900.0, description="normalisation window, first wavelength [Angstrom]")
    norm_max: Positive = Field(6950.0, description="normalisation window, last wavelength [Angstrom]")
    norm_frame: Literal["rest", "observed"] = Field(
        "rest", description="frame of the window: rest as the paper, observed as its code"
    )
    log_floor: Positive = Field(
        0.02, description="normalised flux at and below which a pixel of the log spectrum is masked"
    )
    mask_bits: tuple[PixelBit, ...] = Field(
        ("FULLREJECT", "NOSKY", "BRIGHTSKY", "NODATA"),
        description="bits of and_mask whose pixels are masked, besides those of ivar 0",
    )
    masked_tolerance: float = Field(
        0.10, gt=0, le=1, description="WARN bit masked_pixels above this fraction"
    )
    test: float | int = Field(
        0.06, ge=0, description="test objects: a fraction of the sample, or a number (paper: 1506)"
    )
    valid: float | int = Field(
        0.04, ge=0, description="validation objects: a fraction, or a number (paper: 512)"
    )
    separation: float = Field(
        5.0, ge=0, description="no object of one split lies within this angle of another split's [arcsec]"
    )
    covariance: Literal["all", "test", "none"] = Field(
        "all", description="objects whose noise correlation between pixels is stored"
    )
    chunk: Count = Field(256, description="objects processed at a time")

    @model_validator(mode="after")
    def _sensible(self):
        if self.norm_min >= self.norm_max:
            raise ValueError(f"norm_min={self.norm_min} must be below norm_max={self.norm_max}")
        for name, size in (("test", self.test), ("valid", self.valid)):
            if isinstance(size, float) and size >= 1:
                raise ValueError(f"{name}={size} must be a fraction below 1 or a whole number of objects")
        return self
