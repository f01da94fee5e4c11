"""Blind redshifts: eigenspectra and low-order polynomials fitted at every trial redshift.

The same scan measures observed and predicted spectra, and uses nothing but the spectrum.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float

from sanspec.config import Redshift
from sanspec.errors import Warn
from sanspec.redshift.eigenfit import Eigenspectra, Fitter, Progress, Weight
from sanspec.spectra.grid import WAVE

REFINEMENTS = 4  # halvings of the trial step about a maximum
CANDIDATES = 3  # maxima kept per spectrum
CLOSE = 0.7  # maxima on the trial grid below this fraction of the highest are not refined
SEPARATION = 0.003  # |dz| / (1 + z) beyond which two maxima are different redshifts
COVERAGE = 0.5  # minimum fraction of good pixels


def measure_redshifts(
    flux: Float[np.ndarray, "gal pix"],
    weight: Float[np.ndarray, "gal pix"],
    eigenspectra: Eigenspectra,
    settings: Redshift,
    wave: Float[np.ndarray, " pix"] = WAVE,
    inflation: float | Float[np.ndarray, " gal"] = 1.0,
    progress: Progress = iter,
) -> pd.DataFrame:
    """Redshift of every spectrum from the spectrum alone.

    flux: any scale, observed frame, NaN where unknown; weight: inverse variance, 0 where masked; wave: vacuum Angstrom;
    inflation: factor by which correlated noise multiplies variances (1 for independent pixels); progress: wraps the
    loop over trial redshifts. Returns, per spectrum, `z`, `z_err` (where chi2 rises by 1), `gain` (reduction of chi2),
    `delta_chi2` (to the second redshift) and `warn` (NO_REDSHIFT with z NaN, or AMBIGUOUS_REDSHIFT). Differences of
    chi2 are divided by `inflation`.
    """
    weight = np.where(np.isfinite(flux) & np.isfinite(weight) & (weight > 0), weight, 0.0).astype(np.float64)
    usable = np.flatnonzero(np.mean(weight > 0, axis=1) >= COVERAGE)
    rows = np.full((len(flux), 4), np.nan)
    if len(usable):
        fitter, trials = Fitter(eigenspectra, settings.polynomials, wave), trial_shifts(settings)
        weight = weight[usable]
        weighted, together = np.where(weight > 0, flux[usable], 0.0) * weight, Weight(weight)
        gains = np.stack([fitter.gains(shift, weighted, together) for shift in progress(trials)], axis=1)
        singles = ((weighted[i : i + 1], Weight(weight[i : i + 1])) for i in range(len(weight)))
        rows[usable] = [_best(fitter, *single, trials, gains[i]) for i, single in enumerate(singles)]
    found = pd.DataFrame(rows, columns=["shift", "shift_err", "gain", "delta_chi2"])
    return _judge(found, settings, inflation)


def trial_shifts(settings: Redshift) -> Float[np.ndarray, " trial"]:
    """ln(1 + z) of the trial redshifts, two steps beyond both ends so that a maximum at an end is seen."""
    step = settings.step * np.log(10.0)
    low, high = np.log1p(settings.z_min) - 2 * step, np.log1p(settings.z_max) + 2 * step
    return low + step * np.arange(int(np.ceil((high - low) / step)) + 1)


def _best(
    fitter: Fitter, weighted: np.ndarray, weight: Weight, trials: np.ndarray, gains: np.ndarray
) -> tuple[float, float, float, float]:
    """The highest maximum of one spectrum, refined: ln(1+z), error, gain, and lead over the next maximum."""
    peaks = separate_peaks(trials, gains, np.log1p(SEPARATION))
    if not peaks:
        return np.nan, np.nan, np.nan, np.nan
    close = [peak for peak in peaks if gains[peak] >= CLOSE * gains[peaks[0]]]
    step = trials[1] - trials[0]
    climbed = (_climb(fitter, weighted, weight, trials[peak], step) for peak in close)
    found = sorted(climbed, key=lambda row: -row[2])
    rivals = [row[2] for row in found[1:]] + [gains[peak] for peak in peaks if peak not in close]
    return *found[0], found[0][2] - max(rivals, default=0.0)


def separate_peaks(
    trials: Float[np.ndarray, " trial"], gains: Float[np.ndarray, " trial"], apart: float
) -> list[int]:
    """Positions of the highest local maxima, at most three, each further than `apart` from any higher one."""
    inner = np.flatnonzero((gains[1:-1] >= gains[:-2]) & (gains[1:-1] > gains[2:])) + 1
    chosen: list[int] = []
    for peak in inner[np.argsort(-gains[inner], kind="stable")]:
        if all(abs(trials[peak] - trials[other]) > apart for other in chosen):
            chosen.append(int(peak))
        if len(chosen) == CANDIDATES:
            break
    return chosen


def _climb(
    fitter: Fitter, weighted: np.ndarray, weight: Weight, shift: float, step: float
) -> tuple[float, float, float]:
    """Vertex of the parabola through three points about a maximum, its 1-sigma width, and the gain there."""

    def gain(shift: float) -> float:
        return float(fitter.gains(shift, weighted, weight)[0])

    middle = gain(shift)
    for _ in range(REFINEMENTS):
        step /= 2
        low, high = gain(shift - step), gain(shift + step)
        if max(low, high) > middle:
            shift, middle = (shift - step, low) if low > high else (shift + step, high)
    low, high = gain(shift - step), gain(shift + step)
    curvature = (2 * middle - low - high) / step**2
    if curvature <= 0:
        return shift, np.nan, middle
    offset = np.clip(0.5 * (high - low) / (curvature * step), -step, step)
    return shift + offset, np.sqrt(2.0 / curvature), middle


def _judge(table: pd.DataFrame, settings: Redshift, inflation: float | np.ndarray) -> pd.DataFrame:
    """Redshifts, errors and WARN bits from the maxima."""
    z = np.expm1(table["shift"])
    missing = ~np.isfinite(table["shift_err"]) | (z < settings.z_min) | (z > settings.z_max)
    delta = table["delta_chi2"] / inflation
    warn = np.where(delta < settings.ambiguous, int(Warn.AMBIGUOUS_REDSHIFT), 0)
    return pd.DataFrame(
        {
            "z": z.where(~missing),
            "z_err": ((1 + z) * table["shift_err"] * np.sqrt(inflation)).where(~missing),
            "gain": table["gain"] / inflation,
            "delta_chi2": delta,
            "warn": np.where(missing, int(Warn.NO_REDSHIFT), warn).astype(np.uint32),
        }
    )
