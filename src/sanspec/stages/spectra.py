"""Fetch the spectra of the catalogue's galaxies and record the outcome of each.

A stopped run continues where it was.
"""

import argparse
import logging
import time
from collections import Counter
from pathlib import Path

from sqlalchemy import Engine

from sanspec import config, options, store
from sanspec.archive import answers, place
from sanspec.archive.sas import Sas
from sanspec.archive.session import Session, Transient
from sanspec.archive.sparcl import Sparcl
from sanspec.archive.transfer import Transfer
from sanspec.database import catalogue, manifest
from sanspec.errors import SanspecError
from sanspec.survey import packed

log = logging.getLogger(__name__)

SOURCES = {"sas": Sas, "sparcl": Sparcl}


FILES = options.files(
    "config",
    catalogue="the catalogue (.csv)",
    out="folder of spectra (a link into acquire.store)",
    report="outcomes, reasons, bytes and times (.json)",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument(
        "--again", action="store_true", help="also request again what the archive did not have"
    )


def run(args: argparse.Namespace) -> None:
    """Fetch until every object has arrived or has a reason why not."""
    settings = config.load(args.config).acquire
    folder = settings.store / "spectra"
    with place.claimed(settings.store), catalogue.database(settings.database) as engine:
        take_catalogue(engine, args.catalogue)
        total = manifest.list_downloads(engine)
        states = ("pending", "failed") + (("missing",) if args.again else ())
        begun = time.monotonic()
        with Session(settings.http) as session:
            sources = [SOURCES[name](session, settings) for name in settings.sources]
            try:
                tally = Transfer(engine, session, folder, settings.pack).run(sources, states)
            except KeyboardInterrupt:
                raise SanspecError(
                    "stopped by hand: everything received is kept; run again to go on"
                ) from None
        numbers = account(engine, total, tally, session, time.monotonic() - begun)
        if settings.pack:
            numbers["packed"] = packed.count_folder(folder)
        meta = store.provenance("spectra", settings.model_dump(mode="json"))
        place.link(args.out, folder)
        store.write_json(args.report, numbers | {"provenance": meta})
    complain(numbers, settings)


def take_catalogue(engine: Engine, path: Path) -> None:
    """Read the catalogue in `path` into the database, unless it is there already."""
    try:
        digest = store.digest(path)
    except OSError as fault:
        raise SanspecError(f"catalogue {path}: {fault.strerror}; make it with: sanspec query") from None
    if catalogue.read_meta(engine, "catalogue_sha256") == digest:
        return
    log.info("reading %s into the database", path)
    try:
        with path.open(newline="") as file:
            count = catalogue.replace_catalogue(engine, answers.read(file))
    except Transient as fault:
        raise SanspecError(f"catalogue {path}: {fault}; make it again with: sanspec query") from None
    if not count:
        raise SanspecError(f"catalogue {path} has no rows; make it again with: sanspec query")
    catalogue.write_meta(engine, "catalogue_sha256", digest)


def account(engine: Engine, total: int, tally: Counter, session: Session, seconds: float) -> dict:
    """The outcome of every object, and the traffic that it took."""
    states, reasons = manifest.count_downloads(engine), manifest.count_reasons(engine)
    fresh = tally["done"] - tally["adopted"]
    words = ", ".join(f"{number} {name}" for name, number in states.items() if number)
    log.info("%d spectra: %s; %.0f s, %.1f/s", total, words, seconds, fresh / max(seconds, 1e-3))
    for reason, count in reasons.items():
        log.info("  not here: %-50s %d", reason, count)
    return {
        "objects": total,
        "states": states,
        "reasons": reasons,
        "bytes": manifest.sum_bytes(engine),
        "fetched_now": fresh,
        "taken_over": tally["adopted"],
        "seconds": round(seconds, 2),
        "requests": session.tally["requests"],
        "retries": {key.removeprefix("retry: "): n for key, n in session.tally.items() if key != "requests"},
    }


def complain(numbers: dict, settings: config.Acquire) -> None:
    """Raises SanspecError where no spectrum arrived, or where more failed than the settings tolerate."""
    failed = numbers["states"]["failed"] + numbers["states"]["pending"]
    first = next(iter(numbers["reasons"]), "not tried")
    if not numbers["states"]["done"]:
        raise SanspecError(
            f"none of {numbers['objects']} spectra arrived (most often: {first}): check acquire.services, "
            "then request them again with --again"
        )
    if failed > settings.tolerate_failed * numbers["objects"]:
        raise SanspecError(
            f"{failed} of {numbers['objects']} spectra did not arrive (most often: {first}): run again to "
            "retry them, or raise acquire.tolerate_failed"
        )
