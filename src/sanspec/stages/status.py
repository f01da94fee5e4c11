"""Report which parts of the survey are here, which are missing or failed, and why."""

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Engine

from sanspec import config, options
from sanspec.archive import cubes, place
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
        "--list", choices=("pending", "missing", "failed"), help="print these objects, one per line"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare every file with its checksum; the next run fetches those that differ again",
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
    """Lines on the cube file, the catalogue, the spectra and the jobs."""
    counts, galaxies = manifest.count_downloads(engine), catalogue.count_catalogue(engine)
    fetched = settings.store / cubes.NAME
    size, part = "not here", fetched.with_name(f"{cubes.NAME}.part")
    if part.exists():
        size = f"{part.stat().st_size / 1e9:.2f} GB have arrived"
    for path in (fetched, settings.cubes):
        if path is not None and path.exists():
            size = f"{path} ({path.stat().st_size / 1e9:.2f} GB)"
    lines = [
        f"cubes      {size}",
        f"catalogue  {galaxies} galaxies" if galaxies else "catalogue  not here: run sanspec query",
        f"spectra    {counts['done']} of {sum(counts.values())}, {manifest.sum_bytes(engine) / 1e9:.2f} GB"
        f" ({counts['pending']} pending, {counts['missing']} missing, {counts['failed']} failed);"
        f" {counts['pending'] * SIZE / 1e9:.2f} GB to come",
    ]
    lines += [f"           {count:7d}  {reason}" for reason, count in manifest.count_reasons(engine).items()]
    for job in manifest.read_jobs(engine):
        lines.append(
            f"job        {job['mytable']} {job['state']} (id {job['remote']}) {job['message']}".rstrip()
        )
    return lines


def listed(engine: Engine, state: str) -> Iterator[str]:
    """specobjid, plate-mjd-fiber and reason of each object in a state."""
    for block in manifest.read_downloads(engine, (state,)):
        for row in block:
            ids = {name: int(value) for name, value in sdss.unpack(row.specobjid).items()}
            yield f"{row.specobjid} {ids['plate']:04d}-{ids['mjd']}-{ids['fiberid']:04d} {row.reason}"


def verify(engine: Engine, folder: Path) -> str:
    """Compare the files with their recorded checksums; those that differ or are gone become pending."""
    counts = manifest.count_downloads(engine)
    wrong: list[manifest.Outcome] = []
    with progress(counts["done"], "verifying") as bar:
        for block in manifest.read_downloads(engine, ("done",)):
            for row in block:
                path = folder / Wanted(row.row, row.specobjid, 0).file
                if packed.digest(path) != row.sha256:
                    path.unlink(missing_ok=True)
                    wrong.append(manifest.Outcome(row.row, "pending", reason="was damaged or gone"))
                bar.update()
    manifest.record_downloads(engine, wrong)
    return f"verified   {counts['done'] - len(wrong)} files as they arrived, {len(wrong)} to be fetched anew"
