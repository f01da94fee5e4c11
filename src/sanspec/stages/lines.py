"""Fit emission lines to observed and predicted spectra less their starlight."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from sanspec import config, options, store
from sanspec.errors import SanspecError
from sanspec.features import emission, linetable
from sanspec.physics.dust import milky_way_transmission
from sanspec.products import samples
from sanspec.scores.numbers import Number, record
from sanspec.stellar import models, results

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra",
    models="fitted spectra: tables/ppxf_models.h5, tables/firefly_models.h5 or those of starlight",
    out="table to write (.parquet or .ecsv), one row a spectrum",
    summary="counts and comparison to write (.json)",
)
PAIR = {
    "predicted": "generated/predicted.h5: its spectra are measured as well",
    "redshifts": "tables/redshift.ecsv, with --predicted",
    "populations": "tables/ppxf.parquet: its line fluxes are compared",
    "objects": "prepared/objects.parquet, with --populations: the dust in front",
}


def arguments(parser) -> None:
    """Options of the stage."""
    for name, text in PAIR.items():
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=text)
    parser.add_argument("--split", choices=samples.SPLITS, default="test", help="whose spectra")


def run(args) -> None:
    """Measure every spectrum that has a model, write the table and what it says as a whole."""
    for one, other in (("predicted", "redshifts"), ("populations", "objects")):
        if (getattr(args, one) is None) != (getattr(args, other) is None):
            raise SanspecError(f"lines: --{one} and --{other} are given together or not at all")
    settings = config.load(args.config)
    limit = settings.agn.spectra if args.split == "train" else None
    sample = samples.read_sample(args.spectra, args.split, limit)
    with store.arrays(args.spectra) as file:
        norm = file["norm"][:][sample.rows]
    table = pd.concat(
        [
            measured(kind, spectra, sample.specobjid, norm, settings.lines)
            for kind, spectra in sides(args, sample)
        ],
        ignore_index=True,
    )
    made = store.provenance("lines", settings.lines.model_dump(mode="json"), split=args.split)
    store.write_table(args.out, table, linetable.units(), made)
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


def sides(args, sample: samples.Sample):
    """Kind and spectra with their continua: observed, and predicted where asked for."""
    correlation = samples.read_correlation(args.spectra, sample.rows)
    if correlation is None:
        correlation = np.zeros((len(sample.z), 0, sample.flux.shape[1]), np.float16)
    stars = models.read(args.models, sample.specobjid, "observed")["stars"]
    lsf = samples.read_lsf(args.spectra, sample.rows)
    observed = emission.Spectra(sample.flux, stars, sample.ivar, correlation, lsf, sample.z)
    yield "observed", observed
    if args.predicted is None:
        return
    model = models.read(args.models, sample.specobjid, "predicted")
    redshifts = samples.aligned(args.redshifts, sample.specobjid)["z_predicted"].to_numpy(np.float64)
    with store.arrays(args.predicted) as file:
        flux = file["flux"][:][samples.order(sample.specobjid, file["specobjid"][:], args.predicted)]
    lsf = samples.read_predicted_lsf(args.predicted, len(flux))
    yield "predicted", emission.predicted(observed, flux, model["stars"], lsf, redshifts)


def measured(
    kind: str, spectra: emission.Spectra, specobjid: np.ndarray, norm: np.ndarray, settings: config.Lines
) -> pd.DataFrame:
    """Rows of the table for one kind of spectra."""
    rows = tqdm(range(len(spectra.z)), desc=f"lines, {kind}", mininterval=1.0)
    lines = emission.measure(spectra, settings, rows)
    return linetable.assemble(kind, specobjid, norm, spectra, lines, settings)


def compared(args, table: pd.DataFrame) -> dict:
    """Our fluxes against pPXF's, brought before the Milky Way's dust, which pPXF took out."""
    populations = results.read(args.populations)
    objects = store.read_table(args.objects).set_index("specobjid")
    a_r = objects["extinction_r"].to_dict() if "extinction_r" in objects else {}
    both = table.merge(populations, on=["specobjid", "kind"], suffixes=("", "_ppxf"))
    for name, line in emission.EMISSION_LINES.items():
        passed = [
            milky_way_transmission(np.array([line.wave * (1 + z)]), a_r.get(key, np.nan))[0]
            for key, z in zip(both["specobjid"], both["z"])
        ]
        both[f"flux_{name}_ppxf"] = both.get(f"flux_{name}_ppxf", np.nan) * np.array(passed)
    return {
        kind: linetable.against(both[both["kind"] == kind], "_ppxf") for kind in ("observed", "predicted")
    }
