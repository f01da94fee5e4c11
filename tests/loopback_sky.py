"""A small sky made in a second without any template library, and settings for the loopback SDSS that serves it."""

import io
from pathlib import Path

import numpy as np

from loopback import survey
from sanspec import config
from sanspec.database.query import BINNED1, CR, INTERP_CENTER, NAMES
from sanspec.mock import speclite
from sanspec.mock.spectrum import Spectrum
from sanspec.survey import cubes, cutouts, sdss

COUNT = 60
PLATES = (266, 267, 751)
PIXELS = 3840


def identity(number: int) -> dict[str, int]:
    """Ids of galaxy `number`."""
    plate = PLATES[number % len(PLATES)] + 10 * (number // 600)
    ids = {"plate": plate, "mjd": 51602 + plate % 100, "fiberid": 1 + 7 * number % 640}
    objid = (1 << 60) | (301 << 48) | (756 << 32) | (3 << 29) | (100 << 16) | (number + 1)
    return ids | {"specobjid": int(sdss.pack(*ids.values(), 26)), "objid": objid}


def image(number: int) -> np.ndarray:
    """A lopsided galaxy with a neighbour (y, x, band), well above the noise [nanomaggies]."""
    rng = np.random.default_rng([7, number])
    y, x = np.indices((cubes.SIDE, cubes.SIDE)) - (cubes.SIDE - 1) / 2
    angle = np.pi * rng.random()
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    disk = np.exp(-0.5 * ((along / 5.0) ** 2 + (across / 2.5) ** 2))
    other = 0.6 * np.exp(-0.5 * ((x - 11) ** 2 + (y - 5) ** 2) / 2.0**2)
    flux = np.array([0.5, 2.0, 4.0, 5.5, 7.0]) * rng.uniform(0.5, 1.5, 5) * rng.uniform(0.6, 3)
    noise = rng.normal(0, 0.01, (cubes.SIDE, cubes.SIDE, 5))
    return ((disk + other)[..., None] * flux / 10 + noise).astype(np.float32)


def row(number: int, cube: np.ndarray) -> dict:
    """A catalogue row: every column of the query."""
    rng, ids = np.random.default_rng([8, number]), identity(number)
    fibre = [float(cutouts.fibre_magnitude(cube[None, ..., band])[0]) for band in range(5)]
    flags = BINNED1 | (INTERP_CENTER if number % 10 == 3 else 0) | (CR if number % 20 == 3 else 0)
    values = dict.fromkeys(NAMES, "1.5")
    values |= {f"petroRad_{band}": f"{rng.uniform(2, 9):.7g}" for band in cubes.BANDS}
    values |= {f"fiberMag_{band}": f"{mag:.7g}" for band, mag in zip(cubes.BANDS, fibre)}
    values |= {
        "specObjID": ids["specobjid"], "objID": ids["objid"], "bestObjID": ids["objid"],
        "plate": ids["plate"], "mjd": ids["mjd"], "fiberID": ids["fiberid"], "run2d": "26",
        "ra": f"{150 + 0.05 * number:.6f}", "dec": f"{2 + 0.01 * number:.6f}",
        "firstrelease": "dr7", "programname": "legacy", "instrument": "SDSS", "class": "GALAXY",
        "subClass": "", "z": f"{0.055 + 0.0015 * (number % 60):.7g}", "zerr": "1.3E-05", "zWarning": "0",
        "flags_r": flags, "psfMagErr_r": "0.02", "snMedian_r": f"{rng.uniform(8, 30):.7g}",
        "spiral": "0", "elliptical": "1", "uncertain": "0",
    }  # fmt: skip
    return {name: str(values[name]) for name in NAMES}


def spectrum(number: int) -> bytes:
    """A spec-lite file."""
    rng, ids = np.random.default_rng([9, number]), identity(number)
    flux = 10 + rng.normal(0, 1, PIXELS)
    zeros, ones = np.zeros(PIXELS, np.int32), np.ones(PIXELS)
    pixels = Spectrum(35800, flux, ones, zeros, zeros, ones, 0 * ones, 0 * flux + 10)
    about = np.zeros(1, speclite.SPECOBJ)
    z = 0.055 + 0.0015 * (number % 60)
    values = {
        "INSTRUMENT": b"SDSS", "PLATEQUALITY": b"good", "SPECPRIMARY": 1, "RUN2D": b"26", "CLASS": b"GALAXY",
        "SPECOBJID": f"{ids['specobjid']:>22d}".encode(), "BESTOBJID": str(ids["objid"]).encode(),
        "PLATE": ids["plate"], "MJD": ids["mjd"], "FIBERID": ids["fiberid"], "Z": z, "Z_ERR": 1e-5,
        "PLUG_RA": 150 + 0.05 * number, "PLUG_DEC": 2 + 0.01 * number,
    }  # fmt: skip
    for name, value in values.items():
        about[name] = value
    lines = np.zeros(29, speclite.SPZLINE)
    header = {"PLATEID": ids["plate"], "MJD": ids["mjd"], "FIBERID": ids["fiberid"]}
    return speclite.pack(pixels, header, about, lines)


def make(folder: Path, count: int = COUNT) -> Path:
    """catalogue.csv, sdss.npz and spectra/ of a sky of `count` galaxies."""
    images = np.array([image(number) for number in range(count)])
    rows = [row(number, images[number]) for number in range(count)]
    folder.mkdir(parents=True, exist_ok=True)
    text = [",".join(NAMES), *(",".join(one.values()) for one in rows)]
    (folder / "catalogue.csv").write_text("\n".join(text) + "\n")
    labels = np.zeros(
        count, [("specObjID", "<i8"), ("objID", "<i8"), ("z", "<f4"), ("ra", "<f8"), ("dec", "<f8")]
    )
    for number, one in enumerate(rows):
        labels[number] = (
            int(one["specObjID"]),
            int(one["objID"]),
            float(one["z"]),
            float(one["ra"]),
            float(one["dec"]),
        )
        ids = identity(number)
        path = folder / "spectra" / sdss.file_name(ids["plate"], ids["mjd"], ids["fiberid"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(spectrum(number))
    np.savez(folder / "sdss.npz", cube=images, labels=labels)
    return folder


# --------------------------------------------------------------------------------------------------- settings

HTTP = {"rate": 5000.0, "backoff": 0.01, "read_timeout": 10.0}
SECRET = "correct-horse-battery"  # long enough to be looked for in logs
USERS = {"demo": SECRET, "1234567": SECRET}


def settings(base: str, folder: Path, **changes) -> config.Config:
    """Settings with every address at `base` and every file in `folder`, and with short waits."""
    http = HTTP | changes.pop("http", {})
    own = {
        "services": survey.services(base) | changes.pop("services", {}), "http": http, "poll": 0.01,
        "query_interval": 0.001, "store": str(folder / "store"),
        "database": f"sqlite:///{folder}/survey.db",
    }  # fmt: skip
    return config.validate({"acquire": own | changes})


def write_settings(path: Path, base: str, **changes) -> Path:
    """The same settings, written to a file."""
    path.write_text(config.dump(settings(base, path.parent, **changes)))
    return path


def patience(kind: str) -> dict:
    """`acquire.http` for a fault of that kind, with a short timeout where the server sends nothing."""
    return {"read_timeout": 0.4} if kind.startswith("hang") else {}


def lines(text: str) -> io.StringIO:
    """Text as the lines of an answer."""
    return io.StringIO(text, newline="")
