"""Figure 12: emission-line ratios of observed and predicted spectra (Doorenbos et al. 2024, figure 12)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sanspec.classes import diagnostics
from sanspec.config import Config
from sanspec.figures import panels, style
from sanspec.store import read_json, read_table

INPUTS = ("classes", "classes_numbers")

FRAME = (-1.6, 0.75, -1.3, 1.5)  # limits of the upper panels
WIDTHS = (-0.9, 2.7)  # log EW [Angstrom] of the lower ones
COLOURS = {"passive": "#666666", "star-forming": "#0072B2", "active": "#D55E00"}
CURVES = ((diagnostics.KAUFFMANN, "--", "Kauffmann+ 2003"), (diagnostics.KEWLEY, "-", "Kewley+ 2001"))
RATIO = r"log [N II] $\lambda$6583 / H$\alpha$"
DOTS = {"ms": 3, "alpha": 0.6, "mew": 0, "rasterized": True}


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """Both diagrams, of line ratios and of the width of Halpha, of observed and of predicted spectra."""
    table, found = read_table(inputs["classes"]), read_json(inputs["classes_numbers"])
    figure = style.canvas(style.PAGE, 5.9)
    grid = figure.subplots(2, 2, sharey="row", sharex=True, height_ratios=(1.15, 1))
    outside = {}
    for column, kind in enumerate(("observed", "predicted")):
        outside[kind] = ratios(grid[0, column], table, kind, found["diagram"][kind])
        widths(grid[1, column], table, kind, found["diagram"][kind])
    grid[0, 0].set_ylabel(r"log [O III] $\lambda$5007 / H$\beta$")
    grid[1, 0].set_ylabel(r"log EW(H$\alpha$) [$\mathrm{\AA}$]")
    grid[0, 0].legend(loc="lower left", handlelength=1.6, labelspacing=0.3)
    handles, labels = grid[1, 0].get_legend_handles_labels()
    handles, labels = [handles[labels.index("passive")]], ["passive, or a line absent"]  # not shown above
    grid[1, 0].legend(handles, labels, loc="lower left", handlelength=1.6, labelspacing=0.3)
    keep = {key: found[key] for key in ("confusion", "diagram", "unknown")}
    return figure, {"n": len(table), "outside_frame": outside, **keep}


def ratios(axes: Axes, table: pd.DataFrame, kind: str, found: Mapping) -> int:
    """Line ratios with the dividing curves and counts; how many galaxies lie outside the frame."""
    x, y = (table[f"{name}_{kind}"].to_numpy(float) for name in ("log_n_ii_h_alpha", "log_o_iii_h_beta"))
    classes = table[f"class_{kind}"].to_numpy()
    for name in ("star-forming", "active"):
        use = classes == diagnostics.CLASSES.index(name)
        axes.plot(x[use], y[use], ".", color=COLOURS[name], label=name, **DOTS)
    for curve, line, name in CURVES:
        grid = np.linspace(FRAME[0], curve.pole - 0.05, 300)
        axes.plot(grid, curve(grid), line, color="0.35", lw=1.0, label=name)
    grid = np.linspace(-0.18, FRAME[1], 10)
    axes.plot(grid, diagnostics.schawinski(grid), ":", color="0.35", lw=1.0, label="Schawinski+ 2007")
    axes.set(xlim=FRAME[:2], ylim=FRAME[2:], title=f"{style.PREDICTORS[kind].label} spectra")
    note(
        axes,
        found["regions"],
        f"passive {found['classes']['passive']}, unknown {found['classes']['unknown']}",
    )
    inside = (x > FRAME[0]) & (x < FRAME[1]) & (y > FRAME[2]) & (y < FRAME[3])
    return int(((classes > diagnostics.PASSIVE) & ~inside).sum())


def widths(axes: Axes, table: pd.DataFrame, kind: str, found: Mapping) -> None:
    """Width of Halpha against [N II] / Halpha, with the limits of Cid Fernandes et al. 2011."""
    x, width = (table[f"{name}_{kind}"].to_numpy(float) for name in ("log_n_ii_h_alpha", "ew_h_alpha"))
    y, classes = np.log10(np.where(width > 0, width, np.nan)), table[f"class_{kind}"].to_numpy()
    for name, colour in COLOURS.items():
        use = classes == diagnostics.CLASSES.index(name)
        axes.plot(x[use], y[use], ".", color=colour, label=name, **DOTS)
    axes.hlines(np.log10([3.0, 0.5]), *FRAME[:2], color="0.35", lw=1.0, ls="--")
    axes.hlines(np.log10(6.0), -0.4, FRAME[1], color="0.35", lw=1.0, ls=":")
    axes.vlines(-0.4, np.log10(3.0), WIDTHS[1], color="0.35", lw=1.0, ls="-")
    axes.set(xlim=FRAME[:2], ylim=WIDTHS, xlabel=RATIO)
    note(axes, found["whan"], "")


def note(axes: Axes, counts: Mapping, first: str) -> None:
    """Galaxies by region, in the upper left corner, two to a line."""
    words = [f"{name} {count}" for name, count in counts.items() if name != "unknown"]
    lines = [first] * bool(first) + [", ".join(words[k : k + 2]) for k in range(0, len(words), 2)]
    panels.note(axes, "\n".join(lines), zorder=4, fontsize=7, linespacing=1.3, bbox=panels.PAPER)
