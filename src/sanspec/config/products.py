"""Figures, and what must hold at the end."""

from pydantic import Field

from sanspec.config.base import Fraction, NotNegative, Positive, Section


class Figures(Section):
    """Pictures and their numbers."""

    dpi: int = Field(300, ge=50, le=1200)
    """resolution of the PNG [dots per inch]"""
    examples: int = Field(4, ge=1, le=8)
    """galaxies in figure 2, evenly spread in rank of mean fractional deviation"""
    stretch: Positive = 0.5
    """colour images: flux at which the stretch turns from linear to logarithmic [nanomaggies per pixel]"""


class Check(Section):
    """What must hold before a run counts as done."""

    mse_over_mean: Positive = 1.0
    """maximum of mse_predicted / mse_mean_spectrum"""
    mse_over_nearest: Positive = 1.0
    """maximum of mse_predicted / mse_nearest_image"""
    sigma_mad_over_median: Positive = 1.0
    """maximum of sigma_mad / sigma_mad_median_baseline, the score of the median redshift for all"""
    z_rank: float = Field(0.3, ge=-1, le=1)
    """minimum rank correlation of predicted and true redshifts"""
    dn4000_contrast: float = 0.05
    """minimum difference in median Dn4000 between the redder and the bluer half of the galaxies in u-r"""
    line_ratio: Positive = 0.05
    """maximum of |median ratio - 1| of our Halpha fluxes to those of pPXF, observed spectra"""
    coverage: Positive = 0.10
    """maximum of |coverage - 0.68| of the central 68 % interval of the draws"""
    spread: NotNegative = 0.2
    """minimum ratio of the scatter between galaxies in predicted and in observed spectra"""
    predicted_fraction: Fraction = 0.99
    """minimum fraction of test galaxies with a complete predicted spectrum"""
    fibre_tolerance: Positive = 0.5
    """maximum median difference of r magnitudes from spectrum and from the image within the fibre [mag]; SDSS calibrates spectra to PSF magnitudes"""
