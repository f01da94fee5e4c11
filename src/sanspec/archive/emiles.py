"""The E-MILES simple stellar populations (Vazdekis et al. 2016): packed from an archive of ppxf, and read.

Unimodal initial mass function of slope 1.30 (Salpeter), Padova 2000 isochrones: 25 ages by 6 metallicities.
The licence of ppxf forbids redistribution: each user fetches the archive and packs it for himself.
"""

import io
import re
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from jaxtyping import Float

from sanspec.errors import SanspecError
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA
from sanspec.store import atomic

_MODEL = re.compile(r"miles_models/Eun1\.30Z([mp]\d\.\d\d)T(\d\d\.\d{4})_.*\.fits$")
_MASSES = re.compile(r"miles_models/Vazdekis2012_ssp_mass_Padova00_UN.*\.txt$")
_KEYS = ("templates", "masses", "lam", "ages", "metals", "fwhm")


@dataclass(frozen=True)
class Templates:
    """A library of simple stellar populations.

    templates: (pix, age, metal), Lsun/Angstrom per solar mass formed; masses: (age, metal), mass in stars and
    remnants per mass formed; lam: Angstrom, air, evenly spaced; ages: Gyr; metals: [M/H]; fwhm: (pix)
    resolution, Angstrom.
    """

    templates: Float[np.ndarray, "pix age metal"]
    masses: Float[np.ndarray, "age metal"]
    lam: Float[np.ndarray, " pix"]
    ages: Float[np.ndarray, " age"]
    metals: Float[np.ndarray, " metal"]
    fwhm: Float[np.ndarray, " pix"]


def resolution(lam: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """FWHM [Angstrom] of E-MILES at `lam` [Angstrom]: Vazdekis et al. 2016, section 2 and fig. 8.

    3 A below 3060.8 A (NGSL), 5 A below 3541.4 A, 2.51 A below 8950.4 A (MILES, CaT); then sigma = 60 km/s.
    """
    infrared = 60.0 / C_KMS * lam * FWHM_PER_SIGMA
    return np.select([lam < 3060.8, lam < 3541.4, lam < 8950.4], [3.0, 5.0, 2.51], infrared)


def pack(archive: Path, wave_min: float, wave_max: float) -> Templates:
    """The models inside a source distribution of ppxf (8.2.6 carries them), cut to a range [Angstrom, air].

    Raises SanspecError when the archive is not readable or holds no complete grid of models.
    """
    spectra, tables = _members(archive)
    if not spectra or not tables:
        raise SanspecError(
            f"templates: {archive} holds no E-MILES models (ppxf carries them up to version 8.2.6)"
        )
    ages, metals = (np.unique([key[axis] for key in spectra]) for axis in (0, 1))
    if len(spectra) != ages.size * metals.size:
        raise SanspecError(
            f"templates: {archive} holds {len(spectra)} models, not {ages.size} ages x {metals.size} metals"
        )
    lam, _ = _spectrum(next(iter(spectra.values())))
    use = (lam >= wave_min) & (lam <= wave_max)
    flux = np.array([[_spectrum(spectra[age, metal])[1][use] for metal in metals] for age in ages])
    masses = _masses(tables[0], ages, metals)
    lam = lam[use]
    return Templates(np.moveaxis(flux, 2, 0).astype(np.float32), masses, lam, ages, metals, resolution(lam))


def write_templates(path: Path, library: Templates) -> None:
    """The library as the npz file that ppxf's `sps_lib` reads."""
    with atomic(path) as temporary:
        np.savez_compressed(temporary, **{key: getattr(library, key) for key in _KEYS})


def read_templates(path: Path) -> Templates:
    """A library written by `write_templates`. Raises SanspecError when it is missing or not such a file."""
    remedy = "make it with: sanspec templates --config FILE --out PATH"
    try:
        with np.load(path, allow_pickle=False) as file:
            return Templates(**{key: file[key] for key in _KEYS})
    except FileNotFoundError:
        raise SanspecError(f"no templates {path}; {remedy}") from None
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as fault:
        raise SanspecError(
            f"{path} is not a file of packed templates ({fault}); delete it and {remedy}"
        ) from None


def _members(archive: Path) -> tuple[dict[tuple[float, float], bytes], list[str]]:
    """Bytes of the model spectra by (age, [M/H]), and the mass tables, read without unpacking to disk."""
    spectra, tables = {}, []
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if model := _MODEL.search(member.name):
                    metal = float(model[1].replace("m", "-").replace("p", "+"))
                    spectra[float(model[2]), metal] = tar.extractfile(member).read()
                elif _MASSES.search(member.name):
                    tables.append(tar.extractfile(member).read().decode())
    except (tarfile.TarError, OSError, EOFError) as fault:
        reason = str(fault).splitlines()[0]
        raise SanspecError(
            f"templates: {archive} is not a whole .tar.gz archive ({reason}): fetch it again"
        ) from None
    return spectra, tables


def _spectrum(content: bytes) -> tuple[Float[np.ndarray, " pix"], Float[np.ndarray, " pix"]]:
    """Wavelength [Angstrom, air] and flux of one model file."""
    with fits.open(io.BytesIO(content)) as hdus:
        header, flux = hdus[0].header, hdus[0].data
        return header["CRVAL1"] + header["CDELT1"] * np.arange(flux.size), np.array(flux, dtype=float)


def _masses(table: str, ages: np.ndarray, metals: np.ndarray) -> Float[np.ndarray, "age metal"]:
    """Mass in stars and remnants per mass formed (Vazdekis et al. 2012, column `M(*+remn)`) at slope 1.30."""
    rows = [
        [float(word) for word in line.split()[1:6]] for line in table.splitlines() if line.startswith("UN")
    ]
    slope, metal, age, _, mass = np.array(rows).T
    result = np.full((ages.size, metals.size), np.nan)
    for i, j in np.ndindex(result.shape):
        match = (slope == 1.3) & (np.abs(metal - metals[j]) < 0.006) & (np.abs(age - ages[i]) < 1e-3)
        if match.sum() != 1:
            raise SanspecError(
                f"templates: the mass table has {match.sum()} rows for age {ages[i]} Gyr, [M/H] {metals[j]}"
            )
        result[i, j] = mass[match][0]
    return result
