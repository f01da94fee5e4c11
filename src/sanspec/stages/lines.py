"""Fit emission lines to observed and predicted spectra after subtracting their starlight."""

import logging
from functools import partial

import numpy as np
import pandas as pd
from tqdm import tqdm

from sanspec import config, options, store
from sanspec.errors import SanspecError
from sanspec.features import linetable
from sanspec.physics.dust import milky_way_transmission
from sanspec.physics.lines import EMISSION_LINES
from sanspec.products import samples
from sanspec.products.members import Members
from sanspec.scores.numbers import Number, record
from sanspec.stellar import models, results

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra",
    models="fitted spectra: tables/ppxf_models.h5, tables/firefly_models.h5 or those of starlight",
    out="table to write (.parquet or .ecsv), one row per spectrum",
    summary="counts and comparison to write (.json)",
)
OPTIONAL = options.files(
    predicted="generated/predicted.h5: measure its spectra as well",
    redshifts="tables/redshift.ecsv, with --predicted",
    populations="tables/ppxf.parquet: compare its line fluxes",
    objects="prepared/objects.parquet, with --populations: extinction by the Milky Way",
)


def arguments(parser) -> None:
    """Options of the stage."""
    parser.add_argument(
        "--split", choices=samples.SPLITS, default="test", help="split of the spectra to measure"
    )


def run(args) -> None:
    """Measure every spectrum that has a model, write the table and a summary."""
    for one, other in (("predicted", "redshifts"), ("populations", "objects")):
        if (getattr(args, one) is None) != (getattr(args, other) is None):
            raise SanspecError(f"lines: --{one} and --{other} are given together or not at all")
    settings = config.load(args.config)
    limit = settings.agn.spectra if args.split == "train" else None
    members = Members(args.spectra, args.predicted, redshifts=args.redshifts, split=args.split, limit=limit)
    tables = []
    for spectra in [members.observed] + ([members.predictor("predicted")] if args.predicted else []):
        stars = models.read(args.models, spectra.specobjid, spectra.kind)["stars"]
        progress = partial(tqdm, desc=f"lines, {spectra.kind}", mininterval=1.0)
        tables.append(linetable.line_table(spectra, stars, settings.lines, progress=progress))
    table = pd.concat(tables, ignore_index=True)
    units = {name: unit for name, (unit, _) in linetable.columns().items()}
    made = store.provenance("lines", settings.lines.model_dump(mode="json"), split=args.split)
    store.write_table(args.out, table, units, made)
    result = linetable.summary(table, settings.lines.present_snr)
    if args.populations:
        result["against_ppxf"] = against = compared(args, table)
        halpha = against["observed"]["h_alpha"]
        text = "ratio of our Halpha flux to pPXF's, observed spectra, S/N > 5"
        result |= record(
            [
                Number("h_alpha_over_ppxf", halpha["median_ratio"], f"median {text}"),
                Number("h_alpha_over_ppxf_scatter", halpha["scatter"], f"scatter (1.4826 MAD) of the {text}"),
            ]
        )
    store.write_json(args.summary, result)
    log.info("%d spectra -> %s", len(table), args.out)


def compared(args, table: pd.DataFrame) -> dict:
    """Our fluxes against pPXF's, reddened again by the Milky Way's dust, for which pPXF's are corrected."""
    populations = results.read(args.populations)
    objects = store.read_table(args.objects).set_index("specobjid")
    a_r = objects["extinction_r"].to_dict() if "extinction_r" in objects else {}
    both = table.merge(populations, on=["specobjid", "kind"], suffixes=("", "_ppxf"))
    for name, line in EMISSION_LINES.items():
        passed = [
            milky_way_transmission(np.array([line.wave * (1 + z)]), a_r.get(key, np.nan))[0]
            for key, z in zip(both["specobjid"], both["z"])
        ]
        both[f"flux_{name}_ppxf"] = both.get(f"flux_{name}_ppxf", np.nan) * np.array(passed)
    return {
        kind: linetable.against(both[both["kind"] == kind], "_ppxf") for kind in ("observed", "predicted")
    }
