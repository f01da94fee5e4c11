"""Wild bootstrap of a pPXF fit (Davidson & Flachaire 2008; Kacharov et al. 2018): residuals with random signs.

A draw is the best fit of the regularised solution plus its residuals with random signs, fitted without regularisation
from that solution. `full` solves every draw with pPXF. `fast` linearises the design matrix around the solution once,
compresses it by one QR decomposition and takes two Gauss-Newton steps per draw (more where two do not converge), each
with its own non-negative weights; a draw that meets a bound, leaves the linear range or does not converge is solved in
full, and counted.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from ppxf.ppxf import ppxf
from scipy import linalg, optimize

from sanspec.config import Stellar
from sanspec.stellar.ppxf_fit import FAILURES, Solution, attenuations, limits, parameters, properties, solve
from sanspec.stellar.problem import VELSCALE, Problem, rest_fwhm
from sanspec.stellar.projection import bounded_step, kinematic, log_slopes, project
from sanspec.stellar.resampling import random_signs

STEPS, TRIALS = 2, 8  # minimum number of Gauss-Newton steps; maximum number of trials, damped ones included
CONVERGED = 3e-3  # relative fall of chi2 in the last step below which a draw has converged
RANK = 3e-3  # minimum singular value of a derivative that is kept, relative to the maximum
REACH = 1.0, 0.45  # linear range of V and sigma: the larger of 1 pixel and 0.45 of the dispersion
REACH_AV = 0.3, 0.8  # linear range of A_V of stars and of gas [mag]


@dataclass(frozen=True)
class BootstrapDraws:
    """Quantities by name, (draw) arrays with NaN for failed draws; `refits`: draws of the fast mode solved in full."""

    values: dict[str, Float[np.ndarray, " draw"]]
    refits: int = 0

    @property
    def failed(self) -> int:
        """Number of draws without a result."""
        return int(np.isnan(next(iter(self.values.values()))).sum())


def realisations(solution: Solution, settings: Stellar, draws: int) -> Float[np.ndarray, "draw pix"]:
    """Spectra of the draws: the best fit plus its residuals with random signs."""
    problem, fit = solution.problem, solution.fit
    spectrum, residual = problem.spectrum, problem.galaxy - fit.bestfit
    length = rest_fwhm(spectrum, problem.edges)
    signs = random_signs(spectrum, settings.seed, problem.edges, length, settings.ppxf.flips, draws)
    return np.array([fit.bestfit + residual * sign for sign in signs])


def bootstrap(
    solution: Solution, settings: Stellar, mode: str | None = None, solver: str | None = None
) -> BootstrapDraws:
    """The draws of a solution; mode: `fast` or `full`, settings.ppxf.bootstrap unless given."""
    spectra = realisations(solution, settings, settings.ppxf.draws)
    if (mode or settings.ppxf.bootstrap) == "full":
        rows, refits = [refit(solution, settings, galaxy, solver) for galaxy in spectra], 0
    else:
        linear = Linearised(solution)
        rows = [linear.draw(row) for row in linear.compress(spectra)]
        refits = sum(row is None for row in rows)
        rows = [row or refit(solution, settings, galaxy, solver) for row, galaxy in zip(rows, spectra)]
    names = next((list(row) for row in rows if row), ["vdisp"])
    return BootstrapDraws({name: np.array([row.get(name, np.nan) for row in rows]) for name in names}, refits)


def refit(
    solution: Solution, settings: Stellar, galaxy: Float[np.ndarray, " pix"], solver: str | None = None
) -> dict:
    """Quantities of one draw solved in full, without regularisation; empty where the fit fails."""
    problem = solution.problem
    try:
        fit = solve(problem, settings, galaxy, solution.fit, regul=0.0, solver=solver)
    except FAILURES:
        return {}
    return properties(problem, fit.weights[~problem.is_gas], attenuations(fit), fit.sol[0])


class Linearised:
    """The whitened design matrix and its derivatives around a solution, compressed to the rows that they span.

    A_V of the gas, the least certain parameter, is expanded to second order.
    """

    def __init__(self, solution: Solution):
        problem, fit = solution.problem, solution.fit
        self.problem, self.stars = problem, ~problem.is_gas
        self.params = parameters(problem, fit)
        self.low, self.high = limits(problem)
        widths = np.maximum(REACH[0], REACH[1] * self.params[1 : 2 * fit.ncomp : 2])
        self.reach = np.append(np.repeat(widths, 2), REACH_AV)
        self.reported = reported(problem, solution.values)
        self.good, self.noise = fit.goodpixels, problem.noise[fit.goodpixels]
        matrix = self._whiten(fit.matrix)
        blocks = [(columns, self._whiten(block)) for columns, block in slopes(fit, self.params)]
        bend = self._whiten(fit.matrix[:, problem.is_gas] * log_slopes(fit)[1][:, None] ** 2)
        spanned = [matrix, *(span(block) for _, block in blocks), bend]
        self.basis = linalg.qr(np.hstack(spanned), mode="economic", check_finite=False)[0]
        self.matrix = self.basis.T @ matrix
        self.blocks = [(columns, self.basis.T @ block) for columns, block in blocks]
        self.bend = self.basis.T @ bend

    def _whiten(self, columns: Float[np.ndarray, "pix column"]) -> Float[np.ndarray, "good column"]:
        """Rows of good pixels, divided by their noise."""
        return columns[self.good] / self.noise[:, None]

    def compress(self, spectra: Float[np.ndarray, "draw pix"]) -> Float[np.ndarray, "draw row"]:
        """Spectra projected onto the compressed rows."""
        return (spectra[:, self.good] / self.noise) @ self.basis

    def at(self, shift: Float[np.ndarray, " par"]) -> Float[np.ndarray, "row column"]:
        """Design matrix at the parameters of the solution plus `shift`."""
        matrix = self.matrix.copy()
        for amount, (columns, block) in zip(shift, self.blocks):
            matrix[:, columns] += amount * block
        matrix[:, ~self.stars] += 0.5 * shift[-1] ** 2 * self.bend
        return matrix

    def draw(self, target: Float[np.ndarray, " row"]) -> dict | None:
        """Quantities of one draw; None where it needs a full refit."""
        shift, damping, steps = np.zeros(len(self.params)), 0.0, 0
        matrix = self.matrix
        weights, distance = optimize.nnls(matrix, target)
        for _ in range(TRIALS):
            step = self.step(matrix, weights, target - matrix @ weights, shift, damping)
            if (np.abs(step) > self.reach)[self.reported].any():
                return None
            trial = shift + np.clip(step, -self.reach, self.reach)
            there = self.at(trial)
            follow, further = optimize.nnls(there, target)
            if further > distance * (1 + 1e-9):
                damping = 10 * damping or 1e-2
                continue
            fall, steps = distance**2 - further**2, steps + 1
            shift, matrix, weights, distance, damping = trial, there, follow, further, damping / 10
            if steps >= STEPS and fall < CONVERGED * distance**2:
                return None if self.meets_bound(shift) else self.quantities(weights, self.params + shift)
        return None

    def step(
        self, matrix: np.ndarray, weights: np.ndarray, residual: np.ndarray, shift: np.ndarray, damping: float
    ) -> Float[np.ndarray, " par"]:
        """Gauss-Newton step of the parameters within their bounds, with the active weights free."""
        slope = np.column_stack([block @ weights[columns] for columns, block in self.blocks])
        slope[:, -1] += shift[-1] * (self.bend @ weights[~self.stars])
        here = self.params + shift
        jacobian = project(matrix[:, weights > 0], slope)
        return bounded_step(jacobian, residual, self.low - here, self.high - here, damping)

    def meets_bound(self, shift: Float[np.ndarray, " par"]) -> bool:
        """Whether a reported parameter has reached a bound at which the solution was not already."""
        here = self.params + shift
        now = (here <= self.low + 1e-9) | (here >= self.high - 1e-9)
        before = (self.params <= self.low + 1e-9) | (self.params >= self.high - 1e-9)
        return bool((now & ~before & self.reported).any())

    def quantities(self, weights: np.ndarray, params: np.ndarray) -> dict:
        """Quantities of `results.QUANTITIES` from weights and parameters [pixels; magnitudes]."""
        return properties(self.problem, weights[self.stars], params[-2:], params[:2] * VELSCALE)


def reported(problem: Problem, values: dict) -> Bool[np.ndarray, " par"]:
    """Which parameters the table reports: V, sigma and A_V of the stars, A_V of the gas where it is measured."""
    kinematics = [name == "stars" for name in problem.names for _ in range(2)]
    return np.array([*kinematics, True, bool(np.isfinite(values["ebv_gas"]))])


def slopes(fit: ppxf, params: Float[np.ndarray, " par"]) -> list[tuple[np.ndarray, np.ndarray]]:
    """For every parameter the columns that depend on it, and their derivatives (pix, column)."""
    found = []
    for component in range(fit.ncomp):
        columns = np.flatnonzero(fit.component == component)
        blocks = kinematic(fit, params, component, fit.templates_rfft[:, columns])
        found += [(columns, block) for block in blocks]
    for dust, slope in zip(fit.dust, log_slopes(fit)):
        columns = np.flatnonzero(dust["component"])
        found.append((columns, fit.matrix[:, columns] * slope[:, None]))
    return found


def span(block: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row rank"]:
    """Columns that span a block to within `RANK` of its maximum singular value."""
    values, vectors = linalg.eigh(block.T @ block)
    kept = values > RANK**2 * max(values[-1], 1e-300)
    return block @ (vectors[:, kept] / np.sqrt(values[kept]))
