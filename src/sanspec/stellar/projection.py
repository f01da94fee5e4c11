"""pPXF with a faster minimiser: variable projection instead of finite differences.

pPXF (Cappellari 2023) solves for the weights of the templates at every trial of the few nonlinear parameters and takes
derivatives by finite differences in each parameter. At fixed weights the derivative of the model is that of one
combined spectrum per kinematic component, known in closed form in Fourier space; Kaufman's (1975) projection then gives
the Gauss-Newton step of the reduced problem. The design matrix, the linear solution and all outputs remain pPXF's.
"""

import numpy as np
from jaxtyping import Float
from ppxf.ppxf import losvd_rfft, ppxf, regularization
from scipy import linalg, optimize

TRIALS = 30  # maximum number of Gauss-Newton steps
DAMPINGS = 6  # maximum number of dampings of one step
TOLERANCE = 1e-5  # relative fall of chi2 below which the minimum is reached


class Projection(ppxf):
    """`ppxf` (two moments per component, no polynomials, a `dust` curve linear in A_V) with its own `nonlinear_fit`."""

    def nonlinear_fit(self, start0, bounds0, fixed0, tied0, clean):
        """Parameters at the minimum and their formal errors, both in pPXF's order and units (pixels)."""
        params, low, high = self._start(start0, bounds0)
        self.penalty = self._regularisation()
        error, damping = self._residual(params), 0.0
        for self.njev in range(1, TRIALS + 1):
            jacobian = project(self._active(), derivatives(self, params))
            step, trial, damping = self._descend(jacobian, error, params, low, high, damping)
            if step is None:
                break
            fall = error @ error - trial @ trial
            params, error = params + step, trial
            if fall < TOLERANCE * (error @ error):
                break
        self.status = 1
        return params, formal_errors(jacobian, params, low, high)

    def solve_linear(self, A, b, npoly):
        """Non-negative weights by QR and NNLS (Lawson & Hanson 1974): pPXF's result to rounding."""
        reduced = linalg.qr(np.column_stack([A, b]), mode="r", overwrite_a=True, check_finite=False)[0]
        return optimize.nnls(reduced[: len(reduced.T), :-1], reduced[: len(reduced.T), -1])[0]

    def _descend(self, jacobian, error, params, low, high, damping) -> tuple:
        """The first step, with increasing damping, that lowers the penalised chi2; None where none does."""
        for _ in range(DAMPINGS):
            step = bounded_step(jacobian, error, low - params, high - params, damping)
            trial = self._residual(params + step)
            if trial @ trial <= error @ error:
                return step, trial, damping / 10 if damping > 1e-4 else 0.0
            damping = 10 * damping or 1e-2
        return None, error, damping

    def _residual(self, params: np.ndarray) -> Float[np.ndarray, " row"]:
        """Whitened residuals at the best weights, followed by those of regularisation; sets weights and matrix."""
        return np.concatenate([self.linear_fit(params), -self.penalty @ self.weights])

    def _regularisation(self) -> Float[np.ndarray, "row template"]:
        """The rows that pPXF's regularisation adds to the linear problem; none without it."""
        rows = np.zeros((int(np.prod(self.reg_dim)) if self.regul > 0 else 0, self.ntemp))
        if self.regul > 0:
            regularization(rows, 0, 0, self.reg_dim, self.reg_ord, self.reg_step, self.regul)
        return rows

    def _start(self, start0, bounds0):
        """Start, lower and upper bounds of all parameters [pixels; magnitudes]."""
        start = np.concatenate([*start0, *(d["start"] for d in self.dust)]).astype(float)
        limits = [np.asarray(pair, float) / self.velscale for pair in bounds0]
        limits = np.concatenate([*limits, *(d["bounds"] for d in self.dust)])
        return np.clip(start, limits[:, 0], limits[:, 1]), limits[:, 0], limits[:, 1]

    def _active(self) -> Float[np.ndarray, "row active"]:
        """Whitened columns, with the rows of regularisation, of the templates whose weight is not 0."""
        used = self.weights > 0
        columns = self.matrix[np.ix_(self.goodpixels, used)] / self.noise[self.goodpixels, None]
        return np.vstack([columns, self.penalty[:, used]])


# -------------------------------------------------------------------------------------------------------- derivatives


def derivatives(fit: ppxf, params: np.ndarray) -> Float[np.ndarray, "good par"]:
    """Derivative of the whitened model with respect to every parameter [pixels; magnitudes] at fixed weights."""
    weights = fit.weights[: fit.ntemp]
    columns = []
    for c in range(fit.ncomp):
        combined = fit.templates_rfft @ np.where(fit.component == c, weights, 0.0)
        columns += kinematic(fit, params, c, combined[:, None])
    for dust, slope in zip(fit.dust, log_slopes(fit)):
        inside = dust["component"]
        columns.append((fit.matrix[:, inside] @ weights[inside] * slope)[:, None])
    return np.hstack(columns)[fit.goodpixels] / fit.noise[fit.goodpixels, None]


def kinematic(
    fit: ppxf, params: np.ndarray, component: int, spectra: np.ndarray
) -> list[Float[np.ndarray, "pix column"]]:
    """Derivatives with respect to V and sigma [pixels] of one component's Fourier `spectra`, dust included."""
    size = len(spectra)
    omega, sigma = np.linspace(0, np.pi, size), params[2 * component + 1]
    kernel = losvd_rfft(params, 1, fit.moments, size, fit.ncomp, fit.vsyst, 1, 0)[:, component, 0]
    curve = attenuation(fit, params, component)
    return [
        np.fft.irfft(spectra * (factor * kernel)[:, None], fit.npad, axis=0)[: fit.npix] * curve[:, None]
        for factor in (-1j * omega, -sigma * omega**2)
    ]


def attenuation(fit: ppxf, params: np.ndarray, component: int) -> Float[np.ndarray, " pix"]:
    """Fraction of the light of one kinematic component that passes its dust."""
    first = np.flatnonzero(fit.component == component)[0]
    av = params[2 * fit.ncomp :]
    curves = [d["func"](fit.lam, a) for d, a in zip(fit.dust, av) if d["component"][first]]
    return np.prod(curves, axis=0) if curves else np.ones(fit.npix)


def log_slopes(fit: ppxf) -> list[Float[np.ndarray, " pix"]]:
    """d ln(attenuation) / d A_V of every dust: a function of wavelength alone for a curve linear in A_V."""
    return [np.log(dust["func"](fit.lam, 1.0)) for dust in fit.dust]


def project(active: Float[np.ndarray, "row active"], columns: Float[np.ndarray, "good par"]) -> np.ndarray:
    """Columns minus their projection on the active templates (Kaufman 1975), then the rows of regularisation."""
    padded = np.vstack([columns, np.zeros((len(active) - len(columns), columns.shape[1]))])
    if not active.shape[1]:
        return padded
    basis = linalg.qr(active, mode="economic", check_finite=False)[0]
    return padded - basis @ (basis.T @ padded)


def bounded_step(
    jacobian: np.ndarray, error: np.ndarray, low: np.ndarray, high: np.ndarray, damping: float
) -> Float[np.ndarray, " par"]:
    """Least-squares step within bounds; parameters without any effect do not move."""
    normal = jacobian.T @ jacobian
    scale = np.sqrt(np.diag(normal))
    free = scale > 1e-7 * max(scale.max(), 1e-30)
    step = np.zeros(len(scale))
    if free.any():
        scaled = jacobian[:, free] / scale[free]
        rows = np.vstack([scaled, np.sqrt(damping) * np.eye(free.sum())])
        target = np.concatenate([error, np.zeros(free.sum())])
        limits = np.minimum(low[free], 0) * scale[free], np.maximum(high[free], 0) * scale[free] + 1e-12
        step[free] = optimize.lsq_linear(rows, target, limits, method="bvls").x / scale[free]
    return step


def formal_errors(jacobian: np.ndarray, params: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """1 sigma errors from the projected Jacobian, 0 for a parameter at a bound or without effect."""
    normal = jacobian.T @ jacobian
    free = (np.diag(normal) > 1e-14 * np.diag(normal).max()) & (params > low) & (params < high)
    error = np.zeros(len(params))
    if free.any():
        error[free] = np.sqrt(np.clip(np.diag(linalg.pinvh(normal[np.ix_(free, free)])), 0, None))
    return error
