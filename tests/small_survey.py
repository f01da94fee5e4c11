"""Some galaxies in the real file formats, written with astropy and numpy alone, for tests of the readers."""

import shutil
from pathlib import Path

import numpy as np
from astropy.io import fits

from sanspec.survey import sdss

FIRST, PIXELS = 35800, 3850  # of the common 1e-4 dex grid
LOGLAM = 1e-4 * np.arange(FIRST, FIRST + PIXELS)
PLATE, MJD, RUN = 751, 52251, 26


def galaxy(seed: int, z: float = 0.1) -> dict[str, np.ndarray]:
    """Columns of a COADD table: a red continuum with two lines, and noise."""
    rng = np.random.default_rng(seed)
    wave = 10**LOGLAM
    flux = 20.0 * (wave / 6500) ** 0.5
    for line, strength in ((5008.2, 15.0), (6564.6, 40.0)):
        flux += strength * np.exp(-0.5 * ((wave - line * (1 + z)) / 2.5) ** 2)
    ivar = np.full(PIXELS, 4.0)
    return {
        "flux": flux + rng.normal(size=PIXELS) / np.sqrt(ivar),
        "loglam": LOGLAM,
        "ivar": ivar,
        "and_mask": np.zeros(PIXELS, np.int32),
        "or_mask": np.zeros(PIXELS, np.int32),
        "wdisp": np.linspace(1.1, 0.75, PIXELS),
        "sky": np.zeros(PIXELS),
        "model": flux,
    }


def about(fiberid: int, z: float = 0.1, **changed) -> dict:
    """Values of a SPECOBJ row."""
    specobjid = int(sdss.pack(PLATE, MJD, fiberid, RUN))
    row = {
        "SURVEY": "sdss",
        "INSTRUMENT": "SDSS",
        "PLATEQUALITY": "good",
        "SPECPRIMARY": 1,
        "SPECOBJID": f"{specobjid:>22}",
        "BESTOBJID": f"{1237650000000000000 + 1000 + fiberid}",
        "RUN2D": str(RUN),
        "SOURCETYPE": "GALAXY",
        "PLATE": PLATE,
        "MJD": MJD,
        "FIBERID": fiberid,
        "PLUG_RA": 150.0 + 0.1 * fiberid,
        "PLUG_DEC": 2.0,
        "CLASS": "GALAXY",
        "SUBCLASS": "",
        "Z": z,
        "Z_ERR": 1e-5,
        "VDISP": 150.0,
        "VDISP_ERR": 10.0,
        "ZWARNING": 0,
        "SN_MEDIAN": [5.0, 15.0, 20.0 + fiberid, 20.0, 10.0],
    }
    return row | changed


_FORMATS = {"SPECPRIMARY": "B", "PLATE": "J", "MJD": "J", "FIBERID": "J", "ZWARNING": "J", "SN_MEDIAN": "5E"}
_FORMATS |= {name: "E" for name in ("Z", "Z_ERR", "VDISP", "VDISP_ERR")} | {"PLUG_RA": "D", "PLUG_DEC": "D"}


def write_spectrum(path: Path, coadd: dict, row: dict) -> Path:
    """A spec-lite file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {name: "J" if name.endswith("mask") else "E" for name in coadd}
    pixels = fits.BinTableHDU.from_columns(
        [fits.Column(name, kinds[name], array=values) for name, values in coadd.items()], name="COADD"
    )
    columns = [
        fits.Column(name, _FORMATS.get(name, f"{max(len(str(value)), 6)}A"), array=[value])
        for name, value in row.items()
    ]
    lines = fits.BinTableHDU.from_columns([fits.Column("LINENAME", "13A", array=["Ha"])], name="SPZLINE")
    hdus = [fits.PrimaryHDU(), pixels, fits.BinTableHDU.from_columns(columns, name="SPECOBJ"), lines]
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


def spectrum_path(folder: Path, fiberid: int) -> Path:
    """Where the survey keeps a spectrum."""
    return folder / "spectra" / sdss.file_name(PLATE, MJD, fiberid)


def write_cubes(path: Path, specobjid, seed: int = 0, compressed: bool = False, **arrays) -> np.ndarray:
    """An .npz file of noise with a bright centre for these ids; the cubes."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(len(specobjid), dtype=[("specObjID", "<u8"), ("z", "<f8")])
    labels["specObjID"] = specobjid
    y, x = np.mgrid[:64, :64] - 31.5
    bright = np.exp(-np.hypot(x, y) / 4)[..., None] * np.array([0.3, 1, 2, 3, 3.5])
    cube = rng.normal(0, 0.02, (len(specobjid), 64, 64, 5)) + bright
    contents = {"cube": cube.astype(np.float32), "labels": labels} | arrays
    (np.savez_compressed if compressed else np.savez)(path, **contents)
    return contents["cube"]


def catalogue_rows(fibers, z: float = 0.1) -> list[dict]:
    """Rows of the query's result."""
    return [
        {
            "specObjID": int(sdss.pack(PLATE, MJD, fiber, RUN)),
            "objID": 1237650000000000000 + 1000 + fiber,
            "ra": 150.0 + 0.1 * fiber,
            "dec": 2.0,
            "z": z,
            "zerr": 1e-5,
            "velDisp": 150.0,
            "velDispErr": 10.0,
            "spiral": int(fiber % 3 == 0),
            "elliptical": int(fiber % 3 == 1),
            "uncertain": int(fiber % 3 == 2),
            "snMedian_r": 20.0 + fiber,
        }
        for fiber in fibers
    ]


def write_catalogue(path: Path, rows: list[dict], head: str = "#Table1\n") -> Path:
    """A CSV body as SkyServer sends it."""
    lines = [",".join(rows[0])] + [",".join(str(value) for value in row.values()) for row in rows]
    path.write_text(head + "\n".join(lines) + "\n")
    return path


def make(folder: Path, fibers=range(1, 31)) -> Path:
    """A whole survey of good galaxies under `folder`, and its settings; the settings' path."""
    for fiber in fibers:
        write_spectrum(spectrum_path(folder, fiber), galaxy(fiber), about(fiber))
    rows = catalogue_rows(fibers)
    write_catalogue(folder / "catalogue.csv", rows)
    write_cubes(folder / "sdss.npz", [row["specObjID"] for row in rows])
    return write_settings(folder)


def copy(survey: Path, folder: Path) -> Path:
    """The survey that `make` wrote, copied under `folder` to be spoilt there; the settings' path."""
    shutil.copytree(survey, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("matched", "prepared"))
    return write_settings(folder)


def write_settings(folder: Path) -> Path:
    """Settings that name the survey under `folder`."""
    settings = folder / "config.yaml"
    settings.write_text(
        f"survey:\n  cubes: {folder}/sdss.npz\n  catalogue: {folder}/catalogue.csv\n"
        f"  spectra: {folder}/spectra\n"
        "prepare: {test: 0.2, valid: 0.1}\n"
    )
    return settings
