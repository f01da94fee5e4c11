"""Fit stellar populations, kinematics and emission lines of observed and predicted spectra with pPXF."""

import argparse
import time
from importlib.metadata import version

import numpy as np

from sanspec import config, options, store
from sanspec.errors import SanspecError, Warn
from sanspec.physics.air import air_to_vac
from sanspec.spectra import grid
from sanspec.stellar import models, results, shards
from sanspec.stellar.bootstrap import bootstrap
from sanspec.stellar.library import Library, open_library
from sanspec.stellar.ppxf_fit import Solution, regularised_fit
from sanspec.stellar.spectra import Spectrum, Unfit

ERRORS = (
    "x_err: formal, for independent pixels; x_std: of the bootstrap; neither includes flux calibration errors"
)
FILES = options.files(
    "config spectra predicted redshifts",
    templates="library of populations (.npz)",
    out="table to write (.parquet or .ecsv)",
    models="fitted spectra to write (.h5)",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("--shard", default="1/1", metavar="I/N", help="every N-th galaxy from the I-th on")


def run(args: argparse.Namespace) -> None:
    """Fit every pair of the shard, write the table and the fitted spectra."""
    settings = config.load(args.config).stellar
    library = regular(open_library(args.templates, settings.ppxf.imf), settings)
    made = store.provenance("ppxf", settings.model_dump(mode="json", exclude={"firefly", "shards"}))
    about = {"code": f"ppxf {version('ppxf')}", "errors": ERRORS}
    about |= {"library": library.name, "imf": library.imf, "limits": library.limits()}

    def fit_one(spectrum: Spectrum, with_draws: bool) -> tuple:
        return fit(spectrum, library, settings, with_draws)

    shards.fit_shard(args, "ppxf", fit_one, settings, made | about)


def regular(library: Library, settings: config.Stellar) -> Library:
    """The populations up to the maximum age. Raises SanspecError for a library that cannot be regularised."""
    library = library.cut(age_max=settings.ppxf.age_max)
    if library.shape is None and settings.ppxf.regul > 0:
        raise SanspecError(
            f"templates {library.name}: {len(library.age)} populations that fill no grid of age and metallicity, which "
            f"stellar.ppxf.regul={settings.ppxf.regul:g} needs; allowed: a gridded library, or regul: 0"
        )
    return library


def fit(
    spectrum: Spectrum, library: Library, settings: config.Stellar, with_draws: bool
) -> tuple[dict, models.FittedSpectrum]:
    """Row and model of one spectrum; a spectrum that cannot be fitted has a row with warnings alone."""
    started = time.process_time()
    key = spectrum.specobjid, spectrum.kind
    try:
        solution = regularised_fit(spectrum, library, settings)
    except Unfit as fault:
        row = results.row(*key, int(fault.warn | spectrum.warn), z=spectrum.z)
        return row, models.blank(*key, spectrum.z)
    values, warn = solution.values, solution.warn
    if with_draws and settings.ppxf.draws:
        draws = bootstrap(solution, settings)
        made = settings.ppxf.draws - draws.failed
        values = values | results.from_draws(draws.values) | {"n_draws": made, "n_refit": draws.refits}
        warn |= Warn.FEW_DRAWS if draws.failed else Warn(0)
    values = values | {"seconds": time.process_time() - started}
    return results.row(*key, int(warn), **values), model(solution)


def model(solution: Solution) -> models.FittedSpectrum:
    """Stars and gas of a solution on the product grid."""
    problem, fit = solution.problem, solution.fit
    spectrum, wave = problem.spectrum, air_to_vac(problem.lam) * (1 + problem.spectrum.z)
    stars, gas = (
        models.on_product_grid(wave, problem.scale * flux, spectrum)
        for flux in (fit.bestfit - fit.gas_bestfit, fit.gas_bestfit)
    )
    used = np.interp(grid.WAVE, wave, problem.mask.astype(float), left=0.0, right=0.0) > 0.5
    return models.FittedSpectrum(spectrum.specobjid, spectrum.kind, spectrum.z, stars, gas, used)
