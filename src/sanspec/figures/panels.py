"""What several figures draw: notes, densities of points, two Gaussians, limits without outliers."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap
from scipy.stats import gaussian_kde

SHADES = LinearSegmentedColormap.from_list("shades", colormaps["Blues"](np.linspace(0.12, 1, 256)))
PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.65, "pad": 1.2}  # behind text on a density


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


def density(
    x: Float[np.ndarray, " gal"],
    y: Float[np.ndarray, " gal"],
    frame: Sequence[float],
    outside: Sequence[float],
    least: int,
    size: int = 90,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Kernel density in a frame: its two grids, its height, and the levels with these fractions of the points outside.

    None where the points are fewer than `least` or lie on a line.
    """
    pairs = np.stack([x, y])
    if len(x) < least or np.linalg.matrix_rank(np.cov(pairs)) < 2:
        return None
    kernel = gaussian_kde(pairs)
    across, up = np.meshgrid(np.linspace(*frame[:2], size), np.linspace(*frame[2:], size))
    levels = np.quantile(kernel(pairs), outside)
    if not (np.diff(levels) > 0).all():
        return None
    return across, up, kernel([across.ravel(), up.ravel()]).reshape(across.shape), levels


def note(axes: Axes, text: str, x: float = 0.03, y: float = 0.97, **looks) -> None:
    """Text in a corner of a panel, the upper left unless told; x and y in fractions of the axes."""
    axes.text(x, y, text, **{"va": "top", "transform": axes.transAxes, **looks})


def two_gaussians(
    axes: Axes,
    found: Mapping,
    bins: Float[np.ndarray, " edge"],
    count: int,
    colours: Sequence[str],
    lw: float = 0.9,
) -> None:
    """The two Gaussians of a mixture, scaled to a histogram of so many values."""
    x, scale = np.linspace(bins[0], bins[-1], 300), count * (bins[1] - bins[0]) / np.sqrt(2 * np.pi)
    for mean, width, share, colour in zip(found["means"], found["widths"], found["shares"], colours):
        bell = scale * share / width * np.exp(-0.5 * ((x - mean) / width) ** 2)
        axes.plot(x, bell, color=colour, lw=lw)
