"""Baselines without a network: the training galaxy nearest in image or colours, and the mean training spectrum."""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Float

from sanspec.spectra import grid

FINALISTS = 5  # nearest vectors by single-precision products, among which the exact distance decides
APERTURE = 12.0  # radius [pixel] in which colours are measured
REST_WAVE = np.arange(3400.0, 8200.0)  # of the mean spectrum [Angstrom, vacuum]
REST_WAVE.setflags(write=False)


def standardise(
    images: Float[np.ndarray, "gal band y x"],
    softening: Float[np.ndarray, " band"],
    mean: Float[np.ndarray, " band"],
    std: Float[np.ndarray, " band"],
) -> Float[np.ndarray, "gal value"]:
    """Images as flat vectors of (asinh(image / softening) - mean) / std, with those three numbers per band.

    images: nanomaggies; pixels that are not finite become 0, the mean.
    """
    softening, mean, std = (
        np.reshape(band, (1, -1, 1, 1)).astype(np.float32) for band in (softening, mean, std)
    )
    scaled = (np.arcsinh(np.asarray(images, np.float32) / softening) - mean) / std
    return np.nan_to_num(scaled, nan=0.0, posinf=0.0, neginf=0.0).reshape(len(images), -1)


def colours(
    images: Float[np.ndarray, "gal band y x"], softening: Float[np.ndarray, " band"]
) -> Float[np.ndarray, "gal value"]:
    """r magnitude and u-g, g-r, r-i, i-z of the fluxes within 12 pixels of the centre.

    asinh magnitudes in units of 1.086 mag (Lupton et al. 1999), sign reversed; bands: ugriz. images:
    nanomaggies; pixels that are not finite count as 0.
    """
    axis = np.arange(images.shape[-1]) - (images.shape[-1] - 1) / 2
    inside = np.hypot(axis[:, None], axis) <= APERTURE
    flux = np.nan_to_num(images[..., inside].astype(np.float32), posinf=0.0, neginf=0.0).sum(axis=-1)
    scaled = np.arcsinh(flux / (np.asarray(softening) * np.sqrt(inside.sum()))).astype(np.float32)
    return np.concatenate([scaled[:, 2:3], np.diff(scaled, axis=1)], axis=1)


def nearest(
    queries: Float[np.ndarray, "query value"], blocks: Iterable[Float[np.ndarray, "_ value"]]
) -> tuple[np.ndarray, Float[np.ndarray, " query"]]:
    """Position, counted over all blocks, of the vector nearest to every query in L2, and its distance.

    Products in single precision select five vectors of every block, whose distances are then computed exactly. The
    first of equal distances is taken. Raises ValueError if there is no vector.
    """
    best = np.full(len(queries), np.inf)
    chosen = np.full(len(queries), -1)
    start = 0
    for block in blocks:
        distance, position = _nearest_of_block(queries, block)
        better = distance < best
        best[better], chosen[better] = distance[better], position[better] + start
        start += len(block)
    if start == 0:
        raise ValueError("no vector to be the neighbour of anything")
    return chosen, np.sqrt(best)


def _nearest_of_block(queries: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared distance to, and position of, the nearest vector of one block."""
    products = np.einsum("ij,ij->i", block, block)[None, :] - 2 * (queries @ block.T)
    count = min(FINALISTS, len(block))
    finalists = np.sort(np.argpartition(products, count - 1, axis=1)[:, :count], axis=1)
    exact = np.stack(
        [
            np.sum((block[picks].astype(np.float64) - query) ** 2, axis=1)
            for query, picks in zip(queries, finalists)
        ]
    )
    first = np.argmin(exact, axis=1)[:, None]
    return np.take_along_axis(exact, first, 1)[:, 0], np.take_along_axis(finalists, first, 1)[:, 0]


class MeanSpectrum:
    """Running mean of rest-frame spectra, resampled to REST_WAVE with flux conservation."""

    def __init__(self):
        self.total = np.zeros(len(REST_WAVE))
        self.count = np.zeros(len(REST_WAVE), dtype=np.int64)

    def add(self, flux: Float[np.ndarray, "gal pix"], z: Float[np.ndarray, " gal"]) -> None:
        """Add spectra on the product grid, observed frame, NaN where masked."""
        rest = grid.rest_frame(flux, z, REST_WAVE)
        self.total += np.nansum(rest, axis=0)
        self.count += np.isfinite(rest).sum(axis=0)

    def value(self) -> Float[np.ndarray, " rest"]:
        """The mean; NaN where no spectrum reaches."""
        return np.where(self.count > 0, self.total / np.maximum(self.count, 1), np.nan)
