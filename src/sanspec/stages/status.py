"""Tell what of the survey is here, what is missing or failed, and why."""

import argparse
import logging
from pathlib import Path

from sqlalchemy import Engine

from sanspec import config, options
from sanspec.archive import place
from sanspec.archive.sas import Wanted
from sanspec.archive.transfer import progress
from sanspec.database import catalogue, manifest
from sanspec.survey import packed, sdss

log = logging.getLogger(__name__)

SIZE = 172_800  # bytes of a spec-lite file


FILES = options.files("config")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument(
        "--list", choices=("pending", "missing", "failed"), help="print these objects, one a line"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare every file with its checksum; what differs is fetched anew",
    )


def run(args: argparse.Namespace) -> str:
    """The report, or a list of objects."""
    settings = config.load(args.config).acquire
    if not catalogue.exists(settings.database):
        return f"nothing has been fetched yet: no {settings.database}"
    with catalogue.database(settings.database) as engine:
        if args.list:
            return "\n".join(listed(engine, args.list))
        lines = summary(engine, settings)
        if args.verify:
            with place.claimed(settings.store):
                lines.append(verify(engine, settings.store / "spectra"))
        return "\n".join(lines)


def summary(engine: Engine, settings: config.Acquire) -> list[str]:
    """Counts, reasons and jobs, in words."""
    counts = manifest.count_downloads(engine)
    total, galaxies = sum(counts.values()), catalogue.count_catalogue(engine)
    cubes = [
        path for path in (settings.cubes, settings.store / "sdss.npz") if path is not None and path.exists()
    ]
    size = f"{cubes[0]} ({cubes[0].stat().st_size / 1e9:.2f} GB)" if cubes else "not here"
    part = settings.store / "sdss.npz.part"
    if not cubes and part.exists():
        size = f"{part.stat().st_size / 1e9:.2f} GB have arrived"
    lines = [
        f"cubes      {size}",
        f"catalogue  {galaxies} galaxies" if galaxies else "catalogue  not here: run sanspec query",
        f"spectra    {counts['done']} of {total}, {manifest.sum_bytes(engine) / 1e9:.2f} GB"
        f" ({counts['pending']} pending, {counts['missing']} missing, {counts['failed']} failed);"
        f" {counts['pending'] * SIZE / 1e9:.2f} GB to come",
    ]
    lines += [f"           {count:7d}  {reason}" for reason, count in manifest.count_reasons(engine).items()]
    for job in manifest.read_jobs(engine):
        lines.append(
            f"job        {job['mytable']} {job['state']} (id {job['remote']}) {job['message']}".rstrip()
        )
    return lines


def listed(engine: Engine, state: str):
    """specobjid, plate-mjd-fiber and reason of the objects in a state."""
    for block in manifest.read_downloads(engine, (state,)):
        for row in block:
            ids = {name: int(value) for name, value in sdss.unpack(row.specobjid).items()}
            yield f"{row.specobjid} {ids['plate']:04d}-{ids['mjd']}-{ids['fiberid']:04d} {row.reason}"


def verify(engine: Engine, folder: Path) -> str:
    """Compare files with the manifest; those that differ or are gone become pending."""
    counts = manifest.count_downloads(engine)
    wrong: list[manifest.Outcome] = []
    with progress(counts["done"], "verifying") as bar:
        for block in manifest.read_checksums(engine):
            for row in block:
                path = folder / Wanted(row.row, row.specobjid, 0).file
                if packed.digest(path) != row.sha256:
                    path.unlink(missing_ok=True)
                    wrong.append(manifest.Outcome(row.row, "pending", reason="was damaged or gone"))
                bar.update()
    manifest.record_downloads(engine, wrong)
    return f"verified   {counts['done'] - len(wrong)} files as they arrived, {len(wrong)} to be fetched anew"
