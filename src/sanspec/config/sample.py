"""Settings of the sample: the embedded sky, the join of its files, spectra and images for the networks."""

from typing import Literal

from pydantic import Field, model_validator

from sanspec.config.base import Count, Fraction, NotNegative, Positive, Section, Whole


class Mock(Section):
    """The embedded sky: a simulated survey."""

    galaxies: Count = 6800
    """number of galaxies to simulate"""
    seed: Whole = 1
    """seed of the random numbers; another seed gives another sky"""
    z_min: float = Field(0.0495, ge=0.045)
    """minimum redshift, a little below that of `match`: some are rejected"""
    z_max: float = Field(0.1505, le=0.155)
    """maximum redshift, a little above that of `match`"""
    pairs: float = Field(0.004, ge=0, le=0.5)
    """fraction of galaxies with a neighbour within 5 arcsec"""
    defects: Fraction = 0.0125
    """fraction of galaxies with a deliberate defect, every kind in turn"""


class Match(Section):
    """Join of catalogue, cubes and spectra."""

    z_min: NotNegative = 0.05
    """minimum redshift, exclusive (Doorenbos et al. 2024, section 2.2)"""
    z_max: float = Field(0.15, gt=0)
    """maximum redshift, inclusive"""
    tolerate: tuple[Literal["zwarning", "bad_plate", "not_galaxy", "not_sdss", "sky_fibre"], ...] = (
        "bad_plate",
    )
    """problems stated in a spectrum's header that flag an object, not reject it"""


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

    smoothing: Literal["constant_fwhm", "released_sigma"] = "constant_fwhm"
    """constant_fwhm: every spectrum to the resolution `fwhm`; released_sigma: the same Gaussian, `sigma`, for all, as in the code released with the paper"""
    fwhm: Positive = 5000 / 1500
    """target resolution, FWHM [Angstrom]: R = 1500 at 5000 A"""
    sigma: Positive = 2.0
    """standard deviation of the released code's kernel [Angstrom]"""
    norm_min: Positive = 6900.0
    """normalisation window, first wavelength [Angstrom]"""
    norm_max: Positive = 6950.0
    """normalisation window, last wavelength [Angstrom]"""
    norm_frame: Literal["rest", "observed"] = "rest"
    """frame of the window: rest as in the paper, observed as in its code"""
    log_floor: Positive = 0.02
    """log spectra are masked where the normalised flux is at or below this"""
    mask_bits: tuple[PixelBit, ...] = ("FULLREJECT", "NOSKY", "BRIGHTSKY", "NODATA")
    """SDSS mask bits (and_mask) whose pixels are masked, in addition to pixels of ivar 0"""
    test: float | int = Field(0.06, ge=0)
    """test objects: a fraction of the sample, or a number (paper: 1506)"""
    valid: float | int = Field(0.04, ge=0)
    """validation objects: a fraction, or a number (paper: 512)"""
    separation: NotNegative = 5.0
    """objects closer than this on the sky are put in the same split [arcsec]"""
    covariance: Literal["all", "test", "none"] = "all"
    """objects for which the noise correlation between pixels is stored"""

    @model_validator(mode="after")
    def _fractions(self):
        for name, size in (("test", self.test), ("valid", self.valid)):
            if isinstance(size, float) and size >= 1:
                raise ValueError(f"{name}={size} must be a fraction below 1 or a whole number of objects")
        return self
