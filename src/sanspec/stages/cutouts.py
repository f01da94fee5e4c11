"""Cut image cubes of SDSS galaxies of your choice from the survey's frames; JPEGs on request."""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from sanspec import config, options, store
from sanspec.archive import cubes
from sanspec.archive.frames import Frames, Place, fetch_jpeg, locate
from sanspec.archive.session import Refused, Session
from sanspec.archive.skyserver import SkyServer
from sanspec.archive.transfer import progress
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)

LABELS = np.dtype(
    [("specObjID", "<u8"), ("objID", "<u8"), ("ra", "<f8"), ("dec", "<f8"), ("coverage", "<f4")]
)


FILES = options.files(
    "config",
    objects="table with objID, or ra and dec [deg]; specObjID if known (.csv)",
    out="cubes in the layout of sdss.npz",
    table="the outcome for each object (.ecsv)",
)
OPTIONAL = options.files(jpeg="folder for 64 x 64 JPEG cutouts, <objID>.jpeg")


def run(args: argparse.Namespace) -> None:
    """Locate the objects, cut their cubes, fetch their JPEGs, and record what came of each."""
    settings = config.load(args.config).acquire
    objects, places = read_objects(args.objects), []
    with Session(settings.http) as session:
        skyserver = SkyServer(session, settings)
        with progress(len(objects), "locating", "objects") as bar:
            for row in objects.itertuples():
                places.append(locate(skyserver, row.objid, row.ra, row.dec))
                bar.update()
        found = [place for place in places if place]
        ids = [row.specobjid for row, place in zip(objects.itertuples(), places) if place]
        labels = np.array([(key, p.objid, p.ra, p.dec, 0) for key, p in zip(ids, found)], LABELS)
        covered = write_cubes(args.out, Frames(session, settings), found, labels)
        notes = fetch_jpegs(args.jpeg, session, settings, found)
    table = objects.assign(found=[place is not None for place in places], coverage=0.0, jpeg="")
    table.loc[table["found"], "coverage"], table.loc[table["found"], "jpeg"] = covered, notes
    units = {"ra": "deg", "dec": "deg"}
    store.write_table(args.table, table, units, store.provenance("cutouts", settings.model_dump(mode="json")))
    lost, whole = int((~table["found"]).sum()), int((table["coverage"] == 1).sum())
    log.info("%d objects: %d not found, %d complete -> %s", len(table), lost, whole, args.out)


def read_objects(path: Path) -> pd.DataFrame:
    """specobjid and objid (0: unknown) and position [deg] (NaN: unknown) of each requested object."""
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
                f"{path}: {name} {bad.iloc[0]!r} is not a whole number: has a spreadsheet rounded it?"
            )
        result[name] = np.array([int(text) for text in texts], dtype=np.uint64)
    for name in ("ra", "dec"):
        result[name] = pd.to_numeric(table[name], errors="coerce") if name in table else np.nan
    return result


def write_cubes(path: Path, frames: Frames, places: list[Place], labels: np.ndarray) -> list[float]:
    """Write the cubes one by one; the fraction of each that frames cover."""
    covered = []
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
    """The name of each object's JPEG in `folder`, or why there is none; empty without a folder."""
    notes = []
    for place in places:
        note = "" if folder is None else f"{place.objid}.jpeg"
        try:
            if note:
                fetch_jpeg(session, settings, place.ra, place.dec, folder / note)
        except Refused as fault:
            note = str(fault)
        notes.append(note)
    return notes
