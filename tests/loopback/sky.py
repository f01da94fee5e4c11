"""The data that the loopback SDSS serves: a simulated survey's files, and its catalogue as SkyServer's tables."""

import csv
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sanspec.database.query import BAD_COUNTS_ERROR, COLUMNS
from sanspec.errors import SanspecError
from sanspec.survey import sdss, specfile

TABLES = {
    "S": "SpecObjAll",
    "P": "PhotoObjAll",
    "Z": "zooSpec",
    "M": "stellarMassPassivePort",
    "CD": "stellarMassFSPSGranWideDust",
    "CND": "stellarMassFSPSGranWideNoDust",
}
_TYPES = {"id": "INTEGER", "int": "INTEGER", "real": "REAL", "text": "TEXT"}
_FLAGGED = 37  # one object in so many has BAD_COUNTS_ERROR, so that the two forms of the query differ
_DEFAULTS = {"psfMagErr_r": "0.02", "class": "GALAXY", "sciencePrimary": "1", "mode": "1"}
PER_CAMCOL, PER_RUN = (
    260,
    6 * 260,
)  # galaxies, with three fields of a run each; independent of the simulated objIDs


@dataclass(frozen=True)
class Sky:
    """Folders of a survey: catalogue.csv, sdss.npz and spectra/ in `folder`, further spectra in `more`."""

    folder: Path
    more: tuple[Path, ...] = ()

    @property
    def cubes(self) -> Path:
        """The cube file."""
        return self.folder / "sdss.npz"

    def spectrum(self, plate: int, mjd: int, fiberid: int) -> Path | None:
        """The file of a spectrum; None where there is none."""
        name = sdss.file_name(plate, mjd, fiberid)
        places = [self.folder / "spectra" / name]
        for folder in self.more:
            places += sorted(folder.rglob(Path(name).name))
        return next((place for place in places if place.is_file()), None)

    def rows(self) -> Iterator[dict[str, str]]:
        """The catalogue's rows as text. Raises SanspecError where there is no catalogue."""
        path = self.folder / "catalogue.csv"
        try:
            with path.open(newline="") as file:
                yield from csv.DictReader(file)
        except OSError as fault:
            raise SanspecError(
                f"cannot read {path}: {fault.strerror}; make a sky first: snakemake results/raw/mock/sdss.npz"
            ) from None

    def objects(self) -> Iterator[dict[str, str]]:
        """The catalogue's rows with what SkyServer knows besides, then SpecObj rows of the spectra in `more`."""
        for number, row in enumerate(self.rows()):
            place = dict(zip(("run", "camcol", "field"), map(str, field_of(number))), rerun="301")
            full = _DEFAULTS | place | row
            if number % _FLAGGED == 5:
                full["flags_r"] = str(int(full["flags_r"]) | BAD_COUNTS_ERROR)
            yield full
        paths = [folder / name for folder in self.more for name in specfile.find(folder)["file"]]
        for about, _ in specfile.read_abouts(paths):
            if about is None or about.specobjid >= 1 << 63:
                continue
            yield {
                "specObjID": str(about.specobjid), "bestObjID": str(about.objid), "plate": str(about.plate),
                "mjd": str(about.mjd), "fiberID": str(about.fiberid), "run2d": about.run2d,
                "ra": str(about.ra), "dec": str(about.dec), "z": str(about.z), "zerr": str(about.z_err),
                "zWarning": str(about.zwarning), "class": about.kind, "subClass": about.subclass,
                "instrument": about.instrument, "sciencePrimary": "1",
            }  # fmt: skip


def field_of(number: int) -> tuple[int, int, int]:
    """run, camcol, field of galaxy `number`; the fields before and after belong to it too."""
    return 94 + number // PER_RUN, number // PER_CAMCOL % 6 + 1, 12 + 3 * (number % PER_CAMCOL)


def number_of(run: int, camcol: int, field: int) -> tuple[int, int]:
    """Galaxy of a field, and the field's step from that galaxy's own (-1, 0, 1)."""
    place, step = divmod(field - 11, 3)
    return (run - 94) * PER_RUN + (camcol - 1) * PER_CAMCOL + place, step - 1


def build_database(sky: Sky, path: Path) -> None:
    """Write SkyServer's tables of a sky to an SQLite file, with the views that SkyServer has on them."""
    names = {column.sql: column.name for column in COLUMNS}
    connection = sqlite3.connect(path)
    with connection:
        for alias, table in TABLES.items():
            text = ", ".join(f"{name} {kind}" for name, kind in columns_of(alias))
            key = "objID" if alias == "P" else "specObjID"
            connection.execute(f"CREATE TABLE {table} ({text}, PRIMARY KEY ({key}))")
        connection.execute("CREATE VIEW SpecObj AS SELECT * FROM SpecObjAll WHERE sciencePrimary = 1")
        connection.execute("CREATE VIEW PhotoObj AS SELECT * FROM PhotoObjAll WHERE mode IN (1, 2)")
        for row in sky.objects():
            for alias, table in TABLES.items():
                values = [
                    _typed(row.get(names.get(f"{alias}.{name}", name)), kind)
                    for name, kind in columns_of(alias)
                ]
                if values[0] not in (None, ""):  # a second row of the same id is dropped, as in the archive
                    marks = ", ".join("?" * len(values))
                    connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", values)
    connection.close()


@cache
def columns_of(alias: str) -> list[tuple[str, str]]:
    """Name and type of the columns that the query uses of the table with this alias."""
    found = {
        column.sql.split(".")[1]: _TYPES[column.kind]
        for column in COLUMNS
        if column.sql.startswith(f"{alias}.")
    }
    more = {
        "S": {"ra": "REAL", "dec": "REAL", "sciencePrimary": "INTEGER"},
        "P": dict.fromkeys(("mode", "run", "rerun", "camcol", "field"), "INTEGER"),
    }
    key = {} if alias == "P" else {"specObjID": "INTEGER"}
    return list((key | found | more.get(alias, {})).items())


def _typed(text: str | None, kind: str) -> int | float | str | None:
    """A value of a column, converted here because SQLite's own conversion is not exact in the last bit."""
    if text in (None, "", "null"):
        return "" if kind == "TEXT" else None
    return {"INTEGER": int, "REAL": float, "TEXT": str}[kind](text)
