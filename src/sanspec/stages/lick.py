"""Correct indices for velocity dispersion, measure Hbeta on the stellar fit, compare observed with predicted."""

import logging

import numpy as np

from sanspec import config, options, store
from sanspec.features import absorption, dispersed
from sanspec.features import vdisp_correction as correction
from sanspec.products.members import Members
from sanspec.scores.numbers import record
from sanspec.stellar import models, results

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra predicted objects indices populations",
    models="fitted spectra, on which Hbeta is measured",
    broadening="tables/broadening.json: the coefficients of the correction",
    out="table to write (.ecsv)",
    summary="correlations to write (.json)",
)


def run(args) -> None:
    """Correct every index of both spectra of each test galaxy, correlate, write."""
    whole = config.load(args.config)
    settings = whole.lick
    members = Members(args.spectra, args.predicted)
    table, objects = members.table(args.indices), members.table(args.objects)
    populations = results.read(args.populations)
    coefficients = correction.from_json(store.read_json(args.broadening))
    hbeta = {}
    for spectra in (members.observed, members.predictor("predicted")) if settings.hbeta_on_fit else ():
        model = models.read(args.models, spectra.specobjid, spectra.kind)
        z = model["z"]
        if whole.lines.continuum == "ppxf":  # the other fits have no velocity of their own
            z = dispersed.fit_redshifts(populations, spectra.specobjid, spectra.kind, z)
        hbeta[spectra.kind] = absorption.hbeta_on_fit(model["stars"], z, spectra.lsf, settings)
    corrected = dispersed.corrected(table, populations, coefficients, hbeta, settings)
    morphology = objects["morphology"].to_numpy(str)
    found = dispersed.agreement(corrected, morphology, settings.bootstrap)
    made = store.provenance("lick", settings.model_dump(mode="json"))
    store.write_table(args.out, corrected.assign(morphology=morphology), units(corrected), made)
    variants = uncorrected(table, populations, coefficients, hbeta, settings, morphology)
    store.write_json(args.summary, record(dispersed.numbers(found)) | found | {"other_choices": variants})
    for name in dispersed.SHOWN:
        values = found[name]["no_spirals"]
        log.info("%s: {count} galaxies without spirals, Pearson {pearson:.3f}".format(**values), name)


def uncorrected(
    table, populations, coefficients, hbeta, settings: config.Lick, morphology: np.ndarray
) -> dict:
    """Correlations without the correction, and with Hbeta measured on the spectra."""
    plain = settings.model_copy(update={"correct": False})
    tried = {
        "without_correction": dispersed.corrected(table, populations, coefficients, hbeta, plain),
        "hbeta_on_spectrum": dispersed.corrected(table, populations, coefficients, {}, settings),
    }
    return {
        choice: {
            name: {key: values["pearson"] for key, values in of_class.items()}
            for name, of_class in dispersed.agreement(variant, morphology, 2).items()
        }
        for choice, variant in tried.items()
    }


def units(table) -> dict[str, str]:
    """Unit of every column that has one."""
    quantities = dict.fromkeys(("mgb", "fe5270", "fe5335", "mgfe", "hbeta"), "Angstrom") | {"vdisp": "km/s"}
    names = (name for name in table if not name.endswith("warn"))
    return {name: quantities[name.split("_")[0]] for name in names if name.split("_")[0] in quantities}
