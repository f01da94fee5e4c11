"""Densities of points: hexagons on one colour scale, contours of a density, limits without outliers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from scipy.stats import gaussian_kde

LEAST = 12  # points below which no density is estimated
SHADES = LinearSegmentedColormap.from_list("shades", colormaps["Blues"](np.linspace(0.12, 1, 256)))
PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.65, "pad": 1.2}  # behind text on a density
OUTSIDE = (0.2, 0.45, 0.7, 0.9)  # fraction of the points outside each contour, the outermost first


def limits(*values: Float[np.ndarray, " gal"], tail: float = 0.01) -> tuple[float, float]:
    """Range of all finite values but `tail` at either end, with a margin."""
    everything = np.concatenate([one[np.isfinite(one)] for one in values])
    low, high = np.quantile(everything, [tail, 1 - tail]) if len(everything) else (0.0, 1.0)
    margin = 0.08 * (high - low) or 0.5
    return float(low - margin), float(high + margin)


def hexagons(
    axes: Axes, x: Float[np.ndarray, " gal"], y: Float[np.ndarray, " gal"], frame: Sequence[float], size: int
) -> PolyCollection:
    """Numbers of points in hexagons; points outside `frame` (x low, x high, y low, y high) are not shown."""
    inside = (x >= frame[0]) & (x <= frame[1]) & (y >= frame[2]) & (y <= frame[3])
    shown = axes.hexbin(
        x[inside], y[inside], gridsize=size, extent=frame, mincnt=1, cmap=SHADES, linewidths=0.2, zorder=1
    )
    axes.set(xlim=frame[:2], ylim=frame[2:])
    return shown


def freeze(panels: Sequence[PolyCollection]) -> float:
    """One colour scale, from 0 to the largest number, for several panels; that number."""
    counts = [panel.get_array() for panel in panels]
    most = float(max((count.max() for count in counts if len(count)), default=1.0))
    for panel in panels:
        panel.set_clim(0, most)
    return most


def contours(
    axes: Axes,
    x: Float[np.ndarray, " gal"],
    y: Float[np.ndarray, " gal"],
    frame: Sequence[float],
    colour: str,
) -> None:
    """Lines that leave OUTSIDE of the points outside; none where the points are few or lie on a line."""
    pairs = np.stack([x, y])
    if len(x) < LEAST or np.linalg.matrix_rank(np.cov(pairs)) < 2:
        return
    kernel = gaussian_kde(pairs)
    grid = np.meshgrid(np.linspace(*frame[:2], 90), np.linspace(*frame[2:], 90))
    levels = np.quantile(kernel(pairs), OUTSIDE)
    if (np.diff(levels) > 0).all():
        height = kernel(np.stack([part.ravel() for part in grid])).reshape(grid[0].shape)
        axes.contour(*grid, height, levels, colors=colour, linewidths=0.6, alpha=0.8, zorder=2)
