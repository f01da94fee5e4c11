"""What figures share about single galaxies: names, images, colour pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.visualization import make_lupton_rgb
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from sanspec.config import Figures
from sanspec.physics.constants import PIXEL_SCALE
from sanspec.products import samples
from sanspec.store import arrays

BANDS = "ugriz"
SOFTENING = 8.0  # Q of the asinh stretch (Lupton et al. 2004)
WEIGHTS = (
    np.array([1.0, 7.8, 5.7, 4.9, 1.0])[:, None, None] / 5.7
)  # of SDSS colour pictures: Lupton et al. 2004


def sky_name(ra: float, dec: float) -> str:
    """`JHHMMSS.ss+DDMMSS.s` of a position [deg], digits cut off, not rounded, as the IAU asks for."""
    hundredths = int(round(ra % 360 / 15 * 360_000, 4)) % (24 * 360_000)
    tenths = int(round(abs(dec) * 36_000, 4))
    hours, minutes, seconds = hundredths // 360_000, hundredths // 6000 % 60, hundredths % 6000 / 100
    degrees, arcmin, arcsec = tenths // 36_000, tenths // 600 % 60, tenths % 600 / 10
    sign = "-" if dec < 0 else "+"
    return f"J{hours:02d}{minutes:02d}{seconds:05.2f}{sign}{degrees:02d}{arcmin:02d}{arcsec:04.1f}"


def read_rows(path: Path, dataset: str, ids: Sequence[int]) -> np.ndarray:
    """Rows of `dataset` (gal, ...) of objects `ids`, in order. Raises SanspecError if one is missing."""
    with arrays(path) as file:
        rows = samples.order(np.asarray(ids, np.uint64), file["specobjid"][:], path)
        return np.stack([file[dataset][row] for row in rows])


def colour(image: Float[np.ndarray, "band y x"], settings: Figures) -> UInt8[np.ndarray, "y x rgb"]:
    """Colour picture of a ugriz image [nanomaggies], i, r, g as red, green, blue (Lupton et al. 2004)."""
    _, g, r, i, _ = np.nan_to_num(np.asarray(image, np.float32))
    with np.errstate(invalid="ignore"):  # astropy divides by the intensity before it asks whether that is 0
        return make_lupton_rgb(i, r, g, minimum=0, stretch=settings.stretch, Q=SOFTENING)


def show(axes: Axes, picture: np.ndarray, bar: float = 5.0, **looks) -> None:
    """A picture without ticks and with a scale bar of `bar` arcsec."""
    axes.imshow(picture, **looks)
    axes.set(xticks=[], yticks=[])
    axes.minorticks_off()
    side = picture.shape[0]
    start, height = 0.06 * side, 0.07 * side
    axes.plot(
        [start, start + bar / PIXEL_SCALE],
        [height, height],
        color="white",
        lw=1.4,
        solid_capstyle="butt",
        path_effects=_EDGE,
    )
    annotate(
        axes,
        start + bar / PIXEL_SCALE / 2,
        height + 0.03 * side,
        f'{bar:g}"',
        ha="center",
        va="bottom",
        transform=axes.transData,
    )


def annotate(axes: Axes, x: float, y: float, text: str, **looks) -> None:
    """White text with a dark edge, readable on any picture; x and y in fractions of the axes."""
    looks = {"transform": axes.transAxes, "color": "white", "fontsize": 7, **looks}
    axes.text(x, y, text, path_effects=_EDGE, **looks)


_EDGE = [withStroke(linewidth=1.6, foreground="black")]
