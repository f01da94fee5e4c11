"""Ask SDSS for the catalogue: Appendix B of Doorenbos et al. 2024, by CasJobs or in slices from SkyServer."""

import argparse
import logging
from pathlib import Path

from sanspec import config, options, store
from sanspec.archive import catalogue as source
from sanspec.archive import cubes, place
from sanspec.archive.session import Session
from sanspec.database import catalogue, query
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)


FILES = options.files("config")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument(
        "--cubes", type=Path, help="cube file whose objects are asked for (acquire.sample: cubes)"
    )
    parser.add_argument("--out", type=Path, help="the catalogue (.csv)")
    parser.add_argument(
        "--report", type=Path, help="counts, and how the two forms of the query differ (.json)"
    )
    parser.add_argument(
        "--show", choices=(*query.FORMS, "either"), help="print this form of the query and end"
    )


def run(args: argparse.Namespace) -> str | None:
    """Ask, keep in the database, write."""
    settings = config.load(args.config).acquire
    if args.show:
        return query.render("spectraGeneration", "MyTable_2", settings.z_min, settings.z_max, args.show)
    if args.out is None or args.report is None:
        raise SanspecError("query: --out and --report are needed, or --show FORM to print the query")
    pairs, columns = listed(args, settings)
    with place.claimed(settings.store), catalogue.database(settings.database) as engine:
        chooser = source.Chooser(settings.form, settings.z_min, settings.z_max)
        with Session(settings.http) as session:
            blocks = chooser.choose(source.rows(session, engine, settings, pairs, columns))
            count = catalogue.replace_catalogue(engine, blocks)
        if count == 0:
            raise SanspecError(
                f"the query has no rows for {settings.z_min} <= z <= {settings.z_max} and "
                f"{len(pairs) or 'all'} objects: check acquire.z_min, acquire.z_max and the cube file"
            )
        with store.atomic(args.out) as temporary:
            source.write_csv(temporary, catalogue.read_catalogue(engine))
        catalogue.write_meta(engine, "catalogue_sha256", store.digest(args.out))
    write_report(args, settings, chooser.report(), count, len(pairs))


def listed(args: argparse.Namespace, settings: config.Acquire):
    """The ids to ask for and their columns; none for every object."""
    if settings.sample == "all":
        return [], ()
    if args.cubes is None:
        raise SanspecError("query: --cubes FILE is needed, or acquire.sample: all")
    return cubes.read_pairs(args.cubes)


def write_report(
    args: argparse.Namespace, settings: config.Acquire, forms: dict, count: int, asked: int
) -> None:
    """The numbers, to a file and the log."""
    meta = store.provenance("query", settings.model_dump(mode="json"))
    numbers = {"rows": count, "asked_for": asked, "service": source.choose(settings), "form": settings.form}
    store.write_json(args.report, numbers | {"forms": forms, "provenance": meta})
    log.info("%d galaxies -> %s", count, args.out)
    log.info(
        "the forms differ: %d only as printed, %d only corrected",
        forms["only_as_printed"],
        forms["only_corrected"],
    )
