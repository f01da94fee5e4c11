"""Test what the cube file is taken to be: nanomaggies, bands ugriz, north up; each with a number."""

import argparse
import logging
from pathlib import Path

import numpy as np

from sanspec import config, options, store
from sanspec.archive.frames import Frames, locate
from sanspec.archive.session import Session
from sanspec.archive.skyserver import SkyServer
from sanspec.errors import SanspecError
from sanspec.survey import csvfile, cubes, inspection
from sanspec.survey.cubes import BANDS

log = logging.getLogger(__name__)


FILES = options.files(
    "config",
    cubes="the cube file (.npz)",
    catalogue="the query's result (.csv)",
    out="the numbers and what holds (.json)",
)


def run(args: argparse.Namespace) -> None:
    """Inspect, write, and refuse a file whose bands or units are others."""
    settings = config.load(args.config).acquire
    table = csvfile.read_catalogue(args.catalogue)
    rows, known = inspection.sample(cubes.read_ids(args.cubes), table, settings.inspect_cubes)
    if not len(rows):
        raise SanspecError(f"no object of {args.cubes} is in {args.catalogue}: are they of one survey?")
    images = inspection.read_sample(args.cubes, rows)
    numbers = inspection.compare_apertures(images, known) | inspection.compare_centres(images)
    numbers |= inspection.compare_orientation(*framed(settings, images, known))
    meta = store.provenance("inspect", settings.model_dump(mode="json"))
    store.write_json(args.out, numbers | {"provenance": meta})
    tell(numbers)
    complain(numbers, args.cubes)


def framed(settings: config.Acquire, images: np.ndarray, known) -> tuple[list, list]:
    """r images of a few galaxies, the brightest, and the same cut from frames."""
    own, references = [], []
    order = np.argsort(known["fibermag_r"].to_numpy())
    with Session(settings.http) as session:
        skyserver, frames = SkyServer(session, settings), Frames(session, settings)
        for at in order[: settings.inspect_frames]:
            objid, ra, dec = (known[name].to_numpy()[at].item() for name in ("objid", "ra", "dec"))
            place = locate(skyserver, objid, ra, dec)
            if place is None:
                continue
            own.append(images[at, :, :, BANDS.index("r")])
            references.append(frames.plane(place, "r"))
    return own, references


def tell(numbers: dict) -> None:
    """The numbers in the log."""
    log.info("aperture minus fiberMag [mag]: %s", numbers["offset"])
    log.info("planes hold the bands %s (cost %.3f)", numbers["order"], numbers["order_cost"])
    log.info("light centroid %.2f pixels from the middle", numbers["centroid"])
    log.info("against %d frames: %s", numbers["galaxies_framed"], numbers["orientation"] or "not compared")


def complain(numbers: dict, path: Path) -> None:
    """Raises SanspecError where bands, units or centre are not those taken; an orientation is only told."""
    faults = {
        "holds_order": f"its planes hold the bands {numbers['order']}, not {BANDS}",
        "holds_units": f"its fluxes are not nanomaggies: {numbers['offset']} mag off fiberMag",
        "holds_centre": f"its galaxies stand {numbers['centroid']} pixels off the middle",
    }
    wrong = [text for key, text in faults.items() if not numbers[key]]
    if wrong:
        raise SanspecError(f"cube file {path}: {'; '.join(wrong)}: reorder or rescale it, or fetch another")
    if not numbers["holds_orientation"]:
        log.warning("the cubes are not north up, east left: they are %s", numbers["orientation"])
