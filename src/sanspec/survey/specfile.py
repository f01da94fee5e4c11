"""Read SDSS spectrum files (spec-lite and full); no other module reads their tables.

HDU 1 (COADD) holds the pixels on the common grid of 1e-4 dex, HDU 2 one row about the object.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sanspec.errors import SanspecError, Warn
from sanspec.spectra import grid
from sanspec.spectra.native import NATIVE_FIRST, NATIVE_PIXELS, NativeBlock
from sanspec.survey import fitsrows, packed, sdss
from sanspec.survey.fitsrows import Damaged

MASKED_BITS = sdss.PixMask.FULLREJECT | sdss.PixMask.NOSKY | sdss.PixMask.BRIGHTSKY | sdss.PixMask.NODATA
_THREADS = 4  # files read at a time; more do not help on one disk
_COADD = ("flux", "loglam", "ivar", "and_mask", "wdisp")
_REQUIRED = ("plate", "mjd", "fiberid", "class", "z", "z_err", "zwarning", "run2d")  # columns of HDU 2
_COLUMNS = {"objid": "bestobjid", "ra": "plug_ra", "dec": "plug_dec", "kind": "class"}  # our name: theirs
_NUMBERS = ("plate", "mjd", "fiberid", "ra", "dec", "z", "z_err", "zwarning", "vdisp", "vdisp_err")
_TEXTS = ("run2d", "kind", "subclass", "instrument", "platequality")


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

    @property
    def refusal(self) -> Warn:
        """Why the spectrum is not one of a survey galaxy: no bit where it is.

        A sky fibre has ZWARNING bit SKY or target type SKY, whatever its class; BOSS files have no
        INSTRUMENT.
        """
        sky = bool(self.zwarning & sdss.ZWarning.SKY) or self.target.upper() == "SKY"
        reasons = (
            (self.instrument.upper() != "SDSS", Warn.NOT_SDSS),
            (self.kind.upper() != "GALAXY", Warn.NOT_GALAXY),
            (self.zwarning != 0, Warn.ZWARNING),
            (self.platequality.lower() == "bad" or self.specprimary == 0, Warn.BAD_PLATE),
            (sky, Warn.SKY_FIBRE),
        )
        return Warn(sum(bit for holds, bit in reasons if holds))

    def misnamed(self, path: Path) -> bool:
        """Whether the ids contradict each other or the file's name, where that has the survey's form."""
        named = sdss.parse_file_name(Path(path).name)
        inside = (self.plate, self.mjd, self.fiberid)
        try:
            expected = int(sdss.pack(*inside, sdss.run_number(self.run2d)))
        except ValueError:
            return True
        return expected != self.specobjid or (named is not None and named != inside)


@dataclass(frozen=True)
class Spectrum:
    """One spectrum as its file holds it.

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
class FileBlock(NativeBlock):
    """Native spectra read from files.

    about: a SpecObj per file, None where unreadable; faults: what was wrong with a file, by row.
    """

    about: list[SpecObj | None] = field(default_factory=list)
    faults: dict[int, str] = field(default_factory=dict)

    def take(self, rows: Int[np.ndarray, " row"]) -> "FileBlock":
        """The block of some rows, without their faults."""
        columns = {name: getattr(self, name)[rows] for name in ("flux", "ivar", "wdisp", "warn")}
        return FileBlock(**columns, first=self.first, about=[self.about[row] for row in rows])


# --------------------------------------------------------------------------------------------------- one file


def read(path: Path) -> Spectrum:
    """One spectrum with all its pixels. Raises SanspecError where the file is missing or damaged."""
    try:
        return _read(path)
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


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A file descriptor, closed at the end. Raises Damaged where there is no such file."""
    handle = None
    try:
        handle = packed.open_handle(Path(path))
        yield handle
    except OSError as fault:
        raise Damaged(fault.strerror.lower()) from None
    finally:
        if handle is not None:
            os.close(handle)


def _require(rows: np.ndarray, names: Sequence[str], where: str) -> None:
    """Raises Damaged where a table lacks a column or has no rows."""
    missing = sorted(set(names) - set(rows.dtype.names))
    if missing or not len(rows):
        raise Damaged(f"{where} lacks {', '.join(missing) or 'rows'}: not an SDSS spec file")


def _specobj(rows: np.ndarray, zeros: dict[str, int]) -> SpecObj:
    """The first row of HDU 2 in the package's words. Raises Damaged where it lacks a column."""
    _require(rows, _REQUIRED, "HDU 2")
    row, present = rows[0], rows.dtype.names

    def text(name: str) -> str:
        name = _COLUMNS.get(name, name)
        return bytes(row[name]).decode("latin-1").strip() if name in present else ""

    def number(name: str, absent: float = np.nan) -> float:
        name = _COLUMNS.get(name, name)
        return row[name].item() + zeros.get(name, 0) if name in present else absent

    def identity(name: str) -> int:
        """A 64-bit id: padded text in SDSS-I/II files, an integer in BOSS ones; 0 where there is none."""
        column = _COLUMNS.get(name, name)
        is_text = column in present and rows.dtype[column].kind == "S"
        value = text(name) if is_text else str(number(name, 0))
        return int(value) if value.isdigit() else 0

    return SpecObj(
        specobjid=identity("specobjid"),
        objid=identity("objid"),
        **{name: number(name) for name in _NUMBERS},
        **{name: text(name) for name in _TEXTS},
        specprimary=number("specprimary", 1),
        target=text("sourcetype") or text("objtype"),
        snr_r=row["sn_median"][2].item() if "sn_median" in present else np.nan,
    )


# ------------------------------------------------------------------------------------------------- many files


def read_many(paths: Sequence[Path], masked: int = MASKED_BITS) -> FileBlock:
    """Many spectra on one window of the common grid; an unreadable file costs only its own row.

    masked: bits of `and_mask` (`sdss.PixMask`) whose pixels count as bad, in addition to those of ivar 0.
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

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(fill, range(count)))
    return FileBlock(flux, ivar, wdisp, warn, NATIVE_FIRST, about, faults)


def _place(spectrum: Spectrum, masked: int, flux: np.ndarray, ivar: np.ndarray, wdisp: np.ndarray) -> None:
    """Put a spectrum's pixels into its row of the window by their index on the common grid."""
    if not np.isfinite(spectrum.loglam).all():
        raise Damaged("loglam holds NaN")
    index = grid.loglam_index(spectrum.loglam) - NATIVE_FIRST
    off_grid = np.abs(spectrum.loglam - grid.LOGLAM_STEP * (index + NATIVE_FIRST)).max() > 2e-5
    if np.any(np.diff(index) <= 0) or off_grid:
        raise Damaged("loglam is not on the 1e-4 dex grid")
    inside = (index >= 0) & (index < len(flux))
    good = np.isfinite(spectrum.flux) & np.isfinite(spectrum.ivar) & (spectrum.ivar > 0)
    good &= (spectrum.and_mask & masked) == 0
    known = np.isfinite(spectrum.wdisp) & (spectrum.wdisp > 0)
    flux[index[inside]] = np.where(good, spectrum.flux, 0.0)[inside]
    ivar[index[inside]] = np.where(good, spectrum.ivar, 0.0)[inside]
    wdisp[index[inside]] = np.where(known, spectrum.wdisp, 0.0)[inside]


def read_abouts(paths: Sequence[Path]) -> Iterator[tuple[SpecObj | None, str]]:
    """What each file says of its object and "", in order; None and the fault where it is unreadable.

    The pixels are not read.
    """

    def one(path: Path) -> tuple[SpecObj | None, str]:
        try:
            with _opened(path) as handle:
                _, (layout, position) = fitsrows.tables(handle, 2)
                return _specobj(fitsrows.read_rows(handle, layout, position), layout.zeros), ""
        except Damaged as fault:
            return None, str(fault)

    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(one, paths)


def find(folder: Path) -> pd.DataFrame:
    """Every spectrum file at and below `folder`: plate, mjd, fiberid and `file` (relative), sorted by name.

    Spectra packed into PPPP.h5 (`sanspec.survey.packed`) are listed as files of the folder PPPP. Raises
    SanspecError where there is no such folder or nothing in it.
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
