"""One spectrum fitted by either mode, with its bootstrap, in the words of `results`."""

import time
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from sanspec.config import Stellar
from sanspec.errors import Warn
from sanspec.spectra import grid
from sanspec.stellar import models, results
from sanspec.stellar.faults import Unfit
from sanspec.stellar.firefly import clean, compat
from sanspec.stellar.firefly.pose import Problem, pose
from sanspec.stellar.firefly.profile import Interval
from sanspec.stellar.flips import signs
from sanspec.stellar.library import Library
from sanspec.stellar.spectra import Spectrum

EDGE = 1e-3  # E(B-V) [mag] from its greatest value at which it counts as bound
RELEASED = {
    "log_age_light": ("age_light", 9.0),
    "log_age_mass": ("age_mass", 9.0),
    "metal_light": ("metal_light", 0.0),
    "metal_mass": ("metal_mass", 0.0),
    "log_mass_formed": ("mass_formed", 0.0),
}


@dataclass(frozen=True, eq=False)
class Libraries:
    """The populations as they are in their files, and trimmed to where their fluxes are real."""

    whole: Library
    trimmed: Library

    @classmethod
    def of(cls, library: Library, settings: Stellar) -> "Libraries":
        """Both. Raises SanspecError where nothing is left between the limits of the settings."""
        limits = settings.firefly.wave_min, settings.firefly.wave_max
        return cls(library, library.cut(*limits))


@dataclass(frozen=True, eq=False)
class Fitted:
    """Quantities and errors by name; model (used): flux; shares (ssp) of the light; chi2: per pixel."""

    values: dict[str, float]
    errors: dict[str, float]
    model: Float[np.ndarray, " used"]
    shares: Float[np.ndarray, " ssp"]
    chi2: float


def fit(
    spectrum: Spectrum, libraries: Libraries, settings: Stellar, vdisp: float, with_draws: bool = False
) -> tuple[dict, models.Model]:
    """Row and model of one spectrum; one that cannot be fitted keeps its row, with its warnings.

    vdisp [km/s]: NaN where it was not measured.
    """
    started = time.process_time()
    key = spectrum.specobjid, spectrum.kind
    warn = Warn(spectrum.warn)
    if not (np.isfinite(vdisp) and vdisp >= 0):
        vdisp, warn = settings.firefly.vdisp, warn | Warn.NO_VDISP
    try:
        problem = pose(spectrum, libraries.trimmed, settings, vdisp)
        solver = (Clean if settings.firefly.method == "clean" else Compat)(
            problem, libraries, settings, vdisp
        )
        found = solver.solve()
    except Unfit as fault:
        row = results.row(*key, int(warn | fault.warn), z=spectrum.z)
        return row, models.blank(*key, spectrum.z)
    warn |= _warnings(problem, found, settings)
    values = found.values | {f"{name}_err": value for name, value in found.errors.items()}
    if with_draws and settings.firefly.draws:
        drawn, failed = draws(solver, found, settings)
        values |= results.from_draws(drawn) | {"n_draws": settings.firefly.draws - failed}
        warn |= Warn.FEW_DRAWS if failed else Warn(0)
    values |= {"vdisp": vdisp, "z": spectrum.z, "snr": problem.snr, "chi2": found.chi2}
    values |= {"n_pix": len(found.model), "seconds": time.process_time() - started}
    return results.row(*key, int(warn), **values), model(problem, solver.places, found)


def _warnings(problem: Problem, found: Fitted, settings: Stellar) -> Warn:
    """What is to be said of a fit that was made."""
    bound = found.values["ebv_stars"] >= settings.firefly.ebv_max - EDGE
    faint = problem.snr < settings.low_snr
    return (Warn.AT_BOUND if bound else Warn(0)) | (Warn.LOW_SNR if faint else Warn(0))


def draws(solver: "Clean | Compat", found: Fitted, settings: Stellar) -> tuple[dict[str, np.ndarray], int]:
    """Quantities (draw) of the wild bootstrap by name, and the number of draws that could not be fitted.

    Draw b, which depends on (seed, specobjid, kind, b) alone, is the best fit plus its residuals with random
    signs.
    """
    problem, choose = solver.problem, settings.firefly
    spectrum, edges = problem.spectrum, grid.bin_edges(problem.wave)
    key = [settings.seed, spectrum.specobjid, results.KINDS.index(spectrum.kind)]
    rows = []
    for draw in range(choose.draws):
        rng = np.random.default_rng([*key, draw])
        flips = signs(edges, problem.fwhm, choose.flips, rng)[solver.places]
        try:
            rows.append(solver.solve(found.model + (solver.flux - found.model) * flips).values)
        except Unfit:
            rows.append({})
    names = list(found.values)
    failed = sum(not row for row in rows)
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}, failed


def model(problem: Problem, places: np.ndarray, found: Fitted) -> models.Model:
    """The best fit on the product grid, masked lines and all; no gas.

    Between pixels in use, what makes the fit out of its populations (dust, normalisation, calibration) is
    smooth.
    """
    stars = found.shares @ problem.models
    ratio = np.interp(problem.wave, problem.wave[places], found.model / stars[places])
    spectrum = problem.spectrum
    wave = problem.wave * (1 + spectrum.z)
    flux = models.on_product_grid(wave, stars * ratio, spectrum)
    used = np.zeros(len(wave))
    used[places] = 1.0
    mask = np.interp(grid.WAVE, wave, used, left=0.0, right=0.0) > 0.5
    nothing = np.where(np.isfinite(flux), 0.0, np.nan)
    return models.Model(spectrum.specobjid, spectrum.kind, spectrum.z, flux, nothing, mask)


# ---------------------------------------------------------------------------------------------- the two modes


class Clean:
    """The clean mode on one problem; `places` of its pixels in the span, their `flux`."""

    def __init__(self, problem: Problem, libraries: Libraries, settings: Stellar, vdisp: float):
        self.problem, self.settings = problem, settings.firefly
        self.places, self.flux = np.flatnonzero(problem.used), problem.flux
        self.ready = clean.templates(problem, self.settings)

    def solve(self, flux: Float[np.ndarray, " used"] | None = None) -> Fitted:
        """The spectrum, or a draw in its place, which gets no errors. Raises Unfit."""
        flux_or_own = self.flux if flux is None else flux
        if np.median(flux_or_own) <= 0:
            raise Unfit(Warn.NO_SIGNAL)
        found = clean.solve(self.problem, self.settings, self.ready, flux_or_own, with_errors=flux is None)
        return Fitted(found.values, found.errors, found.model, found.shares, found.chi2)


class Compat:
    """The released code's way on one problem."""

    def __init__(self, problem: Problem, libraries: Libraries, settings: Stellar, vdisp: float):
        self.problem, self.settings = problem, settings.firefly
        spectrum = problem.spectrum
        error = np.where(spectrum.mask, spectrum.noise, np.inf)
        try:
            self.matched = compat.match(
                spectrum.wave,
                spectrum.flux,
                error,
                spectrum.z,
                vdisp,
                libraries.whole,
                self.settings.line_mask,
                self.settings.resolution,
            )
        except ValueError:
            raise Unfit(Warn.SHORT_COVERAGE) from None
        inside = np.isin(self.matched.wave, problem.wave)
        self.places = np.searchsorted(problem.wave, self.matched.wave[inside])
        self.inside, self.flux = inside, self.matched.flux[inside]

    def solve(self, flux: Float[np.ndarray, " used"] | None = None) -> Fitted:
        """The spectrum, or a draw in its place. Raises Unfit."""
        matched = self.matched
        if flux is not None:
            whole = matched.flux.copy()
            whole[self.inside] = flux
            matched = replace(matched, flux=whole)
        found = compat.solve(matched, self.settings, self.problem.spectrum.z)
        values, errors = {"ebv_stars": found.ebv}, {}
        for name, (average, shift) in RELEASED.items():
            values[name], errors[name] = _logarithm(found.averages[average], shift)
        values["log_mass_formed"] += np.log10(self.problem.spectrum.norm)
        return Fitted(values, errors, found.model[self.inside], found.shares, found.chi2 / len(matched.wave))


def _logarithm(interval: Interval, shift: float) -> tuple[float, float]:
    """log10 of a value, and half its 1 sigma interval."""
    value, low, high = np.log10([interval.value, interval.low[0], interval.high[0]])
    return float(value + shift), float(0.5 * (high - low))
