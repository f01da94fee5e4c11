"""Linear fits of eigenspectra at a trial redshift, and by how much they reduce chi2 below polynomials alone.

The pixels that the eigenspectra cover are fitted twice: by polynomials, and by polynomials and eigenspectra. The merit
of a redshift is the reduction of chi2 from the first fit to the second (its gain). Pixels outside the coverage enter
neither fit, so that a redshift cannot win through pixels that its templates do not reach.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numba
import numpy as np
from jaxtyping import Float
from scipy import ndimage, sparse

from sanspec import store
from sanspec.errors import SanspecError
from sanspec.spectra.grid import LOGLAM_STEP, WAVE

Progress = Callable[[Iterable], Iterable]  # wraps a loop in a progress bar
# Added to the unit diagonal of the normal matrix, so that a vector without a covered pixel gets the coefficient 0
RIDGE = 1e-10
SPARSE = 0.1  # fraction of differing weights below which a sparse matrix of the differences is faster


@dataclass(frozen=True)
class Eigenspectra:
    """Rest-frame eigenspectra on the common SDSS grid.

    loglam: log10 vacuum Angstrom in steps of 1e-4; vectors: any scale, finite.
    """

    loglam: Float[np.ndarray, " log"]
    vectors: Float[np.ndarray, "component log"]

    @property
    def spline(self) -> Float[np.ndarray, "component log"]:
        """Coefficients of the cubic B-spline through the vectors."""
        return ndimage.spline_filter1d(np.asarray(self.vectors, dtype=np.float64), 3, axis=1, mode="mirror")


def write_eigenspectra(path: Path, eigenspectra: Eigenspectra, made: Mapping) -> None:
    """Write eigenspectra.h5 with the provenance `made`."""
    loglam = "log10 of the vacuum rest-frame wavelength [Angstrom]"
    vectors = "eigenspectra, flux per Angstrom, any scale"
    with store.create(path, made) as file:
        store.put(file, "loglam", eigenspectra.loglam, "pix", description=loglam)
        store.put(file, "vectors", eigenspectra.vectors, "component pix", description=vectors)


def read_eigenspectra(path: Path) -> Eigenspectra:
    """Read eigenspectra.h5. Raises SanspecError when the file is missing or holds something else."""
    with store.arrays(path) as file:
        if not {"loglam", "vectors"} <= set(file):
            raise SanspecError(f"{path} holds no eigenspectra: give the output of `sanspec eigenspectra`")
        return Eigenspectra(file["loglam"][:], file["vectors"][:])


class Fitter:
    """Gains of spectra on one wavelength grid (`wave`: vacuum Angstrom, observed frame) at trial redshifts."""

    def __init__(self, eigenspectra: Eigenspectra, polynomials: int, wave: Float[np.ndarray, " pix"] = WAVE):
        self.spline, self.first = eigenspectra.spline, float(eigenspectra.loglam[0])
        self.loglam = np.log10(wave)
        x = np.linspace(-1.0, 1.0, len(wave))
        self.smooth = (
            np.polynomial.legendre.legvander(x, polynomials - 1).T if polynomials else np.empty((0, len(x)))
        )

    def basis(self, shift: float) -> Float[np.ndarray, "vector pix"]:
        """Polynomials, then eigenspectra, at ln(1 + z) = shift; zero outside the coverage of the eigenspectra."""
        position = (self.loglam - shift / np.log(10.0) - self.first) / LOGLAM_STEP
        vectors = _spline_values(self.spline, position)
        covered = (position >= 0) & (position <= self.spline.shape[1] - 1)
        basis = np.concatenate([self.smooth, vectors]) * covered
        scale = np.sqrt(np.sum(basis**2, axis=1, keepdims=True))
        return basis / np.where(scale > 0, scale, 1.0)

    def gains(
        self, shift: float, weighted: Float[np.ndarray, "gal pix"], weight: "Weight"
    ) -> Float[np.ndarray, " gal"]:
        """Reduction of chi2 by the eigenspectra below the polynomials alone; weighted: flux times weight."""
        basis = self.basis(shift)
        normal = weight.gram(basis)
        diagonal = np.sqrt(np.maximum(np.einsum("gii->gi", normal), np.finfo(float).tiny))
        normal = normal / (diagonal[:, :, None] * diagonal[:, None, :])
        normal[:, range(len(basis)), range(len(basis))] = 1.0 + RIDGE
        right = (weighted @ basis.T) / diagonal
        # y of L y = b, with the polynomials first, splits chi2 into their part and what the eigenspectra add
        coordinates = np.linalg.solve(np.linalg.cholesky(normal), right[:, :, None])[:, :, 0]
        return np.sum(coordinates[:, len(self.smooth) :] ** 2, axis=1)


class Weight:
    """Pixel weights of a set of spectra, for fast normal matrices.

    Spectra that share one weight apart from a few masked pixels need the full sum once; the pixels that differ are
    summed per spectrum.
    """

    def __init__(self, weight: Float[np.ndarray, "gal pix"]):
        common = np.median(weight, axis=0)
        few = np.count_nonzero(weight - common) < SPARSE * weight.size
        self.common = common if few else np.zeros_like(common)
        self.rest = sparse.csr_array(weight - common) if few else weight

    def gram(self, basis: Float[np.ndarray, "vector pix"]) -> Float[np.ndarray, "gal vector vector"]:
        """sum_p w_gp B_ip B_jp for every spectrum g."""
        pairs = products(basis)
        return symmetric(self.rest @ pairs.T + pairs @ self.common, len(basis))


def products(basis: Float[np.ndarray, "vector pix"]) -> Float[np.ndarray, "pair pix"]:
    """Products of every two vectors of a basis: the upper triangle of their outer product at every pixel."""
    upper = np.triu_indices(len(basis))
    return basis[upper[0]] * basis[upper[1]]


def symmetric(values: Float[np.ndarray, "gal pair"], count: int) -> Float[np.ndarray, "gal vector vector"]:
    """Symmetric matrices of size `count` from their upper triangles."""
    upper = np.triu_indices(count)
    matrix = np.empty((len(values), count, count))
    matrix[:, upper[0], upper[1]] = values
    matrix[:, upper[1], upper[0]] = values
    return matrix


@numba.njit(cache=True, nogil=True)
def _spline_values(spline, position):
    """Cubic B-splines at fractional positions; zero outside their grid."""
    vectors, length = spline.shape
    result = np.zeros((vectors, len(position)))
    for pixel in range(len(position)):
        if not 0.0 <= position[pixel] <= length - 1:
            continue
        start = min(int(position[pixel]), length - 2)
        t = position[pixel] - start
        weights = (
            (1 - t) ** 3 / 6,
            (4 - 6 * t**2 + 3 * t**3) / 6,
            (1 + 3 * t + 3 * t**2 - 3 * t**3) / 6,
            t**3 / 6,
        )
        for tap in range(4):
            index = start - 1 + tap
            index = -index if index < 0 else index  # mirrored, as spline_filter1d has it
            index = 2 * (length - 1) - index if index > length - 1 else index
            for vector in range(vectors):
                result[vector, pixel] += weights[tap] * spline[vector, index]
    return result
