"""Figure 7: indices of predicted against those of observed spectra (Doorenbos et al. 2024, figure 7)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sanspec.config import Config
from sanspec.errors import SanspecError
from sanspec.figures import panels, style
from sanspec.store import read_json, read_table

INPUTS = ("lick", "lick_numbers")

ANGSTROM = r"[$\mathrm{\AA}$]"
PANELS = (
    (("mgb", rf"Mg b {ANGSTROM}"), ("fe5270", rf"Fe5270 {ANGSTROM}"), ("fe5335", rf"Fe5335 {ANGSTROM}")),
    (("mgfe", rf"[MgFe]$'$ {ANGSTROM}"), ("hbeta", rf"H$\beta$ {ANGSTROM}"), ("dn4000", r"$D_n4000$")),
)
SIZE = 22  # hexagons across a panel


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """Six panels, spirals left out, each row on one colour scale."""
    table, found = read_table(inputs["lick"]), read_json(inputs["lick_numbers"])
    shown = table[table["morphology"] != "spiral"]
    if shown.empty:
        raise SanspecError(f"figure 7: {inputs['lick']} holds spirals alone; test more galaxies")
    figure = style.canvas(style.PAGE, 4.9)
    grid = figure.subplots(2, 3)
    scales = []
    for line, row in zip(grid, PANELS):
        drawn = [
            panel(axes, shown, name, label, found[name]["no_spirals"])
            for axes, (name, label) in zip(line, row)
        ]
        scales.append(panels.freeze(drawn))
        figure.colorbar(
            drawn[-1], ax=line, fraction=0.03, pad=0.01, label="galaxies", ticks=MaxNLocator(integer=True)
        )
    names = [name for row in PANELS for name, _ in row]
    keep = {name: found[name] for name in names}
    return figure, {
        "n": len(shown),
        "n_spirals": len(table) - len(shown),
        "colour_scales": scales,
        "indices": keep,
    }


def panel(axes: Axes, table: pd.DataFrame, name: str, label: str, found: Mapping):
    """One index: numbers of galaxies, equality, correlation."""
    pair = [table[f"{name}_{kind}"].to_numpy(float) for kind in ("observed", "predicted")]
    use = np.isfinite(pair).all(axis=0)
    x, y = (values[use] for values in pair)
    low, high = panels.limits(x, y)
    drawn = panels.hexagons(axes, x, y, (low, high, low, high), SIZE)
    axes.plot([low, high], [low, high], ":", color="black", lw=0.9, zorder=3)
    axes.set(aspect="equal", xlabel=f"observed {label}", ylabel=f"predicted {label}")
    outside = int(((np.minimum(x, y) < low) | (np.maximum(x, y) > high)).sum())
    rho, error = (np.nan if found[key] is None else found[key] for key in ("pearson", "pearson_error"))
    lines = [rf"$\rho = {rho:.2f} \pm {error:.2f}$", rf"$N = {found['count']}$"]
    lines += [f"{outside} outside"] * (outside > 0)
    panels.note(axes, "\n".join(lines), 0.05, 0.95, fontsize=7.5, zorder=4, bbox=panels.PAPER)
    return drawn
