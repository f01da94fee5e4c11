"""Figures, and what must hold at the end."""

from pydantic import Field

from sanspec.config.base import Positive, Section


class Figures(Section):
    """Pictures and their numbers."""

    dpi: int = Field(300, ge=50, le=1200, description="resolution of the PNG [dots per inch]")
    examples: int = Field(
        4, ge=1, le=8, description="galaxies in figure 2, spread evenly over the ranking in Delta-bar"
    )
    bright: float = Field(
        0.25,
        gt=0,
        le=1,
        description="figure 1 takes its galaxies from this brightest fraction of the training split",
    )
    stretch: Positive = Field(
        0.5,
        description="colour images: flux where the stretch turns from linear to logarithmic [nanomaggies a pixel]",
    )
    softening: Positive = Field(
        8.0, description="colour images: softening Q of the asinh stretch (Lupton et al. 2004)"
    )


class Check(Section):
    """What must hold before a run counts as done."""

    mse_over_mean: Positive = Field(1.0, description="largest mse_predicted / mse_mean_spectrum")
    mse_over_nearest: Positive = Field(1.0, description="largest mse_predicted / mse_nearest_image")
    sigma_mad_over_median: Positive = Field(
        1.0, description="largest sigma_mad / sigma_mad_median_baseline (predicting the median redshift)"
    )
    sigma_mad_observed: Positive = Field(
        1e-3, description="largest sigma_MAD of redshifts measured blindly on the observed spectra"
    )
    z_rank: float = Field(
        0.3, ge=-1, le=1, description="least rank correlation of predicted with true redshifts"
    )
    dn4000_contrast: float = Field(
        0.05, description="least excess in median Dn4000 of the redder half in u-r over the bluer half"
    )
    vdisp_correction: Positive = Field(
        0.05,
        description="largest relative error of an index freed of velocity dispersion, on mixtures not fitted",
    )
    line_ratio: Positive = Field(
        0.05, description="largest |median ratio - 1| of our Halpha fluxes to pPXF's, observed spectra"
    )
    coverage: Positive = Field(
        0.10, description="largest distance from 0.68 of the coverage of the draws' 68 % interval"
    )
    spread: float = Field(
        0.2, ge=0, description="least scatter between galaxies of predicted over observed spectra"
    )
    predicted_fraction: float = Field(
        0.99, ge=0, le=1, description="least fraction of the test objects with a whole predicted spectrum"
    )
    norm_tolerance: Positive = Field(
        1e-3, description="largest distance from 1 of the mean flux in the normalisation window"
    )
    fibre_tolerance: Positive = Field(
        0.5,
        description="largest median difference of fibre r magnitudes from spectrum and image [mag]; SDSS ties spectra to PSF magnitudes",
    )
