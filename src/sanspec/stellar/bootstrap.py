"""Wild bootstrap of a population fit (Davidson & Flachaire 2008; Kacharov et al. 2018): residuals that change sign.

A draw is the best fit of the regularised solution plus its residuals with random signs, fitted without
regularisation from that solution. `full` solves every draw with pPXF. `fast` linearises the design matrix
about the solution once, compresses it by one QR decomposition and takes two Gauss-Newton steps a draw (up to
five where two do not settle it), each with its own non-negative weights; a draw that meets a bound, leaves
the linear range or does not settle is solved in full, and counted.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from ppxf.ppxf import ppxf
from scipy import linalg, optimize

from sanspec.config import Stellar
from sanspec.stellar.flips import signs
from sanspec.stellar.ppxf_fit import (
    FAILURES,
    Solution,
    attenuations,
    limits,
    parameters,
    properties,
    solve,
)
from sanspec.stellar.problem import Problem, rest_fwhm
from sanspec.stellar.projection import bounded_step, kinematic, log_slopes, project
from sanspec.stellar.results import KINDS

STEPS, TRIALS = 2, 8  # Gauss-Newton steps that every draw takes; steps and damped steps that one may try
SETTLED = 3e-3  # relative fall of chi2 in the last step below which a draw has settled
RANK = 3e-3  # singular values of a derivative, relative to the greatest, that are kept
# Greatest believed step of V and sigma: so many pixels, or this part of the dispersion where that is more
REACH = 1.0, 0.45
REACH_AV = 0.3, 0.8  # greatest believed step of A_V of stars and of gas [mag]


@dataclass(frozen=True)
class Draws:
    """Quantities by name, (draw) arrays with NaN for failed draws; `refits`: draws of the fast mode solved in full."""

    values: dict[str, Float[np.ndarray, " draw"]]
    refits: int = 0

    @property
    def failed(self) -> int:
        """Draws without a result."""
        return int(np.isnan(next(iter(self.values.values()))).sum())


def realisations(solution: Solution, settings: Stellar, draws: int) -> Float[np.ndarray, "draw pix"]:
    """Spectra of the draws; draw b depends on (seed, specobjid, kind, b) alone."""
    problem, fit = solution.problem, solution.fit
    spectrum, residual = problem.spectrum, problem.galaxy - fit.bestfit
    edges = np.exp(np.log(problem.lam[0]) + (np.arange(len(problem.lam) + 1) - 0.5) * _step(problem))
    length = rest_fwhm(spectrum, edges)
    key = [settings.seed, spectrum.specobjid, KINDS.index(spectrum.kind)]
    rngs = (np.random.default_rng([*key, draw]) for draw in range(draws))
    return np.array([fit.bestfit + residual * signs(edges, length, settings.ppxf.flips, rng) for rng in rngs])


def _step(problem: Problem) -> float:
    """Logarithmic pixel of the common grid."""
    return float(np.log(problem.lam[-1] / problem.lam[0]) / (len(problem.lam) - 1))


def bootstrap(
    solution: Solution, settings: Stellar, mode: str | None = None, solver: str | None = None
) -> Draws:
    """The draws of a solution; mode: `fast` or `full`, settings.ppxf.bootstrap unless given."""
    spectra = realisations(solution, settings, settings.ppxf.draws)
    if (mode or settings.ppxf.bootstrap) == "full":
        rows = [refit(solution, settings, galaxy, solver) for galaxy in spectra]
        return Draws(_columns(rows))
    linear = Linearised(solution)
    found = [linear.draw(row) for row in linear.compress(spectra)]
    refits = [b for b, values in enumerate(found) if values is None]
    for b in refits:
        found[b] = refit(solution, settings, spectra[b], solver)
    return Draws(_columns(found), len(refits))


def refit(
    solution: Solution, settings: Stellar, galaxy: Float[np.ndarray, " pix"], solver: str | None = None
) -> dict:
    """Quantities of one draw solved in full, unregularised; none where it fails."""
    problem = solution.problem
    try:
        fit = solve(problem, settings, galaxy, solution.fit, regul=0.0, solver=solver)
    except FAILURES:
        return {}
    return properties(problem, fit.weights[~problem.is_gas], attenuations(fit), fit.sol[0])


def _columns(rows: list[dict]) -> dict[str, np.ndarray]:
    """Rows of quantities as arrays by name, NaN where a row has none."""
    names = next((list(row) for row in rows if row), ["vdisp"])
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


class Linearised:
    """The whitened design matrix and its derivatives about a solution, compressed to as few rows as they span.

    The gas's A_V, the least certain parameter, is taken to second order.
    """

    def __init__(self, solution: Solution):
        problem, fit = solution.problem, solution.fit
        self.problem, self.stars = problem, ~problem.is_gas
        self.params = parameters(problem, fit)
        self.low, self.high = limits(problem)
        widths = np.maximum(REACH[0], REACH[1] * self.params[1 : 2 * fit.ncomp : 2])
        self.reach = np.append(np.repeat(widths, 2), REACH_AV)
        self.matters = matters(problem, solution.values)
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
        """Good rows over their noise."""
        return columns[self.good] / self.noise[:, None]

    def compress(self, spectra: Float[np.ndarray, "draw pix"]) -> Float[np.ndarray, "draw row"]:
        """Spectra as the compressed system sees them."""
        return (spectra[:, self.good] / self.noise) @ self.basis

    def at(self, shift: Float[np.ndarray, " par"]) -> Float[np.ndarray, "row column"]:
        """Design matrix a shift of the parameters away from the solution."""
        matrix = self.matrix.copy()
        for amount, (columns, block) in zip(shift, self.blocks):
            matrix[:, columns] += amount * block
        matrix[:, ~self.stars] += 0.5 * shift[-1] ** 2 * self.bend
        return matrix

    def draw(self, target: Float[np.ndarray, " row"]) -> dict | None:
        """Quantities of one draw; None where it needs a full refit."""
        shift, damping, settled = np.zeros(len(self.params)), 0.0, 0
        matrix = self.matrix
        weights, distance = optimize.nnls(matrix, target)
        for _ in range(TRIALS):
            step = self.step(matrix, weights, target - matrix @ weights, shift, damping)
            if (np.abs(step) > self.reach)[self.matters].any():
                return None
            trial = shift + np.clip(step, -self.reach, self.reach)
            there = self.at(trial)
            follow, further = optimize.nnls(there, target)
            if further > distance * (1 + 1e-9):
                damping = 10 * damping or 1e-2
                continue
            fall, settled = distance**2 - further**2, settled + 1
            shift, matrix, weights, distance, damping = trial, there, follow, further, damping / 10
            if settled >= STEPS and fall < SETTLED * distance**2:
                return None if self.meets_bound(shift) else self.quantities(weights, self.params + shift)
        return None

    def step(
        self, matrix: np.ndarray, weights: np.ndarray, residual: np.ndarray, shift: np.ndarray, damping: float
    ) -> Float[np.ndarray, " par"]:
        """Gauss-Newton step of the parameters inside their bounds, the active weights free to follow."""
        slope = np.column_stack([block @ weights[columns] for columns, block in self.blocks])
        slope[:, -1] += shift[-1] * (self.bend @ weights[~self.stars])
        here = self.params + shift
        jacobian = project(matrix[:, weights > 0], slope)
        return bounded_step(jacobian, residual, self.low - here, self.high - here, damping)

    def meets_bound(self, shift: Float[np.ndarray, " par"]) -> bool:
        """Whether a parameter that matters has come to a bound at which the solution does not stand already."""
        here = self.params + shift
        now = (here <= self.low + 1e-9) | (here >= self.high - 1e-9)
        before = (self.params <= self.low + 1e-9) | (self.params >= self.high - 1e-9)
        return bool((now & ~before & self.matters).any())

    def quantities(self, weights: np.ndarray, params: np.ndarray) -> dict:
        """Quantities of `results.QUANTITIES` from weights and parameters [pixels; magnitudes]."""
        return properties(self.problem, weights[self.stars], params[-2:], params[:2] * self.problem.velscale)


def matters(problem: Problem, values: dict) -> Bool[np.ndarray, " par"]:
    """Parameters that a table reports: V, sigma and A_V of the stars, A_V of the gas where it is measured."""
    kinematics = [name == "stars" for name in problem.names for _ in range(2)]
    return np.array([*kinematics, True, bool(np.isfinite(values["ebv_gas"]))])


def slopes(fit: ppxf, params: Float[np.ndarray, " par"]) -> list[tuple[np.ndarray, np.ndarray]]:
    """For every parameter the columns that it moves, and their derivatives (pix, column)."""
    found = []
    for component in range(fit.ncomp):
        columns = np.flatnonzero(fit.component == component)
        found += [
            (columns, block) for block in kinematic(fit, params, component, fit.templates_rfft[:, columns])
        ]
    for dust, slope in zip(fit.dust, log_slopes(fit)):
        columns = np.flatnonzero(dust["component"])
        found.append((columns, fit.matrix[:, columns] * slope[:, None]))
    return found


def span(block: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row rank"]:
    """Columns that span a block to within `RANK` of its greatest singular value."""
    values, vectors = linalg.eigh(block.T @ block)
    kept = values > RANK**2 * max(values[-1], 1e-300)
    return block @ (vectors[:, kept] / np.sqrt(values[kept]))
