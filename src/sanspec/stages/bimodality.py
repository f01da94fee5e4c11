"""Test whether properties of the galaxies have two modes, in observed and in predicted spectra."""

import logging

from sanspec import config, options, store
from sanspec.classes import bimodality
from sanspec.products import samples
from sanspec.stellar import results

log = logging.getLogger(__name__)

FILES = options.files(
    "config objects indices populations",
    out="table to write (.ecsv)",
    summary="mixtures, modes and correlations to write (.json)",
)
UNITS = {"ebv": "mag", "log_age": "dex(yr)", "vdisp": "km/s", "u_r": "mag"}


def run(args) -> None:
    """Gather the five quantities of every test galaxy, fit mixtures, write."""
    config.load(args.config)
    indices = store.read_table(args.indices)
    ids = samples.ids(indices)
    objects = samples.aligned(args.objects, ids)
    table = bimodality.table_of(indices, results.read(args.populations), objects, ids)
    units = {f"{name}_{kind}": unit for name, unit in UNITS.items() for kind in results.KINDS}
    store.write_table(args.out, table, units, store.provenance("bimodality"))
    found = bimodality.summary(table)
    store.write_json(args.summary, found)
    for name in bimodality.QUANTITIES:
        gains = [found["mixtures"][kind][name]["bic_gain"] for kind in results.KINDS]
        log.info("%s: two Gaussians beat one by BIC %.1f (observed), %.1f (predicted)", name, *gains)
