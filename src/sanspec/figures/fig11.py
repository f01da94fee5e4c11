"""Figure 11: pairs of properties from predicted spectra show two kinds (Doorenbos et al. 2024, figure 11)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sanspec.classes.bimodality import QUANTITIES
from sanspec.config import Config
from sanspec.errors import SanspecError
from sanspec.figures import panels, style
from sanspec.store import read_json, read_table

INPUTS = ("bimodality", "bimodality_numbers")

LABELS = {
    "ebv": r"$E(B-V)$ [mag]",
    "log_age": "log age [yr]",
    "vdisp": r"$\sigma_\star$ [km s$^{-1}$]",
    "dn4000": r"$D_n4000$",
    "u_r": "$u-r$ [mag]",
}
SIZE = 16  # hexagons across a panel
OUTSIDE = (0.2, 0.45, 0.7, 0.9)  # fractions of the galaxies outside each contour, the outermost first
LEAST = 12  # galaxies below which no density is estimated
BINS = 26


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """A triangle of pairs, with histograms and mixtures of Gaussians on its diagonal."""
    table, found = read_table(inputs["bimodality"]), read_json(inputs["bimodality_numbers"])
    values = {name: table[f"{name}_predicted"].to_numpy(float) for name in QUANTITIES}
    empty = [name for name, one in values.items() if not np.isfinite(one).any()]
    if empty:
        raise SanspecError(f"figure 11: {inputs['bimodality']} has no {empty[0]} of predicted spectra")
    frames = {
        name: panels.limits(one, table[f"{name}_observed"].to_numpy(float)) for name, one in values.items()
    }
    figure = style.canvas(style.PAGE, 6.6)
    grid = figure.subplots(5, 5, sharex="col")
    drawn = []
    for row, below in enumerate(QUANTITIES):
        for column, across in enumerate(QUANTITIES):
            axes = grid[row, column]
            if column > row:
                axes.set_visible(False)
            elif column == row:
                diagonal(axes, table, below, found["mixtures"], frames[below])
            else:
                drawn.append(pair(axes, values[across], values[below], (*frames[across], *frames[below])))
            label(axes, row, column, across, below)
    panels.freeze([one for one in drawn if one is not None])
    keep = {key: found[key] for key in ("mixtures", "spearman")}
    return figure, {"n": int(np.isfinite(list(values.values())).all(axis=0).sum()), **keep}


def pair(axes: Axes, x: np.ndarray, y: np.ndarray, frame: tuple[float, ...]):
    """Numbers of galaxies and contours of their density."""
    use = np.isfinite(x) & np.isfinite(y)
    drawn = panels.hexagons(axes, x[use], y[use], frame, SIZE)
    found = panels.density(x[use], y[use], frame, OUTSIDE, LEAST)
    if found is not None:
        axes.contour(*found, colors="#D55E00", linewidths=0.6, alpha=0.8, zorder=2)
    return drawn


def diagonal(
    axes: Axes, table: pd.DataFrame, name: str, mixtures: Mapping, frame: tuple[float, float]
) -> None:
    """Distribution of one property: predicted filled with its two Gaussians, observed outlined."""
    bins = np.linspace(*frame, BINS + 1)
    sides = {kind: np.clip(table[f"{name}_{kind}"].dropna().to_numpy(float), *frame) for kind in mixtures}
    axes.hist(sides["predicted"], bins, color=style.PREDICTORS["predicted"].colour, alpha=0.35)
    heights, _ = np.histogram(sides["observed"], bins)
    axes.stairs(heights, bins, color=style.PREDICTORS["observed"].colour, lw=0.9)
    found = mixtures["predicted"][name]
    panels.two_gaussians(axes, found, bins, len(sides["predicted"]), ("black", "black"), lw=0.7)
    gain = np.nan if found["bic_gain"] is None else found["bic_gain"]
    axes.set_title(rf"$\Delta$BIC $= {gain:.0f}$", fontsize=7, pad=2)
    axes.set(xlim=frame, yticks=[])


def label(axes: Axes, row: int, column: int, across: str, below: str) -> None:
    """Labels at the outer edges of the triangle alone."""
    if row == len(QUANTITIES) - 1:
        axes.set_xlabel(LABELS[across])
    if column == 0 and row > 0:
        axes.set_ylabel(LABELS[below])
    elif column != row:
        axes.set_yticklabels([])
