"""Figure 10: how errors of age, metallicity and reddening hang together (Doorenbos et al. 2024, figure 10)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from sanspec.config import Config
from sanspec.figures import panels, populations, style
from sanspec.figures.populations import QUANTITIES
from sanspec.scores.numbers import Number, record
from sanspec.stellar import agreement

INPUTS = ("ppxf", "firefly")
LEVELS = (0.1, 0.32, 0.5, 0.7, 0.9)  # fractions of the galaxies outside each contour, the outermost first
LEAST = 10  # galaxies below which no density is drawn
COLOURS = "RdBu_r"


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """A panel for each code: difference in [M/H] against that in log age, coloured by that in E(B-V)."""
    tables = populations.read_pairs(inputs)
    numbers = {code: agreement.degeneracy(table) for code, table in tables.items()}
    figure = style.canvas(style.PAGE, 3.5)
    grid = figure.subplots(1, 2, sharex=True, sharey=True)
    right, top, deep = (
        max(populations.half_range(table[f"d_{name}"].to_numpy(float), name) for table in tables.values())
        for name in agreement.DEGENERATE
    )
    norm = TwoSlopeNorm(0.0, -deep, deep)
    for axes, (code, table) in zip(grid, tables.items()):
        cloud(axes, table, norm, right, top)
        panels.note(axes, caption(code, numbers[code]), linespacing=1.4, bbox=panels.PAPER)
        axes.set_xlabel(QUANTITIES["metal_light"].difference)
    grid[0].set_ylabel(QUANTITIES["log_age_light"].difference)
    bar = figure.colorbar(ScalarMappable(norm, COLOURS), ax=grid, pad=0.01)
    bar.set_label(QUANTITIES["ebv_stars"].difference)
    return figure, {"n": max(map(len, tables.values())), **record(flat(numbers)), "degeneracy": numbers}


def flat(found: Mapping[str, Mapping]) -> list[Number]:
    """Correlations of the differences and the angle of their first principal axis; NaN where pairs are too few."""
    result = []
    for code, label in populations.CODES.items():
        known = np.array(found[code].get("correlation", np.full((3, 3), np.nan)))
        for name, one, two, places in (
            ("age_metal", "log age", "[M/H]", (0, 1)),
            ("age_ebv", "log age", "E(B-V)", (1, 2)),
            ("metal_ebv", "[M/H]", "E(B-V)", (0, 2)),
        ):
            text = f"correlation of the differences in {one} and {two} ({label})"
            result.append(Number(f"correlation_{name}_{code}", float(known[places]), text))
        text = f"angle of the first principal axis of these differences in the plane of [M/H] (x) and log age ({label})"
        result.append(Number(f"angle_{code}", found[code].get("angle", np.nan), text, "deg"))
    return result


def cloud(axes: Axes, table: pd.DataFrame, norm: TwoSlopeNorm, right: float, top: float) -> None:
    """The galaxies of one code and contours of their density."""
    metal, age, ebv = (table[f"d_{name}"].to_numpy(float) for name in agreement.DEGENERATE)
    use = np.isfinite(metal) & np.isfinite(age) & np.isfinite(ebv)
    axes.axhline(0, color="0.6", lw=0.5, zorder=0)
    axes.axvline(0, color="0.6", lw=0.5, zorder=0)
    found = panels.density(metal[use], age[use], (-right, right, -top, top), LEVELS, LEAST)
    if found is not None:
        axes.contour(*found, colors="0.45", linewidths=0.6)
    looks = {"s": 9, "cmap": COLOURS, "norm": norm, "rasterized": True}
    x, y = np.clip(metal[use], -right, right), np.clip(age[use], -top, top)
    axes.scatter(x, y, c=ebv[use], edgecolors="0.3", linewidths=0.25, **looks)
    axes.set(xlim=(-right, right), ylim=(-top, top))


def caption(code: str, numbers: Mapping) -> str:
    """Code, count and the three correlations."""
    if "correlation" not in numbers:
        return f"{populations.CODES[code]}: {numbers['count']} pairs"
    (_, age_metal, metal_ebv), (_, _, age_ebv), _ = numbers["correlation"]
    return (
        f"{populations.CODES[code]}: N = {numbers['count']}\n"
        rf"$\rho$([M/H], log age) = {age_metal:+.2f}"
        "\n"
        rf"$\rho$(log age, $E(B-V)$) = {age_ebv:+.2f}"
        "\n"
        rf"$\rho$([M/H], $E(B-V)$) = {metal_ebv:+.2f}"
    )
