"""Constants, and numbers of statistics and of the SDSS camera that several packages need."""

import numpy as np

C_KMS = 299792.458  # speed of light [km/s], exact
C_ANGSTROM = 2.99792458e18  # the same [Angstrom/s]
LSUN = 3.828e33  # luminosity of the Sun [erg/s], IAU 2015 resolution B3
PARSEC = 3.0856775814913673e18  # [cm], IAU 2015 resolution B2
AB_ZERO = 3.631e-20  # flux density of AB magnitude 0 [erg/s/cm2/Hz] (Oke & Gunn 1983)
NANOMAGGY_ZERO = 22.5  # AB magnitude of one nanomaggy

FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
NORMAL_MAD = 1.4826  # standard deviation of a normal distribution over its median absolute deviation

PIXEL_SCALE = 0.396  # side of a pixel of the SDSS camera [arcsec] (York et al. 2000)
