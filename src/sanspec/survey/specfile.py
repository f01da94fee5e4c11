"""Reading SDSS spectrum files (spec-lite and full): the only module that knows that format for reading.

HDU 1 (COADD) holds the pixels on the common 1e-4 dex grid, HDU 2 one row about the object.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt32

from sanspec.database import packed
from sanspec.errors import SanspecError, Warn
from sanspec.spectra import grid
from sanspec.survey import fitsrows, sdss
from sanspec.survey.fitsrows import Damaged

NATIVE_FIRST = 35600  # first pixel of the common window, 10**3.56 = 3631 Angstrom
NATIVE_PIXELS = 4160  # up to 9461 Angstrom: all that the SDSS spectrographs saw
MASKED_BITS = sdss.PixMask.FULLREJECT | sdss.PixMask.NOSKY | sdss.PixMask.BRIGHTSKY | sdss.PixMask.NODATA
THREADS = 4  # files read at a time; more do not help on one disk
_COADD = ("flux", "loglam", "ivar", "and_mask", "wdisp")


@dataclass(frozen=True)
class SpecObj:
    """What HDU 2 says of an object; `kind` is CLASS, `snr_r` SN_MEDIAN in r; absent numbers are NaN or 0."""

    specobjid: int
    objid: int
    plate: int
    mjd: int
    fiberid: int
    run2d: str
    ra: float
    dec: float
    z: float
    z_err: float
    zwarning: int
    kind: str
    subclass: str
    instrument: str
    platequality: str
    specprimary: int
    target: str
    vdisp: float
    vdisp_err: float
    snr_r: float


@dataclass(frozen=True)
class Spectrum:
    """One spectrum as it stands in its file.

    loglam (pix): log10 vacuum Angstrom, observed frame; flux (pix): 1e-17 erg/s/cm2/A; ivar (pix): its
    inverse variance, 0 = bad; and_mask (pix): `sdss.PixMask` bits; wdisp (pix): Gaussian dispersion of the
    line-spread function [pixels].
    """

    loglam: Float[np.ndarray, " pix"]
    flux: Float[np.ndarray, " pix"]
    ivar: Float[np.ndarray, " pix"]
    and_mask: Int[np.ndarray, " pix"]
    wdisp: Float[np.ndarray, " pix"]
    about: SpecObj


@dataclass(frozen=True)
class NativeBlock:
    """Many spectra on one window of the common grid: pixel p stands at loglam = 1e-4 (first + p).

    flux (gal, native): 1e-17 erg/s/cm2/A, finite; ivar (gal, native): inverse variance, 0 = bad or absent;
    wdisp (gal, native): LSF dispersion [pixels], 0 = unknown; about: a SpecObj a file, None where unreadable;
    warn (gal): Warn.UNREADABLE where so; faults: what was wrong, by row.
    """

    flux: Float[np.ndarray, "gal native"]
    ivar: Float[np.ndarray, "gal native"]
    wdisp: Float[np.ndarray, "gal native"]
    about: list[SpecObj | None]
    warn: UInt32[np.ndarray, " gal"]
    first: int = NATIVE_FIRST
    faults: dict[int, str] = field(default_factory=dict)


# --------------------------------------------------------------------------------------------------- one file


def read(path: Path) -> Spectrum:
    """One spectrum with all its pixels. Raises SanspecError where the file is missing or damaged."""
    try:
        return _read(path)
    except Damaged as fault:
        raise SanspecError(
            f"{path}: {fault}; allowed: an SDSS spec file; fetch it again or leave it out"
        ) from None


def read_about(path: Path) -> SpecObj:
    """What a file says of its object, without its pixels. Raises SanspecError as `read` does."""
    try:
        return _read_about(path)
    except Damaged as fault:
        raise SanspecError(
            f"{path}: {fault}; allowed: an SDSS spec file; fetch it again or leave it out"
        ) from None


def _read(path: Path) -> Spectrum:
    """As `read`; raises Damaged."""
    with _opened(path) as handle:
        (layout, position), (about, place) = fitsrows.tables(handle, 2)
        rows = fitsrows.read_rows(handle, layout, position)
        row = fitsrows.read_rows(handle, about, place)
    _require(rows, _COADD, "HDU 1")
    columns = {name: rows[name].astype(np.int64 if name == "and_mask" else np.float64) for name in _COADD}
    return Spectrum(**columns, about=_specobj(row, about.zeros))


def _read_about(path: Path) -> SpecObj:
    """As `read_about`; raises Damaged."""
    with _opened(path) as handle:
        _, (layout, position) = fitsrows.tables(handle, 2)
        return _specobj(fitsrows.read_rows(handle, layout, position), layout.zeros)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A file descriptor, closed in the end. Raises Damaged where there is no such file."""
    try:
        handle = packed.open_handle(Path(path))
    except OSError as fault:
        raise Damaged(fault.strerror.lower()) from None
    try:
        yield handle
    except OSError as fault:
        raise Damaged(fault.strerror.lower()) from None
    finally:
        os.close(handle)


def _require(rows: np.ndarray, names: Sequence[str], where: str) -> None:
    """Raises Damaged where a table lacks a column or a row."""
    missing = sorted(set(names) - set(rows.dtype.names))
    if missing or not len(rows):
        raise Damaged(f"{where} lacks {', '.join(missing) or 'rows'}: not an SDSS spec file")


def _specobj(rows: np.ndarray, zeros: dict[str, int]) -> SpecObj:
    """The first row of HDU 2 in the words of the package."""
    _require(rows, ("plate", "mjd", "fiberid", "class", "z", "z_err", "zwarning", "run2d"), "HDU 2")
    row = rows[0]

    def text(name: str) -> str:
        return bytes(row[name]).decode("latin-1").strip() if name in rows.dtype.names else ""

    def number(name: str, absent: float = np.nan) -> float:
        return row[name].item() + zeros.get(name, 0) if name in rows.dtype.names else absent

    def identity(name: str) -> int:
        """A 64-bit id, padded text in SDSS-I/II files and an integer in BOSS ones; 0 where there is none."""
        value = (
            text(name) if name in rows.dtype.names and rows.dtype[name].kind == "S" else str(number(name, 0))
        )
        return int(value) if value.isdigit() else 0

    snr = row["sn_median"][2].item() if "sn_median" in rows.dtype.names else np.nan
    return SpecObj(
        specobjid=identity("specobjid"),
        objid=identity("bestobjid"),
        plate=number("plate"),
        mjd=number("mjd"),
        fiberid=number("fiberid"),
        run2d=text("run2d"),
        ra=number("plug_ra"),
        dec=number("plug_dec"),
        z=number("z"),
        z_err=number("z_err"),
        zwarning=number("zwarning"),
        kind=text("class"),
        subclass=text("subclass"),
        instrument=text("instrument"),
        platequality=text("platequality"),
        specprimary=number("specprimary", 1),
        target=text("sourcetype") or text("objtype"),
        vdisp=number("vdisp"),
        vdisp_err=number("vdisp_err"),
        snr_r=snr,
    )


# ---------------------------------------------------------------------------------------------------- refusal


def refuse(about: SpecObj) -> Warn:
    """Why a spectrum is not one of a survey galaxy: no bits where it is.

    A sky fibre carries ZWARNING bit SKY or the target type SKY, whatever its class says; BOSS files have no
    INSTRUMENT.
    """
    sky = bool(about.zwarning & sdss.ZWarning.SKY) or about.target.upper() == "SKY"
    reasons = (
        (about.instrument.upper() != "SDSS", Warn.NOT_SDSS),
        (about.kind.upper() != "GALAXY", Warn.NOT_GALAXY),
        (about.zwarning != 0, Warn.ZWARNING),
        (about.platequality.lower() == "bad" or about.specprimary == 0, Warn.BAD_PLATE),
        (sky, Warn.SKY_FIBRE),
    )
    return Warn(sum(bit for holds, bit in reasons if holds))


def misnamed(about: SpecObj, path: Path) -> bool:
    """Whether a file's ids contradict each other or its name (one not of the survey's form says nothing)."""
    named = sdss.parse_file_name(Path(path).name)
    inside = (about.plate, about.mjd, about.fiberid)
    try:
        packed = int(sdss.pack(*inside, sdss.run_number(about.run2d)))
    except ValueError:
        return True
    return packed != about.specobjid or (named is not None and named != inside)


# ------------------------------------------------------------------------------------------------- many files


def read_many(paths: Sequence[Path], masked: int = MASKED_BITS) -> NativeBlock:
    """Many spectra on one window of the common grid; a bad file costs its row alone.

    masked: bits of `and_mask` (`sdss.PixMask`) whose pixels count as bad, besides those of ivar 0.
    """
    count = len(paths)
    flux, ivar, wdisp = (np.zeros((count, NATIVE_PIXELS)) for _ in range(3))
    about: list[SpecObj | None] = [None] * count
    warn, faults = np.zeros(count, dtype=np.uint32), {}

    def fill(row: int) -> None:
        try:
            spectrum = _read(paths[row])
            _place(spectrum, masked, flux[row], ivar[row], wdisp[row])
            about[row] = spectrum.about
        except Damaged as fault:
            warn[row], faults[row] = Warn.UNREADABLE, str(fault)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fill, range(count)))
    return NativeBlock(flux, ivar, wdisp, about, warn, NATIVE_FIRST, faults)


def _place(spectrum: Spectrum, masked: int, flux: np.ndarray, ivar: np.ndarray, wdisp: np.ndarray) -> None:
    """Put a spectrum's pixels into its row of the window by their index on the common grid."""
    if not np.isfinite(spectrum.loglam).all():
        raise Damaged("loglam holds NaN")
    index = grid.loglam_index(spectrum.loglam) - NATIVE_FIRST
    if (
        np.any(np.diff(index) <= 0)
        or np.abs(spectrum.loglam - grid.LOGLAM_STEP * (index + NATIVE_FIRST)).max() > 2e-5
    ):
        raise Damaged("loglam is not on the 1e-4 dex grid")
    inside = (index >= 0) & (index < len(flux))
    good = np.isfinite(spectrum.flux) & np.isfinite(spectrum.ivar) & (spectrum.ivar > 0)
    good &= (spectrum.and_mask & masked) == 0
    known = np.isfinite(spectrum.wdisp) & (spectrum.wdisp > 0)
    flux[index[inside]] = np.where(good, spectrum.flux, 0.0)[inside]
    ivar[index[inside]] = np.where(good, spectrum.ivar, 0.0)[inside]
    wdisp[index[inside]] = np.where(known, spectrum.wdisp, 0.0)[inside]


def read_abouts(paths: Sequence[Path]) -> Iterator[tuple[SpecObj | None, str]]:
    """What each file says of its object, in order, with the fault of the unreadable ones (then None)."""

    def one(path: Path) -> tuple[SpecObj | None, str]:
        try:
            return _read_about(path), ""
        except Damaged as fault:
            return None, str(fault)

    with ThreadPoolExecutor(THREADS) as pool:
        yield from pool.map(one, paths)


def find(folder: Path) -> pd.DataFrame:
    """Every spectrum file at and below `folder`: plate, mjd, fiberid and `file` (relative), sorted by name.

    Plates packed into PPPP.h5 (`sanspec.database.packed`) are listed as if their files stood in the folder PPPP.
    Raises SanspecError where there is no such folder or nothing in it.
    """
    folder = Path(folder)
    found = []
    for place, _, names in os.walk(folder, followlinks=True):
        files = [name for name in names if not name.endswith(".h5")]
        plates = [name for name in names if name.endswith(".h5")]
        files += [f"{plate[:-3]}/{name}" for plate in plates for name in packed.names(Path(place, plate))]
        known = ((name, sdss.parse_file_name(os.path.basename(name))) for name in files)
        found += [(*ids, os.path.relpath(os.path.join(place, name), folder)) for name, ids in known if ids]
    if not found:
        raise SanspecError(
            f"no spectra in {folder}: expected PPPP/spec-PPPP-MMMMM-FFFF.fits; set survey.spectra"
        )
    return pd.DataFrame(sorted(found), columns=["plate", "mjd", "fiberid", "file"])
