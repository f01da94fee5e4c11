"""Spectra at the spectrograph's own pixels, many on one window of the common grid of 1e-4 dex."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt32

NATIVE_FIRST = 35600  # first pixel of the window, 10**3.56 = 3631 Angstrom
NATIVE_PIXELS = 4160  # up to 9461 Angstrom: all that the SDSS spectrographs saw


@dataclass(frozen=True)
class NativeBlock:
    """Native spectra: pixel p is at loglam = 1e-4 (first + p), vacuum and observed frame.

    flux (gal, native): 1e-17 erg/s/cm2/A, finite; ivar (gal, native): inverse variance, 0 = bad or absent;
    wdisp (gal, native): Gaussian dispersion of the line-spread function [pixels], 0 = unknown; warn (gal):
    Warn.UNREADABLE where there is no spectrum.
    """

    flux: Float[np.ndarray, "gal native"]
    ivar: Float[np.ndarray, "gal native"]
    wdisp: Float[np.ndarray, "gal native"]
    warn: UInt32[np.ndarray, " gal"]
    first: int = NATIVE_FIRST
