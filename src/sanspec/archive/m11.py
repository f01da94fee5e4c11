"""The M11-MILES populations (Maraston & Stromback 2011): packed from the wheel of sdss-mangadap (BSD-3).

Salpeter initial mass function, Z = 0.01, 0.02 and 0.04 alone. A user who has the full firefly_release models
(Kroupa, all metallicities) names their folder in the settings instead.
"""

import io
import zipfile
from pathlib import Path

import numpy as np
from astropy.io import fits

from sanspec.errors import SanspecError
from sanspec.stellar.library import LSUN, M11_FWHM, M11_WAVE, Library

FOLDER = "mangadap/data/spectral_templates/m11_miles/"
METALS = {0.01: -0.33, 0.02: 0.0, 0.04: 0.35}  # [Z/H] of Z, Maraston & Stromback 2011, section 2


def pack(wheel: Path) -> Library:
    """The models inside a wheel of sdss-mangadap, trimmed to 3550-7400 Angstrom (air), sorted by metallicity and age.

    Raises SanspecError when it is not a wheel, or holds no such models.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.startswith(FOLDER) and n.endswith(".fits")]
            models = [_model(archive.read(name)) for name in names]
    except (OSError, zipfile.BadZipFile) as fault:
        raise SanspecError(f"templates: {wheel} is not a whole wheel ({fault}): fetch it again") from None
    if not models:
        raise SanspecError(f"templates: {wheel} holds no M11-MILES models (sdss-mangadap 4.5.0 does)")
    metal, age, lam, flux = zip(*sorted(models, key=lambda model: model[:2]))
    if any(len(other) != len(lam[0]) or other[0] != lam[0][0] for other in lam):
        raise SanspecError(f"templates: the M11-MILES models in {wheel} are on different wavelengths")
    count, pixels = len(age), len(lam[0])
    facts = np.full(pixels, M11_FWHM), np.array(age), np.array(metal), np.full(count, np.nan)
    library = Library("M11-MILES", "Salpeter 1955", np.array(flux).T / LSUN, lam[0], *facts)
    return library.cut(*M11_WAVE)


def _model(content: bytes) -> tuple[float, float, np.ndarray, np.ndarray]:
    """[Z/H], age [Gyr], wavelength [Angstrom, air] and flux [erg/s/Angstrom] of one model file."""
    with fits.open(io.BytesIO(content)) as hdus:
        header, flux = hdus[0].header, hdus[0].data.astype(float)
        metal = METALS[round(float(header["Z"]), 4)]
        return metal, float(header["AGE"]), header["CRVAL1"] + header["CDELT1"] * np.arange(flux.size), flux
