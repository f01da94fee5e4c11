"""Image cutouts: how they are stored, what can be wrong with one, statistics of many."""

import numpy as np
from jaxtyping import Bool, Float

from sanspec.physics.constants import NANOMAGGY_ZERO, NORMAL_MAD, PIXEL_SCALE
from sanspec.survey.cubes import SIDE

FIBRE_RADIUS = 1.5  # of SDSS-I/II fibres and of fiberMag [arcsec]
_BORDER = 6  # pixels along each side that count as sky


def to_planes(cubes: Float[np.ndarray, "gal y x band"]) -> Float[np.ndarray, "gal band y x"]:
    """Cubes with the band first, as float16: precision 0.05 %, range 6e-8 to 65504 nanomaggies."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(np.moveaxis(cubes, -1, 1)).astype(np.float16)


def is_bad(images: Float[np.ndarray, "gal band y x"]) -> Bool[np.ndarray, " gal"]:
    """Whether an image has a value that is not finite, or a constant band."""
    flat = images.reshape(*images.shape[:2], -1)
    constant = (flat.max(axis=2) == flat.min(axis=2)).any(axis=1)
    return constant | ~np.isfinite(flat).all(axis=(1, 2))


def sky_noise(images: Float[np.ndarray, "gal band y x"]) -> Float[np.ndarray, "gal band"]:
    """Noise of the sky [nanomaggies per pixel]: 1.4826 times the median absolute deviation at the border."""
    edge = np.ones((SIDE, SIDE), dtype=bool)
    edge[_BORDER:-_BORDER, _BORDER:-_BORDER] = False
    sky = images[:, :, edge].astype(np.float32)
    return NORMAL_MAD * np.median(np.abs(sky - np.median(sky, axis=2, keepdims=True)), axis=2)


def fibre_magnitude(images: Float[np.ndarray, "gal y x"]) -> Float[np.ndarray, " gal"]:
    """AB magnitude in 3 arcsec around the centre, of one band in nanomaggies; NaN where not positive."""
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    aperture = np.hypot(x, y) <= FIBRE_RADIUS / PIXEL_SCALE + 0.5
    share = np.clip(FIBRE_RADIUS / PIXEL_SCALE + 0.5 - np.hypot(x, y), 0, 1)[
        aperture
    ]  # soft edge of the circle
    flux = images[:, aperture].astype(np.float64) @ share
    return NANOMAGGY_ZERO - 2.5 * np.log10(np.where(flux > 0, flux, np.nan))


class Moments:
    """Mean and standard deviation per band of asinh(image / softening), accumulated over blocks of images."""

    def __init__(self, softening: Float[np.ndarray, " band"]):
        self.softening = np.asarray(softening, dtype=np.float32)[:, None, None]
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, images: Float[np.ndarray, "gal band y x"]) -> None:
        """Add a block of images."""
        scaled = np.arcsinh(images.astype(np.float32) / self.softening).astype(np.float64)
        self.count += scaled[:, 0].size
        self.total = self.total + scaled.sum(axis=(0, 2, 3))
        self.squares = self.squares + (scaled**2).sum(axis=(0, 2, 3))

    def result(self) -> tuple[Float[np.ndarray, " band"], Float[np.ndarray, " band"]]:
        """Mean and standard deviation of all images added."""
        mean = self.total / self.count
        return mean, np.sqrt(self.squares / self.count - mean**2)
