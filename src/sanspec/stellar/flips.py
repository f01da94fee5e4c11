"""Random signs of a wild bootstrap's residuals (Davidson & Flachaire 2008), whatever code is bootstrapped."""

import numpy as np
from jaxtyping import Float


def signs(
    edges: Float[np.ndarray, " edge"],
    length: Float[np.ndarray, " pix"],
    kind: str,
    rng: np.random.Generator,
) -> Float[np.ndarray, " pix"]:
    """Random +-1: `independent` in each pixel, or alike within `block`s one `length` long.

    Prepared spectra are smoothed and resampled, so that noise is alike within one FWHM of the line spread; the
    first block's phase is random. edges and length: one unit and frame.
    """
    pixels = len(length)
    if kind == "independent":
        return rng.choice([-1.0, 1.0], pixels)
    passed = np.cumsum(np.diff(edges) / length) + rng.random()
    block = np.floor(passed).astype(int) - int(passed[0])
    return rng.choice([-1.0, 1.0], block[-1] + 1)[block]
