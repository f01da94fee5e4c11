"""Deliberate defects, as real archives have them; the truth table names them in its column `defect`."""

import dataclasses

import numpy as np

from sanspec.mock.spectrum import COLUMNS, Spectrum

SPECTRUM = {
    "nan_flux": "150 pixels of the flux are NaN",
    "all_nan": "the whole flux is NaN",
    "ivar_zero": "the whole ivar is 0",
    "short_blue": "the spectrum begins at 4500 A",
    "short_red": "the spectrum ends at 7800 A",
    "negative_flux": "the flux falls below 0 over 300 pixels in the blue",
    "sky_fibre": "the fibre saw empty sky; CLASS says GALAXY, ZWARNING 5",
}
HEADER = {
    "zwarning": "ZWARNING is 4: the redshift is doubtful",
    "bad_plate": "PLATEQUALITY is bad",
    "not_primary": "SPECPRIMARY is 0",
    "qso": "CLASS is QSO in the file",
}
FILE = {
    "no_file": "there is no spectrum file",
    "truncated": "the spectrum file breaks off",
    "not_fits": "the spectrum file holds an HTML page",
    "other_object": "the spectrum file is that of another fibre",
}
IMAGE = {"nan_image": "the cube holds NaN", "blank_band": "the u band of the cube is constant"}
JOIN = {
    "no_cube": "in the catalogue, not in the cube file",
    "no_catalogue": "in the cube file, not in the catalogue",
    "twice_in_catalogue": "the catalogue holds the same row twice",
    "twice_in_cubes": "the cube file holds the same specobjid twice",
    "repeat": "the same objID was observed again under another specobjid",
}
EXTRA_CUBES = {
    "no_cube": -1,
    "twice_in_cubes": 1,
    "repeat": 1,
}  # rows of the cube file in addition to the usual one
_BUSY = b"<html><head><title>503 Service Unavailable</title></head><body>Try again later.</body></html>\n"
KINDS = tuple(SPECTRUM | HEADER | FILE | IMAGE | JOIN)


def assign(count: int, rate: float, seed: int) -> list[str]:
    """The defect of each of the first `count` galaxies, "" for most: one per 1/rate galaxies, the kinds in turn.

    The defect of a galaxy does not depend on `count`.
    """
    result = [""] * count
    if rate == 0:
        return result
    step = max(round(1 / rate), 1)
    for block in range(count // step + 1):
        at = block * step + int(np.random.default_rng([seed, block, 2]).integers(step))
        if at < count:
            result[at] = KINDS[block % len(KINDS)]
    return result


def spoil_spectrum(spectrum: Spectrum, kind: str, rng: np.random.Generator) -> Spectrum:
    """`spectrum` with the defect `kind`; unchanged where the defect is not in the spectrum."""
    flux, ivar = spectrum.flux.copy(), spectrum.ivar.copy()
    if kind == "nan_flux":
        flux[1500:1650] = np.nan
    elif kind == "all_nan":
        flux[:] = np.nan
    elif kind == "ivar_zero":
        ivar[:] = 0
    elif kind == "negative_flux":
        flux[400:700] -= 1.2 * np.median(flux[400:700]) + 0.1
    elif kind == "sky_fibre":
        flux = rng.standard_normal(flux.size) / np.sqrt(np.maximum(ivar, 1e-6))
    elif kind in ("short_blue", "short_red"):  # cut at grid index 36532 or 38921
        first = 36532 if kind == "short_blue" else spectrum.first
        use = slice(first - spectrum.first, 38921 - spectrum.first if kind == "short_red" else None)
        return dataclasses.replace(
            spectrum, first=first, **{name: getattr(spectrum, name)[use] for name in COLUMNS}
        )
    return dataclasses.replace(spectrum, flux=flux, ivar=ivar)


def spoil_header(kind: str) -> dict:
    """Values of SPECOBJ that a defect changes."""
    return {
        "zwarning": {"ZWARNING": 4},
        "bad_plate": {"PLATEQUALITY": b"bad"},
        "not_primary": {"SPECPRIMARY": 0},
        "qso": {"CLASS": b"QSO"},
        "sky_fibre": {"ZWARNING": 5, "SOURCETYPE": b"SKY", "TARGETTYPE": b"SKY"},
    }.get(kind, {})


def spoil_file(content: bytes, kind: str) -> bytes | None:
    """What is written instead of a file's `content`; None: no file."""
    if kind == "no_file":
        return None
    if kind == "truncated":
        return content[: len(content) // 3]
    if kind == "not_fits":
        return _BUSY
    return content


def spoil_image(cube: np.ndarray, kind: str) -> np.ndarray:
    """A cube (band, y, x) with the defect `kind`."""
    cube = cube.copy()
    if kind == "nan_image":
        cube[:, 20:30, 20:30] = np.nan
    elif kind == "blank_band":
        cube[0] = 0
    return cube
