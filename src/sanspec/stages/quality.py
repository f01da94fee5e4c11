"""Compare predicted with observed spectra, pixel by pixel, for every predictor."""

import logging

import numpy as np

from sanspec import config, options, store
from sanspec.products.members import Members
from sanspec.scores import quality

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra predicted baselines redshifts objects",
    out="table to write (.ecsv)",
    summary="scores to write (.json)",
)


def run(args) -> None:
    """Score every predictor on every test galaxy, write the table and the summary."""
    settings = config.load(args.config)
    test = Members(args.spectra, args.predicted, args.baselines, args.redshifts)
    objects = test.table(args.objects)
    table = quality.quality_table(test, settings.quality, settings.prepare.log_floor)
    table.insert(1, "morphology", objects["morphology"].to_numpy())
    table["warn"] = objects["warn"].to_numpy().astype(np.uint32)
    made = store.provenance("quality", settings.quality.model_dump(mode="json"))
    store.write_table(args.out, table, meta=made)
    found = quality.summary(table)
    store.write_json(args.summary, found)
    for name in ("mse_predicted", "mse_mean_spectrum", "mse_nearest_image", "mse_regression", "mse_noise"):
        log.info("%s %.5f", name, found["numbers"][name])
