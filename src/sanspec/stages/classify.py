"""Classify galaxies as passive, star-forming or active by their lines; score the classes of predictions."""

import logging

from sanspec import config, options, store
from sanspec.classes import spectralclass

log = logging.getLogger(__name__)

FILES = options.files(
    "config lines",
    out="table to write (.ecsv)",
    summary="confusion matrix, scores and error budget to write (.json)",
)


def run(args) -> None:
    """Classify both spectra of every object, compare, propagate the error budget, write."""
    settings = config.load(args.config).classify
    lines = store.read_table(args.lines)
    table = spectralclass.table_of(lines, settings)
    made = store.provenance("classify", settings.model_dump(mode="json"))
    units = {f"ew_h_alpha_{kind}": "Angstrom" for kind in ("observed", "predicted")}
    store.write_table(args.out, table, units, made)
    found = spectralclass.summary(lines, table, settings)
    store.write_json(args.summary, found)
    scores = found["confusion"]
    log.info(
        "%d galaxies: AGN accuracy %.3f (never active: %.3f), precision %.3f, recall %.3f",
        scores["count"],
        *(scores[name] for name in ("accuracy", "never", "precision", "recall")),
    )
