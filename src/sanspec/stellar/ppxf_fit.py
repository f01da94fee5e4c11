"""One spectrum fitted with pPXF (Cappellari 2023): stars, Balmer and forbidden lines, dust for stars and for gas.

Every spectrum is moved to its rest frame, to air, and by exact bin overlap onto one common logarithmic grid; the templates
are brought there at the spectrum's own resolution. The redshift is taken out first, so that the resolution is that of
the rest frame, FWHM / (1 + z).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from ppxf.ppxf import ppxf

from sanspec import grid
from sanspec.config import Stellar
from sanspec.errors import Warn
from sanspec.stellar import gas, light
from sanspec.stellar.library import Library
from sanspec.stellar.lsf import smoothing
from sanspec.stellar.projection import Projection, derivatives, formal_errors, project
from sanspec.stellar.results import LINES
from sanspec.stellar.spectra import Spectrum

R_V = 4.05  # Calzetti et al. 2000: pPXF's dust is A_V, ours E(B-V) = A_V / R_V
V_BAND = (5070.0, 5950.0)  # air [Angstrom]: weights are fractions of the light here
START = {"stars": (0.0, 150.0), "balmer": (0.0, 100.0), "forbidden": (0.0, 100.0)}  # V and sigma [km/s]
V_MOST = 1500.0  # bound of |V| [km/s]
VDISP_RANGE = {"stars": (5.0, 600.0), "balmer": (5.0, 400.0), "forbidden": (5.0, 400.0)}  # sigma [km/s]
AV_START, AV_MOST = 0.3, (4.0, 8.0)  # magnitudes: start, and greatest of stars and gas
REACH = 2 * V_MOST + 900.0  # km/s by which templates exceed the spectrum on either side, as ppxf asks
DETECTED = 3.0  # signal to noise of a line whose component must not stand at a bound
DECREMENT = 0.15  # greatest formal error of the gas's E(B-V) [mag] for which it counts as measured
FAILURES = (AssertionError, ValueError, ArithmeticError, np.linalg.LinAlgError)  # what ppxf and LAPACK raise


class Unfit(Exception):
    """A spectrum that cannot be fitted; `warn` says why."""

    def __init__(self, warn: Warn):
        super().__init__(warn)
        self.warn = Warn.NOT_FITTED | warn


@dataclass(frozen=True)
class Problem:
    """A spectrum and its templates as pPXF takes them.

    first: index of the first pixel on the common grid; lam (pix): rest-frame air [Angstrom]; galaxy, noise (pix): over
    `scale`, which is in units of the spectrum's norm; mask (pix): true = use; lam_temp (tem), templates (tem, column):
    stars first, each of mean 1 in the V band, then gas; light (ssp): what the stars were divided by.
    """

    spectrum: Spectrum
    library: Library
    first: int
    lam: Float[np.ndarray, " pix"]
    galaxy: Float[np.ndarray, " pix"]
    noise: Float[np.ndarray, " pix"]
    mask: Bool[np.ndarray, " pix"]
    scale: float
    lam_temp: Float[np.ndarray, " tem"]
    templates: Float[np.ndarray, "tem column"]
    light: Float[np.ndarray, " ssp"]
    groups: tuple[gas.LineGroup, ...]
    velscale: float

    @property
    def is_gas(self) -> Bool[np.ndarray, " column"]:
        """Which columns are gas."""
        return np.arange(self.templates.shape[1]) >= len(self.light)

    @property
    def names(self) -> tuple[str, ...]:
        """Kinematic components present: stars, then those of the line groups by name."""
        return ("stars", *(name for name in gas.COMPONENTS if any(g.component == name for g in self.groups)))

    @property
    def component(self) -> np.ndarray:
        """Kinematic component of every column, assigned by name."""
        numbers = {name: number for number, name in enumerate(self.names)}
        return np.array([0] * len(self.light) + [numbers[group.component] for group in self.groups])


# ------------------------------------------------------------------------------------------------------------- set-up


def pose(spectrum: Spectrum, library: Library, settings: Stellar) -> Problem:
    """The spectrum on the common grid with its templates. Raises Unfit, with the reason, where it cannot be fitted."""
    choose, step = settings.ppxf, settings.ppxf.velscale / grid.C_KMS
    if not (np.isfinite(spectrum.z) and spectrum.z > -0.5):
        raise Unfit(Warn.NO_REDSHIFT)
    if not (spectrum.mask & np.isfinite(spectrum.flux)).any():
        raise Unfit(Warn.NO_SIGNAL)
    edges = grid.vac_to_air(grid.bin_edges(spectrum.wave) / (1 + spectrum.z))
    low, high = max(edges[0], choose.wave_min), min(edges[-1], choose.wave_max)
    first, last = int(np.ceil(np.log(low) / step)), int(np.floor(np.log(high) / step))
    if last - first < settings.least_pixels:
        raise Unfit(Warn.SHORT_COVERAGE)
    bins = np.exp(step * np.arange(first, last + 1))
    galaxy, noise, mask = _on_grid(spectrum, edges, bins, settings)
    margin = int(np.ceil(REACH / choose.velscale)) + 2
    bins_temp = np.exp(step * np.arange(first - margin, last + margin + 1))
    fwhm = rest_fwhm(spectrum, bins_temp)
    stars = star_templates(library, bins_temp, fwhm)
    lam, lam_temp = (np.exp(0.5 * (np.log(b[1:]) + np.log(b[:-1]))) for b in (bins, bins_temp))
    band = (lam_temp >= V_BAND[0]) & (lam_temp <= V_BAND[1])
    mask = mask & (stars[margin:-margin] > 0).all(axis=1)  # a library ends at other places for other populations
    if not band.any() or (stars[band] <= 0).any() or mask.sum() < settings.least_pixels:
        raise Unfit(Warn.SHORT_COVERAGE)
    light_v = stars[band].mean(axis=0)
    groups = tuple(group for group in gas.GROUPS if gas.within(group, lam[mask]))
    if not groups:
        raise Unfit(Warn.SHORT_COVERAGE)
    lines = [gas.template(group, bins_temp, fwhm) for group in groups]
    scale = float(np.median(galaxy[mask]))
    return Problem(
        spectrum=spectrum,
        library=library,
        first=first,
        lam=lam,
        galaxy=galaxy / scale,
        noise=noise / scale,
        mask=mask,
        scale=scale,
        lam_temp=lam_temp,
        templates=np.column_stack([stars / light_v, *lines]),
        light=light_v,
        groups=groups,
        velscale=choose.velscale,
    )


def _on_grid(
    spectrum: Spectrum, edges: np.ndarray, bins: np.ndarray, settings: Stellar
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux, noise and mask on the common grid; masked pixels interpolated. Raises Unfit where nothing is to be fitted."""
    good = spectrum.mask & np.isfinite(spectrum.flux) & np.isfinite(spectrum.noise) & (spectrum.noise > 0)
    rows = np.stack([spectrum.flux, spectrum.noise, good.astype(float)])
    rows[:2, ~good] = np.nan
    flux, noise, share = grid.rebin(edges, rows, bins)
    mask = (share > 0.99) & np.isfinite(flux) & np.isfinite(noise)
    if not mask.any():
        raise Unfit(Warn.NO_SIGNAL)
    if mask.sum() < settings.least_pixels:
        raise Unfit(Warn.MASKED_PIXELS)
    if np.median(flux[mask]) <= 0 or np.ptp(flux[mask]) <= 1e-9 * np.abs(flux[mask]).max():
        raise Unfit(Warn.NO_SIGNAL)
    places = np.arange(len(bins) - 1)
    flux, noise = (np.interp(places, places[mask], values[mask]) for values in (flux, noise))
    return flux, noise, mask


def rest_fwhm(spectrum: Spectrum, bins: Float[np.ndarray, " pix+1"]) -> Float[np.ndarray, " pix"]:
    """Resolution of the rebinned spectrum at `bins` (rest frame, air): FWHM [Angstrom] of the line spread over 1 + z.

    Averaging pixels of width w over other bins broadens by a box of that width: w^2 / 12 is added to the variance.
    """
    rest = grid.vac_to_air(spectrum.wave / (1 + spectrum.z))
    variance = (spectrum.fwhm / grid.FWHM_PER_SIGMA) ** 2 + np.gradient(spectrum.wave) ** 2 / 12
    middle = 0.5 * (bins[1:] + bins[:-1])
    return np.interp(middle, rest, np.sqrt(variance) * grid.FWHM_PER_SIGMA / (1 + spectrum.z))


def star_templates(
    library: Library, bins: Float[np.ndarray, " pix+1"], fwhm: Float[np.ndarray, " pix"]
) -> Float[np.ndarray, "pix ssp"]:
    """Populations over `bins` (rest, air) at resolution `fwhm` [Angstrom]; 0 where the library does not reach.

    Where the library is coarser than the spectrum it stays as it is.
    """
    middle = 0.5 * (bins[1:] + bins[:-1])
    own = np.interp(middle, library.lam, library.fwhm)
    pixel = np.interp(middle, library.lam, np.gradient(library.lam))
    variance = (fwhm**2 - own**2) / grid.FWHM_PER_SIGMA**2 - pixel**2 / 12
    inside = (library.lam > bins[0] - 60) & (library.lam < bins[-1] + 60)
    if inside.sum() < 2:
        return np.zeros((len(middle), library.flux.shape[1]))
    operator = smoothing(grid.bin_edges(library.lam[inside]), bins, np.sqrt(np.clip(variance, 0, None)))
    return operator @ library.flux[inside]


# ---------------------------------------------------------------------------------------------------------------- fit


def solve(
    problem: Problem,
    settings: Stellar,
    galaxy: Float[np.ndarray, " pix"] | None = None,
    start: ppxf | None = None,
    regul: float | None = None,
    solver: str | None = None,
) -> ppxf:
    """pPXF's solution of the problem, or of it with another `galaxy`, from the solution `start` if given.

    regul: settings.ppxf.regul unless given; solver: `projection` (ours) or `capfit` (pPXF's own).
    """
    bounds = [[[-V_MOST, V_MOST], list(VDISP_RANGE[name])] for name in problem.names]
    begin = [START[name] for name in problem.names] if start is None else start.sol
    av = [AV_START] * 2 if start is None else attenuations(start)
    dust = [
        {"start": [a], "bounds": [[0, most]], "component": side}
        for a, most, side in zip(av, AV_MOST, (~problem.is_gas, problem.is_gas))
    ]
    make = Projection if (solver or settings.ppxf.solver) == "projection" else ppxf
    return make(
        problem.templates,
        problem.galaxy if galaxy is None else galaxy,
        problem.noise,
        problem.velscale,
        [list(pair) for pair in begin],
        bounds=bounds,
        moments=[2] * len(bounds),
        degree=-1,
        mdegree=-1,
        lam=problem.lam,
        lam_temp=problem.lam_temp,
        component=problem.component,
        gas_component=problem.is_gas,
        gas_names=np.array([group.name for group in problem.groups]),
        dust=dust,
        mask=problem.mask,
        regul=settings.ppxf.regul if regul is None else regul,
        reg_dim=problem.library.shape,
        quiet=True,
    )


def properties(problem: Problem, weights: Float[np.ndarray, " ssp"], av: tuple, kinematics: tuple) -> dict:
    """Quantities of `results.QUANTITIES` from weights (fractions of V light), A_V of stars and gas, V and sigma."""
    library, spectrum = problem.library, problem.spectrum
    formed = weights / problem.light
    total, mass = weights.sum(), formed.sum()
    known = total > 0
    unit = problem.scale * spectrum.norm * light.solar_luminosity(spectrum.z)
    stars = float(formed @ library.mass)
    values = {
        "v": kinematics[0],
        "vdisp": kinematics[1],
        "log_age_light": weights @ library.log_age / total if known else np.nan,
        "log_age_mass": formed @ library.log_age / mass if known else np.nan,
        "metal_light": weights @ library.metal / total if known else np.nan,
        "metal_mass": formed @ library.metal / mass if known else np.nan,
        "ebv_stars": av[0] / R_V,
        "ebv_gas": av[1] / R_V,
        "ml": stars / (formed @ light.band_luminosity(library)) if known else np.nan,
        "log_mass": np.log10(stars * unit) if known and stars * unit > 0 else np.nan,
        "log_mass_formed": np.log10(mass * unit) if known and mass * unit > 0 else np.nan,
    }
    return {name: float(value) for name, value in values.items()}


def attenuations(fit: ppxf) -> tuple[float, float]:
    """A_V of stars and of gas."""
    stars, ionised = (float(dust["sol"][0]) for dust in fit.dust)
    return stars, ionised


@dataclass(frozen=True)
class Solution:
    """A fitted spectrum: the problem, pPXF's solution of it, the columns of its row, its warnings."""

    problem: Problem
    fit: ppxf
    values: dict
    warn: Warn


def measure(spectrum: Spectrum, library: Library, settings: Stellar, solver: str | None = None) -> Solution:
    """The single, regularised fit of a spectrum with everything its row says but the bootstrap.

    Raises Unfit where the spectrum cannot be fitted; never anything else for a fault of the spectrum.
    """
    problem = pose(spectrum, library, settings)
    try:
        fit = solve(problem, settings, solver=solver)
    except FAILURES:
        raise Unfit(Warn(0)) from None
    if not (np.isfinite(fit.chi2) and fit.weights[~problem.is_gas].sum() > 0):
        raise Unfit(Warn(0))
    values = properties(problem, fit.weights[~problem.is_gas], attenuations(fit), fit.sol[0])
    values |= formal(problem, fit)
    if not values["ebv_gas_err"] < DECREMENT:
        values["ebv_gas"] = values["ebv_gas_err"] = np.nan
    values |= lines(problem, fit)
    snr = float(np.median(problem.galaxy[problem.mask] / problem.noise[problem.mask]))
    values |= {"z": spectrum.z, "snr": snr, "chi2": float(fit.chi2), "n_pix": len(fit.goodpixels)}
    warn = Warn(spectrum.warn) | bounds_met(problem, fit)
    return Solution(problem, fit, values, warn | (Warn.LOW_SNR if snr < settings.low_snr else Warn(0)))


def formal(problem: Problem, fit: ppxf) -> dict:
    """Formal 1 sigma errors of V, sigma and E(B-V), as if the fit were good (Cappellari 2017, section 3.4).

    NaN for a parameter at its bound or without effect. They take the noise of pixels as independent.
    """
    params, low, high = parameters(problem, fit), *limits(problem)
    columns = derivatives(fit, params)
    active = fit.matrix[np.ix_(fit.goodpixels, fit.weights > 0)] / fit.noise[fit.goodpixels, None]
    error = formal_errors(project(active, columns), params, low, high) * np.sqrt(fit.chi2)
    error = np.where(error > 0, error, np.nan)
    kinematics = error[:2] * problem.velscale
    names = ("v_err", "vdisp_err", "ebv_stars_err", "ebv_gas_err")
    return dict(zip(names, map(float, [*kinematics, *error[-2:] / R_V])))


def parameters(problem: Problem, fit: ppxf) -> Float[np.ndarray, " par"]:
    """All nonlinear parameters of a solution [pixels; magnitudes], in pPXF's order."""
    return np.concatenate([np.concatenate(fit.sol) / problem.velscale, attenuations(fit)])


def limits(problem: Problem) -> tuple[Float[np.ndarray, " par"], Float[np.ndarray, " par"]]:
    """Lower and upper bounds of all parameters [pixels; magnitudes]."""
    pairs = [pair for name in problem.names for pair in ((-V_MOST, V_MOST), VDISP_RANGE[name])]
    kinematics = np.array(pairs) / problem.velscale
    return np.append(kinematics[:, 0], [0.0, 0.0]), np.append(kinematics[:, 1], AV_MOST)


def lines(problem: Problem, fit: ppxf) -> dict:
    """Flux [1e-17 erg/s/cm2], equivalent width [Angstrom, rest, positive in emission] and errors of the lines."""
    spectrum, ionised = problem.spectrum, problem.is_gas
    unit = problem.scale * spectrum.norm * (1 + spectrum.z)
    curve = fit.dust[1]["func"](fit.lam, *fit.dust[1]["sol"])
    stars = fit.bestfit - fit.gas_bestfit
    sums = np.abs(fit.matrix[:, ionised]).sum(axis=0)
    found = {}
    for group, weight, error, total in zip(problem.groups, fit.weights[ionised], fit.gas_flux_error, sums):
        error = error / total * np.sqrt(fit.chi2) if total > 0 else np.nan
        strengths = gas.fluxes(group, 1.0, curve, fit.lam)
        for name in set(strengths) & set(LINES):
            centre = gas.centre(group, name)
            if not fit.lam[fit.goodpixels[0]] < centre < fit.lam[fit.goodpixels[-1]]:
                continue
            per_flux, continuum = strengths[name], gas.continuum(fit.lam, stars, centre)
            found[f"flux_{name}"] = weight * per_flux * unit
            found[f"flux_{name}_err"] = error * per_flux * unit
            found[f"ew_{name}"] = weight * per_flux / continuum if continuum > 0 else np.nan
            found[f"ew_{name}_err"] = error * per_flux / continuum if continuum > 0 else np.nan
    return found


def detected(problem: Problem, fit: ppxf, least: float) -> set[str]:
    """Gas components with a line of more than `least` times its formal error."""
    error = fit.gas_flux_error * np.sqrt(fit.chi2)
    strong = fit.gas_flux > least * error
    return {group.component for group, seen in zip(problem.groups, strong) if seen}


def bounds_met(problem: Problem, fit: ppxf) -> Warn:
    """AT_BOUND where V, sigma or the greatest A_V of the stars, or V or sigma of a detected gas, stands at its bound.

    No dust at all is a result, not a fault.
    """
    seen = detected(problem, fit, DETECTED)
    stuck = attenuations(fit)[0] >= AV_MOST[0]
    for name, (v, sigma) in zip(problem.names, fit.sol):
        low, high = VDISP_RANGE[name]
        matters = name == "stars" or name in seen
        stuck |= matters and (abs(v) >= V_MOST or not low < sigma < high)
    return Warn.AT_BOUND if stuck else Warn(0)
