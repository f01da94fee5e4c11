"""The wild bootstrap of either code: the objects that get one, and the random signs of their residuals."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from sanspec.stellar.results import KINDS
from sanspec.stellar.spectra import Spectrum

Edges = Float[np.ndarray, " edge"]
Pixels = Float[np.ndarray, " pix"]


def chosen(ids: Sequence[int], count: int | None, seed: int) -> set[int]:
    """`count` objects chosen at random (None: all), the same however the sample is split into shards."""
    ids = np.sort(np.asarray(ids, np.uint64))
    if count is None or count >= len(ids):
        return set(ids.tolist())
    keys = np.array([np.random.default_rng([seed, int(i)]).random() for i in ids])
    return set(ids[np.argsort(keys)[:count]].tolist())


def random_signs(
    spectrum: Spectrum, seed: int, edges: Edges, length: Pixels, kind: str, draws: int
) -> Iterator[Pixels]:
    """`signs` of the residuals for each draw; draw b depends on (seed, specobjid, kind of spectrum, b) alone."""
    for draw in range(draws):
        key = [seed, spectrum.specobjid, KINDS.index(spectrum.kind), draw]
        yield signs(edges, length, kind, np.random.default_rng(key))


def signs(edges: Edges, length: Pixels, kind: str, rng: np.random.Generator) -> Pixels:
    """Random +-1 (Davidson & Flachaire 2008): `independent` in each pixel, or equal within a `block` of one `length`.

    Prepared spectra are smoothed and resampled, so that their noise is correlated over one FWHM of the line-spread
    function; the first block has a random phase. edges, length: in one unit and frame.
    """
    pixels = len(length)
    if kind == "independent":
        return rng.choice([-1.0, 1.0], pixels)
    passed = np.cumsum(np.diff(edges) / length) + rng.random()
    block = np.floor(passed).astype(int) - int(passed[0])
    return rng.choice([-1.0, 1.0], block[-1] + 1)[block]
