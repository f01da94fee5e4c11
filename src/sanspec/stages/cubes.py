"""Get the cube file: a local one is checked and linked, a remote one fetched, resumed where a transfer broke off."""

import argparse
import logging

from sanspec import config, options, store
from sanspec.archive import cubes, place
from sanspec.archive.session import Session
from sanspec.archive.transfer import progress

log = logging.getLogger(__name__)


FILES = options.files(
    "config", out="the cube file (a link)", report="size, checksum, number of cubes (.json)"
)


def run(args: argparse.Namespace) -> None:
    """Get, check, link and report the file."""
    settings = config.load(args.config).acquire
    with place.claimed(settings.store), Session(settings.http) as session:
        with progress(0, "cubes", "B") as bar:
            bar.unit_scale = True
            path, numbers = cubes.obtain(session, settings, lambda count: bar.update(count - bar.n))
        place.link(args.out, path)
    meta = store.provenance("cubes", settings.model_dump(mode="json"))
    store.write_json(args.report, numbers | {"provenance": meta})
    log.info("%d cubes, %.2f GB, sha256 %s", numbers["cubes"], numbers["bytes"] / 1e9, numbers["sha256"])
    verdict = "agrees with" if numbers["compared"] else "was not compared: there is no"
    log.info("the checksum %s acquire.cubes_sha256", verdict)
