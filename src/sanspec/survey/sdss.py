"""SDSS conventions: packing of specobjid, file names, reduction versions, mask bits of spectra."""

import re
from enum import IntFlag

import numpy as np
from jaxtyping import Integer

_LEGACY_RUNS = {26, 103, 104}  # reductions named by their number: SDSS-I/II, SEGUE-1, SEGUE-2
_SHIFTS = {"plate": (50, 14), "fiberid": (38, 12), "mjd": (24, 14), "run2d": (10, 14)}
_MJD_ZERO = 50000


class PixMask(IntFlag):
    """Bits of `and_mask` (SPPIXMASK in idlutils' sdssMaskbits.par): below 16 of the fibre, from 16 of the pixel."""

    NOPLUG = 1 << 0
    BADTRACE = 1 << 1
    BADFLAT = 1 << 2
    BADARC = 1 << 3
    MANYBADCOLUMNS = 1 << 4
    MANYREJECTED = 1 << 5
    LARGESHIFT = 1 << 6
    BADSKYFIBER = 1 << 7
    NEARWHOPPER = 1 << 8
    WHOPPER = 1 << 9
    SMEARIMAGE = 1 << 10
    SMEARHIGHSN = 1 << 11
    SMEARMEDSN = 1 << 12
    NEARBADPIXEL = 1 << 16
    LOWFLAT = 1 << 17
    FULLREJECT = 1 << 18
    PARTIALREJECT = 1 << 19
    SCATTEREDLIGHT = 1 << 20
    CROSSTALK = 1 << 21
    NOSKY = 1 << 22
    BRIGHTSKY = 1 << 23
    NODATA = 1 << 24
    COMBINEREJ = 1 << 25
    BADFLUXFACTOR = 1 << 26
    BADSKYCHI = 1 << 27
    REDMONSTER = 1 << 28


class ZWarning(IntFlag):
    """Bits of ZWARNING (idlutils' sdssMaskbits.par)."""

    SKY = 1 << 0
    LITTLE_COVERAGE = 1 << 1
    SMALL_DELTA_CHI2 = 1 << 2
    NEGATIVE_MODEL = 1 << 3
    MANY_OUTLIERS = 1 << 4
    Z_FITLIMIT = 1 << 5
    NEGATIVE_EMISSION = 1 << 6
    UNPLUGGED = 1 << 7
    BAD_TARGET = 1 << 8
    NODATA = 1 << 9


def pack(plate, mjd, fiberid, run2d) -> Integer[np.ndarray, "*gal"]:
    """specobjid (uint64): plate<<50 | fiberid<<38 | (mjd-50000)<<24 | run2d<<10 (SkyServer, SpecObj).

    All are integers or integer arrays; `run2d` is that of `run_number`. Raises ValueError where one does not fit.
    """
    days = np.asarray(mjd, dtype=np.int64) - _MJD_ZERO
    values = {"plate": plate, "fiberid": fiberid, "mjd": days, "run2d": run2d}
    packed = np.uint64(0)
    for name, (shift, bits) in _SHIFTS.items():
        value = np.asarray(values[name], dtype=np.int64)
        if np.any((value < 0) | (value >= 1 << bits)):
            raise ValueError(f"{name} does not fit into {bits} bits")
        packed = packed | (value.astype(np.uint64) << np.uint64(shift))
    return packed


def unpack(specobjid) -> dict[str, Integer[np.ndarray, "*gal"]]:
    """plate, fiberid, mjd, run2d (a number, see `run_name`) of uint64 specobjids: the inverse of `pack`."""
    ids = np.asarray(specobjid, dtype=np.uint64)
    parts = {
        name: ((ids >> np.uint64(shift)) & np.uint64((1 << bits) - 1)).astype(np.int64)
        for name, (shift, bits) in _SHIFTS.items()
    }
    return parts | {"mjd": parts["mjd"] + _MJD_ZERO}


def run_number(name: str) -> int:
    """Number of a reduction in a specobjid: "26" -> 26, vN_M_P -> 10000 (N-5) + 100 M + P (SkyServer)."""
    text = str(name).strip()
    version = re.fullmatch(r"v(\d+)_(\d+)_(\d+)", text)
    if version:
        major, minor, patch = map(int, version.groups())
        return 10000 * (major - 5) + 100 * minor + patch
    if not text.isdigit():
        raise ValueError(f"run2d {name!r} is neither a number nor vN_M_P")
    return int(text)


def run_name(number: int) -> str:
    """The name of reduction `number` of a specobjid: 26 -> "26", 1000 -> "v5_10_0"."""
    number = int(number)
    if number in _LEGACY_RUNS:
        return str(number)
    return f"v{5 + number // 10000}_{number // 100 % 100}_{number % 100}"


def file_name(plate: int, mjd: int, fiberid: int) -> str:
    """Path of a spectrum below the folder of spectra: PPPP/spec-PPPP-MMMMM-FFFF.fits."""
    return f"{plate:04d}/spec-{plate:04d}-{mjd}-{fiberid:04d}.fits"


def parse_file_name(name: str) -> tuple[int, int, int] | None:
    """plate, mjd, fiberid of a file named spec-PPPP-MMMMM-FFFF.fits; None for any other name."""
    match = re.fullmatch(r"spec-(\d{4,5})-(\d{5})-(\d{4})\.fits", name)
    return tuple(map(int, match.groups())) if match else None
