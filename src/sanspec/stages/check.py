"""Test the physical truths that the products of a run must obey; fail when one does not hold."""

import argparse
import logging
from pathlib import Path

from sanspec import config, options, store
from sanspec.errors import SanspecError
from sanspec.nets import source
from sanspec.scores import evidence, truths

log = logging.getLogger(__name__)

FILES = options.files(
    "config quality redshifts indices objects predicted spectra",
    summary="summary.json",
    out="check.json to write, whether the truths hold or not",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("--run", default="main", help="name of the run, for the record")
    text = "records of trained networks (.json)"
    parser.add_argument("--networks", type=Path, nargs="*", default=[], metavar="FILE", help=text)


def run(args: argparse.Namespace) -> None:
    """Examine every truth, write them all, and raise SanspecError naming those that do not hold."""
    settings = config.load(args.config)
    found = truths.examine(read(args, settings), settings)
    for truth in found:
        verdict = "holds" if truth.holds else "BROKEN"
        log.info("%-24s %-6s %.4g %s %g", truth.name, verdict, truth.value, truth.relation, truth.threshold)
    broken = [truth.name for truth in found if not truth.holds]
    stale = other_source(args.networks)
    if stale:
        log.warning(
            "trained by other code than is here now, so a training anew may differ: %s", ", ".join(stale)
        )
    header = {
        "run": args.run,
        "survey": settings.survey.name,
        "simulated": settings.survey.simulated,
        "provenance": store.provenance("check", settings.check.model_dump(mode="json")),
    }
    store.write_json(
        args.out,
        header | {"broken": broken, "other_source": stale, "truths": [truth.record() for truth in found]},
    )
    if broken:
        raise SanspecError(
            f"run {args.run!r} breaks {len(broken)} of {len(found)} truths: {truths.broken(found)}"
        )


def other_source(records: list[Path]) -> list[str]:
    """Networks whose recorded digest of the training code is not that of the code here."""
    known = source.digest()
    networks = map(store.read_json, records)
    return [record["network"] for record in networks if record["source"] != known]


def read(args: argparse.Namespace, settings: config.Config) -> truths.Products:
    """The products, and the facts of their spectra."""
    predicted, spread = evidence.of_predicted(args.predicted, args.spectra)
    tables = {
        name: store.read_table(getattr(args, name)) for name in ("quality", "redshifts", "indices", "objects")
    }
    return truths.Products(
        summary=store.read_json(args.summary),
        spectra=evidence.of_spectra(args.spectra, settings.prepare),
        predicted=predicted,
        spread=spread,
        **tables,
    )
