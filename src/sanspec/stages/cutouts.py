"""Image cubes of SDSS galaxies of your own choice, cut from the survey's frames; JPEGs on request."""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from sanspec import config, options, store
from sanspec.archive import cubes, jpeg
from sanspec.archive.frames import Frames, Place, locate
from sanspec.archive.session import Refused, Session
from sanspec.archive.skyserver import SkyServer
from sanspec.archive.transfer import progress
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)

LABELS = np.dtype(
    [("specObjID", "<u8"), ("objID", "<u8"), ("ra", "<f8"), ("dec", "<f8"), ("coverage", "<f4")]
)


FILES = options.files(
    "config", out="cubes in the layout of sdss.npz", table="what came of each object (.ecsv)"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument(
        "--objects",
        type=Path,
        required=True,
        help="table with objID, or ra and dec [deg]; specObjID if known (.csv)",
    )
    parser.add_argument("--jpeg", type=Path, help="folder for 64 x 64 JPEG cutouts, <objID>.jpeg")


def run(args: argparse.Namespace) -> None:
    """Locate, cut, write."""
    settings = config.load(args.config).acquire
    objects = read_objects(args.objects)
    with Session(settings.http) as session:
        places = [found for found in located(session, settings, objects)]
        labels = np.array(
            [(row.specobjid, p.objid, p.ra, p.dec, 0) for row, p in zip(objects.itertuples(), places) if p],
            LABELS,
        )
        covered = write_cubes(args.out, session, settings, [place for place in places if place], labels)
        notes = fetch_jpegs(args.jpeg, session, settings, [place for place in places if place])
    table = objects.assign(found=[place is not None for place in places], coverage=0.0, jpeg="")
    table.loc[table["found"], "coverage"], table.loc[table["found"], "jpeg"] = covered, notes
    units = {"ra": "deg", "dec": "deg"}
    store.write_table(args.table, table, units, store.provenance("cutouts", settings.model_dump(mode="json")))
    whole = int((table["coverage"] == 1).sum())
    log.info(
        "%d objects: %d not found, %d whole -> %s", len(table), int((~table["found"]).sum()), whole, args.out
    )


def read_objects(path: Path) -> pd.DataFrame:
    """specobjid and objid (0: unknown) and position [deg] (NaN: unknown) of each object asked for."""
    try:
        table = pd.read_csv(path, dtype=str, comment="#").rename(columns=lambda name: name.strip().lower())
    except (OSError, ValueError) as fault:
        raise SanspecError(
            f"{path}: not a readable table ({fault}); give a CSV with objID, or ra and dec"
        ) from None
    if not ({"objid"} <= set(table.columns) or {"ra", "dec"} <= set(table.columns)) or not len(table):
        raise SanspecError(f"{path}: no objects; allowed: a CSV with the column objID, or ra and dec [deg]")
    result = pd.DataFrame(index=table.index)
    for name in ("specobjid", "objid"):
        texts = table[name] if name in table else pd.Series("0", index=table.index)
        bad = texts[~texts.fillna("").str.fullmatch("[0-9]{1,20}")]
        if len(bad):
            raise SanspecError(
                f"{path}: {name} {bad.iloc[0]!r} is no whole number: has a spreadsheet rounded it?"
            )
        result[name] = np.array([int(text) for text in texts], dtype=np.uint64)
    for name in ("ra", "dec"):
        result[name] = pd.to_numeric(table[name], errors="coerce") if name in table else np.nan
    return result


def located(session: Session, settings: config.Acquire, objects: pd.DataFrame):
    """The place of each object, None where SDSS knows none there."""
    skyserver = SkyServer(session, settings)
    with progress(len(objects), "locating", "objects") as bar:
        for row in objects.itertuples():
            yield locate(skyserver, row.objid, row.ra, row.dec)
            bar.update()


def write_cubes(
    path: Path, session: Session, settings: config.Acquire, places: list[Place], labels
) -> list[float]:
    """The cubes, one at a time; the fraction of each that frames cover."""
    frames, covered = Frames(session, settings), []
    with progress(len(places), "cutting", "cubes") as bar, cubes.writer(path, labels) as add:
        for place in places:
            cube, coverage = frames.cube(place)
            add(cube)
            covered.append(coverage)
            bar.update()
    return covered


def fetch_jpegs(
    folder: Path | None, session: Session, settings: config.Acquire, places: list[Place]
) -> list[str]:
    """JPEG thumbnails where asked for: the file's name, or why there is none."""
    if folder is None:
        return ["" for _ in places]
    notes = []
    for place in places:
        path = Path(folder) / f"{place.objid}.jpeg"
        try:
            jpeg.fetch(session, settings, place.ra, place.dec, path)
            notes.append(path.name)
        except Refused as fault:
            notes.append(str(fault))
    return notes
