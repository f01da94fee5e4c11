"""From normalised spectra to solar luminosities and masses: distance, mass to light, one stated cosmology."""

from functools import lru_cache

import numpy as np
from astropy.cosmology import FlatLambdaCDM
from jaxtyping import Float
from speclite.filters import load_filter

from sanspec.physics.air import air_to_vac
from sanspec.stellar.library import LSUN, Library

COSMOLOGY = FlatLambdaCDM(H0=70.0, Om0=0.3)
SUN_R = 4.65  # absolute AB magnitude of the Sun in SDSS r (Willmer 2018, table 3)
PARSEC = 3.0856775814913673e18  # cm
FLUX_UNIT = 1e-17  # erg/s/cm2/Angstrom
AB_ZERO = 3.631e-20  # erg/s/cm2/Hz
C_ANGSTROM = 2.99792458e18  # speed of light [Angstrom/s]


@lru_cache(maxsize=4096)
def solar_luminosity(z: float) -> float:
    """Rest-frame Lsun/Angstrom of a flux density of 1e-17 erg/s/cm2/Angstrom observed at redshift z; NaN for z <= 0."""
    if z <= 0:
        return np.nan
    distance = COSMOLOGY.luminosity_distance(z).to_value("cm")
    return FLUX_UNIT * 4 * np.pi * distance**2 * (1 + z) / LSUN


@lru_cache(maxsize=8)
def band_luminosity(library: Library) -> Float[np.ndarray, " ssp"]:
    """Luminosity in SDSS r [Lsun of that band] of one solar mass formed; NaN where the library does not cover r.

    Response of Doi et al. 2010 as speclite has it, photon-weighted AB magnitudes.
    """
    band = load_filter("sdss2010-r")
    wave = air_to_vac(library.lam)
    low, high = band.effective_wavelength.value - 900, band.effective_wavelength.value + 900
    if wave[0] > low or wave[-1] < high:
        return np.full(library.flux.shape[1], np.nan)
    response = band(wave) * np.gradient(wave)
    density = library.flux * LSUN / (4 * np.pi * (10 * PARSEC) ** 2)
    mean_fnu = (response * wave) @ density / (C_ANGSTROM * (response / wave).sum())
    return 10 ** (0.4 * SUN_R) * mean_fnu / AB_ZERO
