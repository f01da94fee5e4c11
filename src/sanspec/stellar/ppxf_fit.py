"""One spectrum fitted with pPXF (Cappellari 2023): stars, Balmer and forbidden lines, dust for stars and for gas."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from ppxf.ppxf import ppxf

from sanspec.config import Stellar
from sanspec.errors import Warn
from sanspec.physics.dust import CALZETTI_RV  # pPXF's dust is A_V, ours E(B-V)
from sanspec.stellar import gas
from sanspec.stellar.library import Library
from sanspec.stellar.problem import V_MAX, VELSCALE, Problem, set_up
from sanspec.stellar.projection import Projection, derivatives, formal_errors, project
from sanspec.stellar.results import LINES
from sanspec.stellar.spectra import LOW_SNR, Spectrum, Unfit, solar_luminosity

START = {"stars": (0.0, 150.0), "balmer": (0.0, 100.0), "forbidden": (0.0, 100.0)}  # V and sigma [km/s]
VDISP_RANGE = {"stars": (5.0, 600.0), "balmer": (5.0, 300.0), "forbidden": (5.0, 300.0)}  # sigma [km/s]
AV_START, AV_MAX = 0.3, (4.0, 8.0)  # start, and maximum for stars and for gas [mag]
DETECTED = 10.0  # signal-to-noise ratio of a line whose component must not be at a bound
DECREMENT = 0.15  # maximum formal error of the gas's E(B-V) [mag] for which it counts as measured
FAILURES = (AssertionError, ValueError, ArithmeticError, np.linalg.LinAlgError)  # what ppxf and LAPACK raise


def solve(
    problem: Problem,
    settings: Stellar,
    galaxy: Float[np.ndarray, " pix"] | None = None,
    start: ppxf | None = None,
    regul: float | None = None,
    solver: str | None = None,
) -> ppxf:
    """pPXF's solution of the problem, or of it with another `galaxy`, started from the solution `start` if given.

    regul: settings.ppxf.regul unless given; solver: `projection` (ours) or `capfit` (pPXF's own).
    """
    bounds = [[[-V_MAX, V_MAX], list(VDISP_RANGE[name])] for name in problem.names]
    begin = [START[name] for name in problem.names] if start is None else start.sol
    av = [AV_START] * 2 if start is None else attenuations(start)
    dust = [
        {"start": [a], "bounds": [[0, most]], "component": side}
        for a, most, side in zip(av, AV_MAX, (~problem.is_gas, problem.is_gas))
    ]
    make = Projection if (solver or settings.ppxf.solver) == "projection" else ppxf
    return make(
        problem.templates,
        problem.galaxy if galaxy is None else galaxy,
        problem.noise,
        VELSCALE,
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
    unit = problem.scale * spectrum.norm * solar_luminosity(spectrum.z)
    stars = float(formed @ library.mass)
    values = {
        "v": kinematics[0],
        "vdisp": kinematics[1],
        "log_age_light": weights @ library.log_age / total if known else np.nan,
        "log_age_mass": formed @ library.log_age / mass if known else np.nan,
        "metal_light": weights @ library.metal / total if known else np.nan,
        "metal_mass": formed @ library.metal / mass if known else np.nan,
        "ebv_stars": av[0] / CALZETTI_RV,
        "ebv_gas": av[1] / CALZETTI_RV,
        "ml": stars / (formed @ library.r_luminosity) if known else np.nan,
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
    """A fitted spectrum: the problem, its solution by pPXF, the columns of its row and its warnings."""

    problem: Problem
    fit: ppxf
    values: dict
    warn: Warn


def regularised_fit(
    spectrum: Spectrum, library: Library, settings: Stellar, solver: str | None = None
) -> Solution:
    """The single, regularised fit of a spectrum, with every column of its row except the bootstrap's.

    Raises Unfit, and nothing else, where the spectrum cannot be fitted.
    """
    problem = set_up(spectrum, library, settings)
    try:
        fit = solve(problem, settings, solver=solver)
    except FAILURES:
        raise Unfit(Warn(0)) from None
    if not (np.isfinite(fit.chi2) and fit.weights[~problem.is_gas].sum() > 0):
        raise Unfit(Warn(0))
    values = properties(problem, fit.weights[~problem.is_gas], attenuations(fit), fit.sol[0])
    values |= parameter_errors(problem, fit)
    if not values["ebv_gas_err"] < DECREMENT:
        values["ebv_gas"] = values["ebv_gas_err"] = np.nan
    values |= lines(problem, fit)
    snr = float(np.median(problem.galaxy[problem.mask] / problem.noise[problem.mask]))
    values |= {"z": spectrum.z, "snr": snr, "chi2": float(fit.chi2), "n_pix": len(fit.goodpixels)}
    warn = Warn(spectrum.warn) | bounds_met(problem, fit)
    return Solution(problem, fit, values, warn | (Warn.LOW_SNR if snr < LOW_SNR else Warn(0)))


def parameter_errors(problem: Problem, fit: ppxf) -> dict:
    """Formal 1 sigma errors of V, sigma and E(B-V), as if the fit were good (Cappellari 2017, section 3.4).

    NaN for a parameter at its bound or without effect. The noise of the pixels is taken as independent.
    """
    params, low, high = parameters(problem, fit), *limits(problem)
    columns = derivatives(fit, params)
    active = fit.matrix[np.ix_(fit.goodpixels, fit.weights > 0)] / fit.noise[fit.goodpixels, None]
    error = formal_errors(project(active, columns), params, low, high) * np.sqrt(fit.chi2)
    error = np.where(error > 0, error, np.nan)
    kinematics = error[:2] * VELSCALE
    names = ("v_err", "vdisp_err", "ebv_stars_err", "ebv_gas_err")
    return dict(zip(names, map(float, [*kinematics, *error[-2:] / CALZETTI_RV])))


def parameters(problem: Problem, fit: ppxf) -> Float[np.ndarray, " par"]:
    """All nonlinear parameters of a solution [pixels; magnitudes], in pPXF's order."""
    return np.concatenate([np.concatenate(fit.sol) / VELSCALE, attenuations(fit)])


def limits(problem: Problem) -> tuple[Float[np.ndarray, " par"], Float[np.ndarray, " par"]]:
    """Lower and upper bounds of all parameters [pixels; magnitudes]."""
    pairs = [pair for name in problem.names for pair in ((-V_MAX, V_MAX), VDISP_RANGE[name])]
    kinematics = np.array(pairs) / VELSCALE
    return np.append(kinematics[:, 0], [0.0, 0.0]), np.append(kinematics[:, 1], AV_MAX)


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
        strengths = group.fluxes(1.0, curve, fit.lam)
        for name in set(strengths) & set(LINES):
            centre = group.centre(name)
            if not fit.lam[fit.goodpixels[0]] < centre < fit.lam[fit.goodpixels[-1]]:
                continue
            per_flux, continuum = strengths[name], gas.continuum(fit.lam, stars, centre)
            found[f"flux_{name}"] = weight * per_flux * unit
            found[f"flux_{name}_err"] = error * per_flux * unit
            found[f"ew_{name}"] = weight * per_flux / continuum if continuum > 0 else np.nan
            found[f"ew_{name}_err"] = error * per_flux / continuum if continuum > 0 else np.nan
    return found


def bounds_met(problem: Problem, fit: ppxf) -> Warn:
    """AT_BOUND where V, sigma or A_V (maximum) of the stars, or V or sigma of a detected gas component, is at a bound.

    A_V = 0 is a result, not a fault.
    """
    strong = fit.gas_flux > DETECTED * (fit.gas_flux_error * np.sqrt(fit.chi2))
    checked = {"stars"} | {group.component for group, seen in zip(problem.groups, strong) if seen}
    stuck = attenuations(fit)[0] >= AV_MAX[0]
    for name, (v, sigma) in zip(problem.names, fit.sol):
        low, high = VDISP_RANGE[name]
        stuck |= name in checked and (abs(v) >= V_MAX or not low < sigma < high)
    return Warn.AT_BOUND if stuck else Warn(0)
