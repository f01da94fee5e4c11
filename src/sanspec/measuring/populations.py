"""Stellar populations of spectra of a user's own, fitted with pPXF: about a second per spectrum."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from sanspec.config import Config
from sanspec.errors import Warn
from sanspec.physics.air import air_to_vac
from sanspec.spectra import grid
from sanspec.spectra.spectra import Spectra
from sanspec.stellar import models
from sanspec.stellar import spectra as fitted
from sanspec.stellar.library import Library
from sanspec.stellar.ppxf_fit import Solution, regularised_fit
from sanspec.stellar.spectra import Unfit

COLUMNS = {
    "vdisp": ("km/s", "stellar velocity dispersion, by pPXF"),
    "vdisp_err": ("km/s", "its formal error"),
    "log_age_light": ("dex(yr)", "light-weighted mean log age"),
    "metal_light": ("dex", "light-weighted mean [M/H]"),
    "ebv_stars": ("mag", "colour excess of the stars, not corrected for the Milky Way"),
    "log_mass": ("dex(Msun)", "mass in stars and remnants inside the fibre"),
    "chi2": ("", "chi2 per degree of freedom of the fit"),
}


def populations_of(
    spectra: Spectra, library: Library, settings: Config
) -> tuple[pd.DataFrame, Float[np.ndarray, "gal pix"], np.ndarray]:
    """COLUMNS, the starlight of the fits (unit of the flux, NaN without a fit), and WARN bits."""
    values = np.full((len(spectra), len(COLUMNS)), np.nan)
    stars, warn = np.full(spectra.flux.shape, np.nan), np.zeros(len(spectra), np.uint32)
    for row in range(len(spectra)):
        try:
            solution = solved(spectra, row, library, settings)
        except Unfit as fault:
            warn[row] = int(fault.warn | Warn.NOT_FITTED)
            continue
        values[row] = [solution.values[name] for name in COLUMNS]
        stars[row], warn[row] = starlight(solution), int(solution.warn)
    return pd.DataFrame(values, columns=list(COLUMNS)), stars, warn


def solved(spectra: Spectra, row: int, library: Library, settings: Config) -> Solution:
    """The fit of one spectrum, in units of its median. Raises Unfit where there is none."""
    good = spectra.ivar[row] > 0
    if not (np.isfinite(spectra.z[row]) and good.any()):
        raise Unfit(Warn.NOT_FITTED)
    norm = float(np.median(spectra.flux[row][good]))
    noise = np.where(good, np.where(good, spectra.ivar[row], 1.0) ** -0.5, np.nan) / norm
    identity = int(spectra.specobjid[row]), "observed", float(spectra.z[row])
    light = spectra.flux[row] / norm, noise, good, spectra.lsf[row]
    return regularised_fit(fitted.Spectrum(*identity, grid.WAVE, *light, norm), library, settings.stellar)


def starlight(solution: Solution) -> Float[np.ndarray, " pix"]:
    """The starlight of a solution on grid.WAVE, in the unit of the spectrum that was fitted."""
    problem, fit = solution.problem, solution.fit
    wave = air_to_vac(problem.lam) * (1 + problem.spectrum.z)
    stars = models.on_product_grid(wave, problem.scale * (fit.bestfit - fit.gas_bestfit))
    return problem.spectrum.norm * stars
