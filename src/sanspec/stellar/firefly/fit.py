"""One spectrum fitted by either mode, with its bootstrap: a row of the table and the fitted spectrum."""

import time

import numpy as np

from sanspec.config import Stellar
from sanspec.errors import Warn
from sanspec.spectra import grid
from sanspec.stellar import models, results
from sanspec.stellar.firefly.clean import CleanFit
from sanspec.stellar.firefly.compat import CompatFit
from sanspec.stellar.firefly.match import Fitted, Matched, match, trimmed
from sanspec.stellar.library import Library
from sanspec.stellar.resampling import random_signs
from sanspec.stellar.spectra import LOW_SNR, Spectrum, Unfit

ASSUMED_VDISP = 150.0  # velocity dispersion of a spectrum on which pPXF measured none [km/s]
EDGE = 1e-3  # distance of E(B-V) from its upper bound within which it counts as at the bound [mag]


def fit(
    spectrum: Spectrum, library: Library, settings: Stellar, vdisp: float, with_draws: bool = False
) -> tuple[dict, models.FittedSpectrum]:
    """Row and model of one spectrum; a spectrum that cannot be fitted has a row with warnings alone.

    library: as it is in its files. vdisp [km/s]: NaN where it was not measured.
    """
    started = time.process_time()
    key, choose = (spectrum.specobjid, spectrum.kind), settings.firefly
    warn = Warn(spectrum.warn)
    if not (np.isfinite(vdisp) and vdisp >= 0):
        vdisp, warn = ASSUMED_VDISP, warn | Warn.NO_VDISP
    try:
        matched = match(spectrum, trimmed(library), choose.line_mask, vdisp)
        if choose.method == "clean":
            solver = CleanFit(matched, choose)
        else:
            solver = CompatFit(matched, library, choose, vdisp)
        found = solver.solve()
    except Unfit as fault:
        row = results.row(*key, int(warn | fault.warn), z=spectrum.z)
        return row, models.blank(*key, spectrum.z)
    warn |= Warn.AT_BOUND if found.values["ebv_stars"] >= choose.ebv_max - EDGE else Warn(0)
    warn |= Warn.LOW_SNR if matched.snr < LOW_SNR else Warn(0)
    values = found.values | {f"{name}_err": value for name, value in found.errors.items()}
    if with_draws and choose.draws:
        drawn, failed = draws(matched, solver, found, settings)
        values |= results.from_draws(drawn) | {"n_draws": choose.draws - failed}
        warn |= Warn.FEW_DRAWS if failed else Warn(0)
    values |= {"vdisp": vdisp, "z": spectrum.z, "snr": matched.snr, "chi2": found.chi2}
    values |= {"n_pix": len(found.model), "seconds": time.process_time() - started}
    return results.row(*key, int(warn), **values), model(matched, solver.places, found)


def draws(
    matched: Matched, solver: CleanFit | CompatFit, found: Fitted, settings: Stellar
) -> tuple[dict[str, np.ndarray], int]:
    """Quantities (draw) of the wild bootstrap by name, and the number of draws that could not be fitted.

    A draw is the best fit plus its residuals with random signs.
    """
    edges, choose = grid.bin_edges(matched.wave), settings.firefly
    rows = []
    for signs in random_signs(
        matched.spectrum, settings.seed, edges, matched.fwhm, choose.flips, choose.draws
    ):
        try:
            rows.append(solver.solve(found.model + (solver.flux - found.model) * signs[solver.places]).values)
        except Unfit:
            rows.append({})
    failed = sum(not row for row in rows)
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in found.values}, failed


def model(matched: Matched, places: np.ndarray, found: Fitted) -> models.FittedSpectrum:
    """The best fit on the product grid, masked lines included; no gas.

    The ratio of the fit to its populations (dust, normalisation, calibration) is smooth: it is interpolated between the
    used pixels.
    """
    stars = found.shares @ matched.models
    ratio = np.interp(matched.wave, matched.wave[places], found.model / stars[places])
    spectrum = matched.spectrum
    wave = matched.wave * (1 + spectrum.z)
    flux = models.on_product_grid(wave, stars * ratio, spectrum)
    used = np.zeros(len(wave))
    used[places] = 1.0
    mask = np.interp(grid.WAVE, wave, used, left=0.0, right=0.0) > 0.5
    nothing = np.where(np.isfinite(flux), 0.0, np.nan)
    return models.FittedSpectrum(spectrum.specobjid, spectrum.kind, spectrum.z, flux, nothing, mask)
