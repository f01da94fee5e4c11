"""Free indices of velocity dispersion, measure Hbeta on the stellar fit, compare observed with predicted."""

import logging

import numpy as np
import pandas as pd

from sanspec import config, options, store
from sanspec.features import absorption, dispersed, lick
from sanspec.features import vdisp_correction as correction
from sanspec.features.indices import Measured
from sanspec.products import samples
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
    test = samples.read_sample(args.spectra, "test")
    table, objects = (samples.aligned(path, test.specobjid) for path in (args.indices, args.objects))
    populations = results.read(args.populations)
    coefficients = correction.from_json(store.read_json(args.broadening))
    moved = (
        populations if whole.lines.continuum == "ppxf" else None
    )  # the other fits have no velocity of their own
    hbeta = on_fits(args, test, settings, moved) if settings.hbeta_on_fit else None
    freed = dispersed.corrected(table, populations, coefficients, hbeta, settings)
    morphology = objects["morphology"].to_numpy(str)
    found = dispersed.agreement(freed, morphology, settings.bootstrap)
    made = store.provenance("lick", settings.model_dump(mode="json"))
    store.write_table(args.out, freed.assign(morphology=morphology), units(freed), made)
    variants = uncorrected(table, populations, coefficients, hbeta, settings, morphology)
    store.write_json(args.summary, record(dispersed.numbers(found)) | found | {"other_choices": variants})
    for name in dispersed.SHOWN:
        log.info("%s: %s", name, said(found[name]["no_spirals"]))


def on_fits(
    args, test: samples.Sample, settings: config.Lick, moved: pd.DataFrame | None
) -> dict[str, Measured]:
    """Hbeta of both kinds of spectra measured on their stellar fits, which `moved` says the velocities of."""
    wanted = {"hbeta": lick.definitions()["hbeta"]}
    lsf = samples.read_lsf(args.spectra, test.rows), samples.read_predicted_lsf(args.predicted, len(test.z))
    found = {}
    for kind, width in zip(results.KINDS, lsf):
        model = models.read(args.models, test.specobjid, kind)
        z = model["z"] if moved is None else dispersed.fit_redshifts(moved, test.specobjid, kind, model["z"])
        resolution = absorption.RESOLUTIONS[settings.resolution]
        measured = lick.measure(wanted, model["stars"], z, width, resolution=resolution, air=settings.air)
        found[kind] = measured["hbeta"]
    return found


def uncorrected(
    table, populations, coefficients, hbeta, settings: config.Lick, morphology: np.ndarray
) -> dict:
    """Correlations without the correction, and with Hbeta measured on the spectra: what these change."""
    plain = settings.model_copy(update={"correct": False})
    tried = {
        "without_correction": dispersed.corrected(table, populations, coefficients, hbeta, plain),
        "hbeta_on_spectrum": dispersed.corrected(table, populations, coefficients, None, settings),
    }
    return {
        choice: {
            name: {key: values["pearson"] for key, values in of_class.items()}
            for name, of_class in dispersed.agreement(freed, morphology, 2).items()
        }
        for choice, freed in tried.items()
    }


def units(table) -> dict[str, str]:
    """Unit of every column that has one."""
    angstrom = ("mgb", "fe5270", "fe5335", "mgfe", "hbeta")
    result = {name: "Angstrom" for name in table if name.startswith(angstrom) and not name.endswith("warn")}
    return result | {"vdisp_observed": "km/s", "vdisp_predicted": "km/s"}


def said(found: dict) -> str:
    """One line of the log."""
    return f"{found['count']} galaxies but spirals, Pearson {found['pearson']:.3f}"
