"""Test the assumptions about the cube file: nanomaggies, bands ugriz, north up; each with a number."""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from sanspec import config, options, store
from sanspec.archive.frames import Frames, locate
from sanspec.archive.session import Session
from sanspec.archive.skyserver import SkyServer
from sanspec.errors import SanspecError
from sanspec.survey import csvfile, cubes, inspection
from sanspec.survey.cubes import BANDS

log = logging.getLogger(__name__)

CUBES = 300  # spread over the file, compared with fiberMag
FRAMES = 4  # galaxies compared with SDSS frames, each of which is a download


FILES = options.files(
    "config",
    cubes="the cube file (.npz)",
    catalogue="the catalogue (.csv)",
    out="the numbers, and which assumptions hold (.json)",
)


def run(args: argparse.Namespace) -> None:
    """Compare the cubes with catalogue and frames. Raises SanspecError where bands, units or centres differ."""
    settings = config.load(args.config).acquire
    table = csvfile.read_catalogue(args.catalogue)
    rows, known = inspection.sample(cubes.read_ids(args.cubes), table, CUBES)
    if not len(rows):
        raise SanspecError(f"no object of {args.cubes} is in {args.catalogue}: are they of one survey?")
    images = inspection.read_sample(args.cubes, rows)
    numbers = inspection.compare_apertures(images, known) | inspection.compare_centres(images)
    numbers |= inspection.compare_orientation(*framed(settings, images, known))
    meta = store.provenance("inspect", settings.model_dump(mode="json"))
    store.write_json(args.out, numbers | {"provenance": meta})
    report(numbers, args.cubes)


def framed(settings: config.Acquire, images: np.ndarray, known: pd.DataFrame) -> tuple[list, list]:
    """r-band images of the brightest galaxies, from the cube file and cut from frames."""
    own, references = [], []
    order = np.argsort(known["fibermag_r"].to_numpy())
    with Session(settings.http) as session:
        skyserver, frames = SkyServer(session, settings), Frames(session, settings)
        for at in order[:FRAMES]:
            objid, ra, dec = (known[name].to_numpy()[at].item() for name in ("objid", "ra", "dec"))
            place = locate(skyserver, objid, ra, dec)
            if place is None:
                continue
            own.append(images[at, :, :, BANDS.index("r")])
            references.append(frames.plane(place, "r"))
    return own, references


def report(numbers: dict, path: Path) -> None:
    """Log the numbers. Raises SanspecError where bands, units or centres differ; another orientation is a warning."""
    log.info("aperture minus fiberMag [mag]: %s", numbers["offset"])
    log.info("the planes are the bands %s (cost %.3f)", numbers["order"], numbers["order_cost"])
    log.info("the light's centroid is %.2f pixels from the image centre", numbers["centroid"])
    log.info("against %d frames: %s", numbers["galaxies_framed"], numbers["orientation"] or "not compared")
    faults = {
        "holds_order": f"its planes are the bands {numbers['order']}, not {BANDS}",
        "holds_units": f"its fluxes are not nanomaggies: {numbers['offset']} mag off fiberMag",
        "holds_centre": f"its galaxies are {numbers['centroid']} pixels off centre",
    }
    wrong = [text for key, text in faults.items() if not numbers[key]]
    if wrong:
        raise SanspecError(f"cube file {path}: {'; '.join(wrong)}: reorder or rescale it, or fetch another")
    if not numbers["holds_orientation"]:
        log.warning("the cubes are not north up, east left: they are %s", numbers["orientation"])
