"""What the loopback SDSS serves: a simulated survey's files, and its catalogue as the tables of SkyServer."""

import csv
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from loopback import fields
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
_FLAGGED = 37  # every so many objects carry BAD_COUNTS_ERROR, so that the two forms of the query differ
_DEFAULTS = {"psfMagErr_r": "0.02", "class": "GALAXY"}


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


def build_database(sky: Sky, path: Path) -> None:
    """SkyServer's tables of a sky as an SQLite file at `path`."""
    connection = sqlite3.connect(path)
    with connection:
        _make_tables(connection)
        for number, row in enumerate(sky.rows()):
            _insert(connection, _completed(row, number))
        for folder in sky.more:
            for about in _abouts(folder):
                _insert(connection, about)
    connection.close()


def columns_of(alias: str) -> list[tuple[str, str]]:
    """Name and type of the columns of the table that the query calls `alias`, as far as it knows them."""
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


def _make_tables(connection: sqlite3.Connection) -> None:
    """Empty tables, and the views under which they are known too."""
    for alias, table in TABLES.items():
        columns = columns_of(alias)
        text = ", ".join(f"{name} {kind}" for name, kind in columns)
        key = "objID" if alias == "P" else "specObjID"
        connection.execute(f"CREATE TABLE {table} ({text}, PRIMARY KEY ({key}))")
    connection.execute("CREATE VIEW SpecObj AS SELECT * FROM SpecObjAll WHERE sciencePrimary = 1")
    connection.execute("CREATE VIEW PhotoObj AS SELECT * FROM PhotoObjAll WHERE mode IN (1, 2)")


def _insert(connection: sqlite3.Connection, row: dict[str, str]) -> None:
    """One galaxy into every table; a second row of the same id is dropped, as in the archive."""
    for alias, table in TABLES.items():
        names = {column.sql: column.name for column in COLUMNS}
        values = [
            _typed(row.get(names.get(f"{alias}.{name}", name)), kind) for name, kind in columns_of(alias)
        ]
        if values[0] in (None, ""):
            continue
        marks = ", ".join("?" * len(values))
        connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", values)


def _typed(text: str | None, kind: str):
    """A value of a column: SQLite's own reading of numbers is not exact in the last bit."""
    if text in (None, "", "null"):
        return "" if kind == "TEXT" else None
    return {"INTEGER": int, "REAL": float, "TEXT": str}[kind](text)


def _completed(row: dict[str, str], number: int) -> dict[str, str]:
    """A catalogue row with what SkyServer knows besides."""
    place = dict(zip(("run", "camcol", "field"), map(str, fields.field_of(number))), rerun="301")
    full = _DEFAULTS | {"sciencePrimary": "1", "mode": "1"} | place | row
    if number % _FLAGGED == 5:
        full["flags_r"] = str(int(full["flags_r"]) | BAD_COUNTS_ERROR)
    return full


def _abouts(folder: Path) -> Iterable[dict[str, str]]:
    """SpecObj rows of spectrum files of the user's own."""
    paths = [folder / name for name in specfile.find(folder)["file"]]
    for about, _ in specfile.read_abouts(paths):
        if about is None or about.specobjid >= 1 << 63:
            continue
        yield {
            "specObjID": str(about.specobjid), "bestObjID": str(about.objid), "plate": str(about.plate),
            "mjd": str(about.mjd), "fiberID": str(about.fiberid), "run2d": about.run2d, "ra": str(about.ra),
            "dec": str(about.dec), "z": str(about.z), "zerr": str(about.z_err),
            "zWarning": str(about.zwarning), "class": about.kind, "subClass": about.subclass,
            "instrument": about.instrument, "sciencePrimary": "1",
        }  # fmt: skip
