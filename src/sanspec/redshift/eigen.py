"""Eigenspectra of gappy rest-frame spectra: expectation-maximisation PCA with weights."""

from collections.abc import Callable, Iterable

import numpy as np
from jaxtyping import Float

from sanspec.spectra import grid

RIDGE = (
    1e-12  # of the mean diagonal of a normal matrix: keeps a spectrum or pixel of hardly any weight solvable
)


def empca(
    flux: Float[np.ndarray, "gal log"],
    weight: Float[np.ndarray, "gal log"],
    components: int,
    iterations: int = 25,
    seed: int = 0,
    progress: Callable[[Iterable], Iterable] = iter,
) -> Float[np.ndarray, "component log"]:
    """Orthonormal vectors that minimise sum w (flux - c V)^2, by EM (Roweis 1998; weighted: Bailey 2012).

    No mean is subtracted: the first vector is close to the mean spectrum, as in the SDSS pipeline's
    eigenspectra (Bolton et al. 2012). Ordered by the power they carry, each with a positive sum. flux: any
    scale; weight: inverse variance, 0 where unknown (the flux there is not read). On complete data with
    equal weights it is the truncated SVD.
    """
    flux = np.where(weight > 0, flux, 0.0)
    vectors = np.linalg.qr(np.random.default_rng(seed).standard_normal((flux.shape[1], components)))[0].T
    coefficients = np.empty((len(flux), components))
    for _ in progress(range(iterations)):
        coefficients = weighted_solve(vectors, flux, weight)
        vectors = weighted_solve(coefficients.T, flux.T, weight.T).T
        vectors, coefficients = _canonical(vectors, coefficients)
    return vectors * np.where(vectors.sum(axis=1, keepdims=True) < 0, -1.0, 1.0)


def weighted_solve(
    basis: Float[np.ndarray, "vector pix"],
    data: Float[np.ndarray, "row pix"],
    weight: Float[np.ndarray, "row pix"],
) -> Float[np.ndarray, "row vector"]:
    """Coefficients of every row of `data` on `basis`, by weighted least squares; 0 where all weight is 0."""
    count = len(basis)
    upper = np.triu_indices(count)
    values = weight @ (basis[upper[0]] * basis[upper[1]]).T
    normal = np.empty((len(data), count, count))
    normal[:, upper[0], upper[1]] = values
    normal[:, upper[1], upper[0]] = values
    trace = np.trace(normal, axis1=1, axis2=2)[:, None, None] / count
    normal += np.eye(count) * np.where(trace > 0, RIDGE * trace, 1.0)
    return np.linalg.solve(normal, ((weight * data) @ basis.T)[:, :, None])[:, :, 0]


def explained(
    flux: Float[np.ndarray, "gal log"],
    weight: Float[np.ndarray, "gal log"],
    vectors: Float[np.ndarray, "component log"],
) -> float:
    """Fraction of sum w flux^2 that the vectors fit."""
    residual = flux - weighted_solve(vectors, flux, weight) @ vectors
    return float(1 - np.sum(weight * residual**2) / np.sum(weight * flux**2))


def _canonical(vectors: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same product with orthonormal vectors, in order of power."""
    ortho, triangle = np.linalg.qr(vectors.T)
    left, power, right = np.linalg.svd(coefficients @ triangle.T, full_matrices=False)
    return right @ ortho.T, left * power


def rest_frame(
    flux: Float[np.ndarray, "gal pix"],
    ivar: Float[np.ndarray, "gal pix"],
    z: Float[np.ndarray, " gal"],
    floor: float,
    coverage: float,
) -> tuple[Float[np.ndarray, " log"], Float[np.ndarray, "gal log"], Float[np.ndarray, "gal log"]]:
    """Rest-frame spectra and weights on the common SDSS grid, where enough of the spectra reach.

    flux, ivar: on the product grid, observed frame, ivar 0 where masked; floor: fractional error added in
    quadrature, so that a few bright galaxies do not rule; coverage: least fraction of spectra that a pixel
    must have. Returns loglam (log10 vacuum Angstrom), flux and weight (0 where unknown).
    """
    edges = np.log10(grid.bin_edges(grid.WAVE)[[0, -1]])
    first = int(np.ceil((edges[0] - np.log10(1 + z.max())) / grid.LOGLAM_STEP))
    last = int(np.floor((edges[1] - np.log10(1 + z.min())) / grid.LOGLAM_STEP))
    good = (ivar > 0) & np.isfinite(flux)
    rest = grid.to_loglam(np.where(good, flux, np.nan), first, last - first + 1, z)
    rest_ivar = grid.to_loglam(np.where(good, ivar, np.nan), first, last - first + 1, z)
    known = np.isfinite(rest) & np.isfinite(rest_ivar)
    variance = 1 / np.where(known, rest_ivar, 1.0) + (floor * np.where(known, rest, 0.0)) ** 2
    weight = np.where(known, 1 / variance, 0.0)
    reach = np.flatnonzero(known.mean(axis=0) >= coverage)
    keep = slice(reach[0], reach[-1] + 1)
    loglam = grid.LOGLAM_STEP * np.arange(first, last + 1)
    return loglam[keep], np.where(known, rest, 0.0)[:, keep], weight[:, keep]
