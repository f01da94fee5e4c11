"""Eigenspectra of gappy rest-frame spectra: expectation-maximisation PCA with weights."""

import numpy as np
from jaxtyping import Float

from sanspec.redshift.eigenfit import Eigenspectra, Progress, products, symmetric
from sanspec.spectra import grid
from sanspec.spectra.spectra import Spectra

Rows = Float[np.ndarray, "gal log"]
Vectors = Float[np.ndarray, "component log"]

# Times the mean diagonal, added to a normal matrix: a spectrum of hardly any weight stays solvable
RIDGE = 1e-12
ITERATIONS = 25  # of expectation and maximisation
ERROR_FLOOR = 0.03  # fractional error added in quadrature to every pixel, so that no bright galaxy dominates
COVERAGE = 0.05  # minimum fraction of the spectra that must reach a pixel


def empca(
    flux: Rows,
    weight: Rows,
    components: int,
    iterations: int = ITERATIONS,
    seed: int = 0,
    progress: Progress = iter,
) -> Vectors:
    """Orthonormal vectors V that minimise sum w (flux - c V)^2, by EM (Roweis 1998; weighted: Bailey 2012).

    No mean is subtracted: the first vector is close to the mean spectrum, as for the eigenspectra of the SDSS pipeline
    (Bolton et al. 2012). The vectors are in order of power, each with a positive sum. flux: any scale; weight: inverse
    variance, 0 where unknown (flux is not read there). Complete data of equal weights give the truncated SVD.
    """
    flux = np.where(weight > 0, flux, 0.0)
    vectors = np.linalg.qr(np.random.default_rng(seed).standard_normal((flux.shape[1], components)))[0].T
    coefficients = np.empty((len(flux), components))
    for _ in progress(range(iterations)):
        coefficients = weighted_solve(vectors, flux, weight)
        vectors = weighted_solve(coefficients.T, flux.T, weight.T).T
        # The same product, with orthonormal vectors in order of power
        ortho, triangle = np.linalg.qr(vectors.T)
        left, power, right = np.linalg.svd(coefficients @ triangle.T, full_matrices=False)
        vectors, coefficients = right @ ortho.T, left * power
    return vectors * np.where(vectors.sum(axis=1, keepdims=True) < 0, -1.0, 1.0)


def weighted_solve(
    basis: Float[np.ndarray, "vector pix"],
    data: Float[np.ndarray, "row pix"],
    weight: Float[np.ndarray, "row pix"],
) -> Float[np.ndarray, "row vector"]:
    """Coefficients of every row of `data` on `basis` by weighted least squares; 0 for a row without weight."""
    count = len(basis)
    normal = symmetric(weight @ products(basis).T, count)
    trace = np.trace(normal, axis1=1, axis2=2)[:, None, None] / count
    normal += np.eye(count) * np.where(trace > 0, RIDGE * trace, 1.0)
    return np.linalg.solve(normal, ((weight * data) @ basis.T)[:, :, None])[:, :, 0]


def explained(flux: Rows, weight: Rows, vectors: Vectors) -> float:
    """Fraction of the weighted power, sum w flux^2, that the vectors explain."""
    residual = flux - weighted_solve(vectors, flux, weight) @ vectors
    return float(1 - np.sum(weight * residual**2) / np.sum(weight * flux**2))


def rest_frame(
    spectra: Spectra, floor: float = ERROR_FLOOR, coverage: float = COVERAGE
) -> tuple[Float[np.ndarray, " log"], Rows, Rows]:
    """Rest-frame spectra and their weights on the common SDSS grid.

    floor: fractional error added in quadrature; coverage: minimum fraction of the spectra that must reach a pixel.
    Returns loglam (log10 vacuum Angstrom), flux and weight (inverse variance, 0 where unknown).
    """
    z, edges = spectra.z, np.log10(grid.bin_edges(grid.WAVE)[[0, -1]])
    first = int(np.ceil((edges[0] - np.log10(1 + z.max())) / grid.LOGLAM_STEP))
    last = int(np.floor((edges[1] - np.log10(1 + z.min())) / grid.LOGLAM_STEP))
    rest, rest_ivar = (
        grid.to_loglam(np.where(spectra.good, values, np.nan), first, last - first + 1, z)
        for values in (spectra.flux, spectra.ivar)
    )
    known = np.isfinite(rest) & np.isfinite(rest_ivar)
    variance = 1 / np.where(known, rest_ivar, 1.0) + (floor * np.where(known, rest, 0.0)) ** 2
    weight = np.where(known, 1 / variance, 0.0)
    reach = np.flatnonzero(known.mean(axis=0) >= coverage)
    keep = slice(reach[0], reach[-1] + 1)
    loglam = grid.LOGLAM_STEP * np.arange(first, last + 1)
    return loglam[keep], np.where(known, rest, 0.0)[:, keep], weight[:, keep]


def of_spectra(spectra: Spectra, components: int, progress: Progress = iter) -> tuple[Eigenspectra, float]:
    """Eigenspectra of a sample, and the fraction of its weighted power that they explain."""
    loglam, flux, weight = rest_frame(spectra)
    vectors = empca(flux, weight, components, progress=progress)
    return Eigenspectra(loglam, vectors), explained(flux, weight, vectors)
