"""Fetch the catalogue from SDSS: Appendix B of Doorenbos et al. 2024, by CasJobs or in slices from SkyServer."""

import argparse
import logging

from sanspec import config, options, store
from sanspec.archive import catalogue as source
from sanspec.archive import cubes, place
from sanspec.archive.session import Session
from sanspec.database import catalogue, query
from sanspec.errors import SanspecError

log = logging.getLogger(__name__)


FILES = options.files("config")
OPTIONAL = options.files(
    cubes="cube file whose objects are requested (for acquire.sample: cubes)",
    out="the catalogue (.csv)",
    report="counts, and how the two forms of the query differ (.json)",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    text = "print this form of the query and stop"
    parser.add_argument("--show", choices=(*query.FORMS, "either"), help=text)


def run(args: argparse.Namespace) -> str | None:
    """Fetch the rows, keep them in the database, and write the catalogue."""
    settings = config.load(args.config).acquire
    z_min, z_max = settings.z_min, settings.z_max
    if args.show:
        return query.render("spectraGeneration", "MyTable_2", z_min, z_max, args.show)
    if args.out is None or args.report is None:
        raise SanspecError("query: --out and --report are needed, or --show FORM to print the query")
    if settings.sample == "cubes" and args.cubes is None:
        raise SanspecError("query: --cubes FILE is needed, or acquire.sample: all")
    pairs, columns = cubes.read_pairs(args.cubes) if settings.sample == "cubes" else ([], ())
    with place.claimed(settings.store), catalogue.database(settings.database) as engine:
        chooser = source.Chooser(settings.form, z_min, z_max)
        with Session(settings.http) as session:
            blocks = chooser.choose(source.rows(session, engine, settings, pairs, columns))
            count = catalogue.replace_catalogue(engine, blocks)
        if count == 0:
            raise SanspecError(
                f"the query has no rows for {z_min} <= z <= {z_max} and {len(pairs) or 'all'} objects: "
                "check acquire.z_min, acquire.z_max and the cube file"
            )
        with store.atomic(args.out) as temporary:
            source.write_csv(temporary, catalogue.read_catalogue(engine))
        catalogue.write_meta(engine, "catalogue_sha256", store.digest(args.out))
    forms, meta = chooser.report(), store.provenance("query", settings.model_dump(mode="json"))
    numbers = {"rows": count, "asked_for": len(pairs), "service": source.choose(settings)}
    store.write_json(args.report, numbers | {"form": settings.form, "forms": forms, "provenance": meta})
    log.info("%d galaxies -> %s", count, args.out)
    only = (forms["only_as_printed"], forms["only_corrected"])
    log.info("%d galaxies pass only the query as printed, %d only the corrected one", *only)
