"""Measure redshifts on observed and predicted spectra with the same blind scan of eigenspectra."""

import logging
from functools import partial

from tqdm import tqdm

from sanspec import config, options, store
from sanspec.products.members import Members
from sanspec.redshift import agreement, eigenfit
from sanspec.scores import numbers

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra predicted baselines eigenspectra",
    out="table to write (.ecsv)",
    summary="scores to write (.json)",
)


def run(args) -> None:
    """Measure, score and write."""
    settings = config.load(args.config).redshift
    test = Members(args.spectra, args.predicted, args.baselines)
    train = Members(args.spectra, split="train", limit=settings.spectra).observed
    eigenspectra = eigenfit.read_eigenspectra(args.eigenspectra)
    progress = partial(tqdm, desc="redshift", mininterval=1.0)
    table, inflation = agreement.redshift_table(test, train, eigenspectra, settings, progress)
    weight = "training-set median ivar of each pixel, times the observed mask"
    facts = {"noise_inflation": inflation, "weight": weight}
    store.write_table(args.out, table, meta=store.provenance("redshift", **facts))
    found = agreement.scores(table)
    record = numbers.record(agreement.numbers(found))
    store.write_json(args.summary, found | record | facts)
    for kind in ("", "_observed", "_regression", "_nearest_image", "_median_baseline"):
        log.info("sigma_mad%s %.5f", kind, record["numbers"][f"sigma_mad{kind}"])
