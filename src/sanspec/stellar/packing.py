"""Stellar population libraries packed from the Python packages that carry them.

E-MILES (Vazdekis et al. 2016): unimodal initial mass function of slope 1.30 (Salpeter), Padova 2000 isochrones, 25
ages by 6 metallicities, from the source distribution of ppxf. Its licence forbids redistribution: each user fetches
the archive and packs it.

M11-MILES (Maraston & Stromback 2011): Salpeter initial mass function, Z = 0.01, 0.02 and 0.04 only, from the wheel of
sdss-mangadap (BSD-3). A user who has the full firefly_release models (Kroupa, all metallicities) names their folder
in `stellar.firefly.library` instead.
"""

import io
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from jaxtyping import Float

from sanspec.errors import SanspecError
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA, LSUN
from sanspec.stellar.library import M11_FWHM, M11_WAVE, Library

EMILES_WAVE = (1680.0, 12000.0)  # air [Angstrom]; what is kept of the models
_EMILES_MODEL = re.compile(r"miles_models/Eun1\.30Z([mp]\d\.\d\d)T(\d\d\.\d{4})_.*\.fits$")
_EMILES_MASSES = re.compile(r"miles_models/Vazdekis2012_ssp_mass_Padova00_UN.*\.txt$")
M11_FOLDER = "mangadap/data/spectral_templates/m11_miles/"
M11_METALS = {0.01: -0.33, 0.02: 0.0, 0.04: 0.35}  # [Z/H] of Z, Maraston & Stromback 2011, section 2


def pack_emiles(archive: Path, wave_min: float = EMILES_WAVE[0], wave_max: float = EMILES_WAVE[1]) -> Library:
    """The E-MILES models of a source distribution of ppxf (up to 8.2.6), cut to a range [Angstrom, air].

    Raises SanspecError when the archive is not readable or holds no complete grid of models.
    """
    spectra, tables = _emiles_members(archive)
    if not spectra or not tables:
        raise SanspecError(f"templates: {archive} holds no E-MILES models (ppxf does up to version 8.2.6)")
    ages, metals = (np.unique([key[axis] for key in spectra]) for axis in (0, 1))
    if len(spectra) != ages.size * metals.size:
        grid = f"{ages.size} ages x {metals.size} metals"
        raise SanspecError(f"templates: {archive} holds {len(spectra)} models, not {grid}")
    age, metal = (axis.ravel() for axis in np.meshgrid(ages, metals, indexing="ij"))
    models = [_spectrum(spectra[key]) for key in zip(age.tolist(), metal.tolist())]
    lam = models[0][1]
    use = (lam >= wave_min) & (lam <= wave_max)
    flux = np.array([flux[use] for _, _, flux in models]).T
    lam, masses = lam[use], _emiles_masses(tables[0], age, metal)
    made = flux, lam, resolution(lam), age, metal, masses, (ages.size, metals.size)
    return Library("E-MILES", "Salpeter, unimodal 1.30", *made)


def resolution(lam: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """FWHM [Angstrom] of E-MILES at `lam` [Angstrom]: Vazdekis et al. 2016, section 2 and fig. 8.

    3 A below 3060.8 A (NGSL), 5 A below 3541.4 A, 2.51 A below 8950.4 A (MILES, CaT); beyond, sigma = 60 km/s.
    """
    infrared = 60.0 / C_KMS * lam * FWHM_PER_SIGMA
    return np.select([lam < 3060.8, lam < 3541.4, lam < 8950.4], [3.0, 5.0, 2.51], infrared)


def _emiles_members(archive: Path) -> tuple[dict[tuple[float, float], bytes], list[str]]:
    """Bytes of the model spectra by (age, [M/H]), and the mass tables, read without unpacking to disk."""
    spectra, tables = {}, []
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if model := _EMILES_MODEL.search(member.name):
                    metal = float(model[1].replace("m", "-").replace("p", "+"))
                    spectra[float(model[2]), metal] = tar.extractfile(member).read()
                elif _EMILES_MASSES.search(member.name):
                    tables.append(tar.extractfile(member).read().decode())
    except (tarfile.TarError, OSError, EOFError) as fault:
        reason = str(fault).splitlines()[0]
        raise SanspecError(f"templates: {archive} is not a whole .tar.gz ({reason}): fetch again") from None
    return spectra, tables


def _emiles_masses(table: str, ages: np.ndarray, metals: np.ndarray) -> Float[np.ndarray, " ssp"]:
    """Mass in stars and remnants per mass formed (Vazdekis et al. 2012, column `M(*+remn)`) at slope 1.30."""
    rows = [line.split()[1:6] for line in table.splitlines() if line.startswith("UN")]
    slope, metal, age, _, mass = np.array(rows, float).T
    found = []
    for own_age, own_metal in zip(ages, metals):
        match = (slope == 1.3) & (np.abs(metal - own_metal) < 0.006) & (np.abs(age - own_age) < 1e-3)
        if match.sum() != 1:
            population = f"age {own_age} Gyr, [M/H] {own_metal}"
            raise SanspecError(f"templates: the mass table has {match.sum()} rows for {population}")
        found.append(mass[match][0])
    return np.array(found)


def pack_m11(wheel: Path) -> Library:
    """The M11-MILES models of a wheel of sdss-mangadap, cut to 3550-7400 Angstrom (air), by metallicity and age.

    Raises SanspecError when it is not a wheel, or holds no such models.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.startswith(M11_FOLDER) and n.endswith(".fits")]
            models = [_spectrum(archive.read(name)) for name in names]
    except (OSError, zipfile.BadZipFile) as fault:
        raise SanspecError(f"templates: {wheel} is not a whole wheel ({fault}): fetch it again") from None
    if not models:
        raise SanspecError(f"templates: {wheel} holds no M11-MILES models (sdss-mangadap 4.5.0 does)")
    keys = [(M11_METALS[round(float(header["Z"]), 4)], float(header["AGE"])) for header, _, _ in models]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    lam, flux = ([models[k][part] for k in order] for part in (1, 2))
    if any(len(other) != len(lam[0]) or other[0] != lam[0][0] for other in lam):
        raise SanspecError(f"templates: the M11-MILES models in {wheel} are on different wavelengths")
    metal, age = np.array(keys)[order].T
    facts = np.full(len(lam[0]), M11_FWHM), age, metal, np.full(len(age), np.nan)
    return Library("M11-MILES", "Salpeter 1955", np.array(flux).T / LSUN, lam[0], *facts).cut(*M11_WAVE)


def _spectrum(content: bytes) -> tuple[fits.Header, Float[np.ndarray, " pix"], Float[np.ndarray, " pix"]]:
    """Header, wavelength [Angstrom, air] and flux of one model file."""
    with fits.open(io.BytesIO(content)) as hdus:
        header, flux = hdus[0].header, hdus[0].data.astype(float)
        return header, header["CRVAL1"] + header["CDELT1"] * np.arange(flux.size), flux
