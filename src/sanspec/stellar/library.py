"""Libraries of simple stellar populations behind one interface, whatever file or folder they come from.

Three forms are read: an npz as ppxf's `sps_lib` takes it (E-MILES of `sanspec templates`, FSPS, GALAXEV, XSL); an npz
of our own layout for populations that fill no grid (M11-MILES of `sanspec templates --library m11`); and a folder of
text files `ssp_M11_MILES.krz002` as firefly_release carries them. Wavelengths are in air, fluxes in Lsun/Angstrom per
solar mass formed.
"""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from sanspec.errors import SanspecError
from sanspec.physics.air import air_to_vac
from sanspec.physics.constants import AB_ZERO, C_ANGSTROM, LSUN, PARSEC
from sanspec.spectra.grid import bin_edges
from sanspec.store import atomic

M11_WAVE = (3550.0, 7400.0)  # air [Angstrom]; the M11-MILES fluxes vanish outside
M11_FWHM = 2.54  # Angstrom (Beifiori et al. 2011; header of the models)
SUN_R = 4.65  # absolute AB magnitude of the Sun in SDSS r (Willmer 2018, table 3)
IMFS = {"kr": "Kroupa 2001", "ss": "Salpeter 1955", "cha": "Chabrier 2003"}
REMEDY = "make it with: sanspec templates --config FILE --out PATH"
_TEXT = re.compile(r"^ssp_M11_(?P<model>\w+)\.(?P<imf>kr|ss|cha)z(?P<metal>\w+?)(?P<branch>\.\w+)?$")
_PPXF = ("templates", "masses", "lam", "ages", "metals", "fwhm")
_PACKED = ("flux", "lam", "age", "metal", "mass", "fwhm", "name", "imf")


@dataclass(frozen=True, eq=False)
class Library:
    """Simple stellar populations.

    flux (pix, ssp): Lsun/Angstrom per solar mass formed. lam (pix): air Angstrom, ascending. fwhm (pix): resolution
    [Angstrom]. age (ssp): Gyr. metal (ssp): [M/H]. mass (ssp): mass in stars and remnants per mass formed, NaN where
    unknown. shape: (ages, metallicities) where the populations fill a grid in which age is the slow axis, else None.
    """

    name: str
    imf: str
    flux: Float[np.ndarray, "pix ssp"]
    lam: Float[np.ndarray, " pix"]
    fwhm: Float[np.ndarray, " pix"]
    age: Float[np.ndarray, " ssp"]
    metal: Float[np.ndarray, " ssp"]
    mass: Float[np.ndarray, " ssp"]
    shape: tuple[int, int] | None = None

    @property
    def edges(self) -> Float[np.ndarray, " edge"]:
        """Edges of the pixels [Angstrom, air]."""
        return bin_edges(self.lam)

    @property
    def log_age(self) -> Float[np.ndarray, " ssp"]:
        """log10(age / yr)."""
        return np.log10(self.age) + 9.0

    @property
    def ages(self) -> Float[np.ndarray, " age"]:
        """Ages of the grid [Gyr]."""
        return self.age.reshape(self.shape)[:, 0]

    @property
    def metals(self) -> Float[np.ndarray, " metal"]:
        """Metallicities of the grid [M/H]."""
        return self.metal.reshape(self.shape)[0]

    @property
    def cube(self) -> Float[np.ndarray, "pix age metal"]:
        """The fluxes of the grid."""
        return self.flux.reshape(-1, *self.shape)

    @cached_property
    def r_luminosity(self) -> Float[np.ndarray, " ssp"]:
        """Luminosity in SDSS r of one solar mass formed [Lsun of that band]; NaN where the library does not cover r.

        Response of Doi et al. 2010 as speclite has it, photon-weighted AB magnitudes.
        """
        from speclite.filters import load_filter  # slow to import

        band = load_filter("sdss2010-r")
        wave = air_to_vac(self.lam)
        low, high = band.effective_wavelength.value - 900, band.effective_wavelength.value + 900
        if wave[0] > low or wave[-1] < high:
            return np.full(self.flux.shape[1], np.nan)
        response = band(wave) * np.gradient(wave)
        density = self.flux * LSUN / (4 * np.pi * (10 * PARSEC) ** 2)
        mean_fnu = (response * wave) @ density / (C_ANGSTROM * (response / wave).sum())
        return 10 ** (0.4 * SUN_R) * mean_fnu / AB_ZERO

    def limits(self) -> dict:
        """Ranges of the library, for the header of every table made with it."""
        return {
            "age_gyr": [float(self.age.min()), float(self.age.max())],
            "metal": [float(self.metal.min()), float(self.metal.max())],
            "wave_air": [float(self.lam[0]), float(self.lam[-1])],
            "populations": len(self.age),
        }

    def cut(self, wave_min: float = 0.0, wave_max: float = np.inf, age_max: float = np.inf) -> "Library":
        """The part within a wavelength range [Angstrom, air] and up to an age [Gyr]."""
        pixels = (self.lam >= wave_min) & (self.lam <= wave_max)
        ages = self.age <= age_max
        if pixels.sum() < 2 or not ages.any():
            asked = f"between {wave_min:g} and {wave_max:g} A up to {age_max:g} Gyr"
            raise SanspecError(f"templates {self.name}: nothing {asked}; they span {self.limits()}")
        shape = self.shape and (int(ages.sum()) // self.shape[1], self.shape[1])
        kept = {key: getattr(self, key)[ages] for key in ("age", "metal", "mass")}
        flux = self.flux[np.ix_(pixels, ages)]
        return replace(self, flux=flux, lam=self.lam[pixels], fwhm=self.fwhm[pixels], shape=shape, **kept)

    def write(self, path: Path) -> None:
        """Write an npz: as ppxf's `sps_lib` reads it where the populations fill a grid, else in our own layout."""
        if self.shape is None:
            arrays = {key: np.asarray(getattr(self, key)) for key in _PACKED}
        else:
            grid = self.cube.astype(np.float32), self.mass.reshape(self.shape)
            arrays = dict(zip(_PPXF, (*grid, self.lam, self.ages, self.metals, self.fwhm)))
        with atomic(path) as temporary:
            np.savez_compressed(temporary, **arrays)


def open_library(path: Path, imf: str = "") -> Library:
    """The library at `path`: a folder of firefly_release, or an npz of either kind.

    imf: for a folder `kr`, `ss` or `cha` (empty: the only one there); for an npz of ppxf, which does not name it, its
    description. Raises SanspecError when the library is missing, cut short or of another layout.
    """
    path = Path(path)
    if path.is_dir():
        return _checked(_read_folder(path, imf), path)
    arrays = _read_npz(path)
    if set(_PACKED) <= set(arrays):
        fields = {key: np.asarray(arrays[key], float) for key in _PACKED[:6]}
        return _checked(Library(str(arrays["name"]), str(arrays["imf"]), **fields), path)
    if set(_PPXF) <= set(arrays):
        return _checked(_gridded(arrays, path, imf), path)
    raise SanspecError(
        f"templates {path}: holds {', '.join(sorted(arrays)) or 'nothing'}; allowed: an npz with {', '.join(_PPXF)} "
        f"as ppxf's sps_lib reads it; {REMEDY}"
    )


def _checked(library: Library, path: Path) -> Library:
    """The library itself when its arrays fit together. Raises SanspecError naming those that do not."""
    pixels, count = library.flux.shape
    shapes = {
        "wavelengths": library.lam.shape == (pixels,) and pixels > 100,
        "resolution": library.fwhm.shape == (pixels,) and bool(np.all(library.fwhm >= 0)),
        "ages": library.age.shape == (count,) and bool(np.all(library.age > 0)),
        "metallicities": library.metal.shape == (count,) and bool(np.all(np.isfinite(library.metal))),
        "masses": library.mass.shape == (count,),
        "order of wavelengths": bool(np.all(np.diff(library.lam) > 0)),
        "fluxes": bool(np.isfinite(library.flux).all() and (library.flux.max(axis=0) > 0).all()),
    }
    if bad := [name for name, fits in shapes.items() if not fits]:
        raise SanspecError(
            f"templates {path}: {' and '.join(bad)} do not fit {pixels} pixels x {count} populations: cut short or of "
            f"another layout; {REMEDY}"
        )
    return library


def _read_folder(folder: Path, imf: str) -> Library:
    """M11 models of a firefly_release folder: text columns age [Gyr], [Z/H], wavelength [Angstrom], flux [erg/s/A].

    Raises SanspecError when there is none of that IMF, or a file is cut short.
    """
    found = {path: match for path in sorted(folder.iterdir()) if (match := _TEXT.match(path.name))}
    present = sorted({match["imf"] for match in found.values()})
    if not imf and len(present) == 1:
        imf = present[0]
    chosen = [path for path, match in found.items() if match["imf"] == imf]
    if not chosen:
        held = f"it holds the IMFs {present or 'none'}; allowed: {', '.join(IMFS)}"
        raise SanspecError(f"templates {folder}: no files ssp_M11_*.{imf or 'IMF'}z*; {held}")
    parts = [_read_text(path) for path in chosen]
    lam = parts[0][2]
    if any(part[2].shape != lam.shape or not np.allclose(part[2], lam) for part in parts):
        raise SanspecError(f"templates {folder}: files on different wavelengths; use those of one release")
    age, metal = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    flux = np.concatenate([part[3] for part in parts], axis=1) / LSUN
    unknown = np.full(len(age), np.nan)
    return Library("M11-MILES", IMFS[imf], flux, lam, np.full(len(lam), M11_FWHM), age, metal, unknown)


def _read_text(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ages, [Z/H], wavelengths and flux (pix, age) of one text file."""
    try:
        table = np.loadtxt(path, ndmin=2)
    except ValueError as fault:
        raise SanspecError(f"templates {path}: not a table of numbers ({fault}); fetch it again") from None
    ages, starts = np.unique(table[:, 0], return_index=True) if table.shape[1] == 4 else (np.empty(0), None)
    pixels = len(table) // max(len(ages), 1)
    if not len(ages) or len(table) != pixels * len(ages):
        raise SanspecError(f"templates {path}: cut short: {len(table)} lines, {len(ages)} ages; fetch again")
    order = np.argsort(starts)
    cube = table.reshape(len(ages), pixels, 4)
    return ages[order], cube[:, 0, 1], cube[0, :, 2], cube[:, :, 3].T


def _read_npz(path: Path) -> Mapping[str, np.ndarray]:
    """Every array of an npz file. Raises SanspecError when it is missing or cut short."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except FileNotFoundError:
        raise SanspecError(f"no templates {path}; {REMEDY} (or --library m11)") from None
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile) as fault:
        raise SanspecError(f"templates {path}: not a whole npz file ({fault}); {REMEDY}") from None


def _gridded(arrays: Mapping[str, np.ndarray], path: Path, imf: str) -> Library:
    """A library in the layout of ppxf: templates (pix, age, metal)."""
    templates, masses, lam, ages, metals, fwhm = (np.asarray(arrays[key], float) for key in _PPXF)
    grid = ages.size, metals.size
    if templates.ndim != 3 or templates.shape[1:] != grid or masses.shape != grid:
        raise SanspecError(
            f"templates {path}: templates {templates.shape} and masses {masses.shape} do not fit {ages.size} ages x "
            f"{metals.size} metallicities: cut short or of another layout; {REMEDY}"
        )
    age, metal = (axis.ravel() for axis in np.meshgrid(ages, metals, indexing="ij"))
    flux = templates.reshape(len(templates), -1)
    fwhm = np.full(lam.shape, fwhm) if fwhm.ndim == 0 else fwhm
    return Library(path.stem, imf or "not stated", flux, lam, fwhm, age, metal, masses.ravel(), grid)
