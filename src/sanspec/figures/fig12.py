"""Figure 12: emission-line ratios of observed and predicted spectra (Doorenbos et al. 2024, figure 12)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sanspec import diagnostics
from sanspec.config import Config
from sanspec.figures import style
from sanspec.store import read_json, read_table

INPUTS = ("classes", "classes_numbers")

FRAME = (-1.6, 0.75, -1.3, 1.5)  # limits of both panels
COLOURS = {"star-forming": "#0072B2", "active": "#D55E00"}
CURVES = ((diagnostics.KAUFFMANN, "--", "Kauffmann+ 2003"), (diagnostics.KEWLEY, "-", "Kewley+ 2001"))


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """The diagram of observed and of predicted spectra side by side."""
    table, found = read_table(inputs["classes"]), read_json(inputs["classes_numbers"])
    figure = style.canvas(style.PAGE, 3.5)
    outside = {}
    for axes, kind in zip(figure.subplots(1, 2, sharey=True), ("observed", "predicted")):
        outside[kind] = panel(axes, table, kind, found["diagram"][kind])
    figure.axes[0].set_ylabel(r"log [O III] $\lambda$5007 / H$\beta$")
    figure.axes[0].legend(loc="lower left", handlelength=1.6, labelspacing=0.3)
    keep = {key: found[key] for key in ("confusion", "diagram", "unknown")}
    return figure, {"n": len(table), "outside_frame": outside, **keep}


def panel(axes: Axes, table: pd.DataFrame, kind: str, found: Mapping) -> int:
    """One diagram with its dividing curves and counts; how many galaxies lie outside the frame."""
    x, y = (table[f"{name}_{kind}"].to_numpy(float) for name in ("log_n_ii_h_alpha", "log_o_iii_h_beta"))
    classes = table[f"class_{kind}"].to_numpy()
    for name, colour in COLOURS.items():
        use = classes == diagnostics.CLASSES.index(name)
        counted = f"{name} ({use.sum()})"
        axes.plot(x[use], y[use], ".", ms=3, color=colour, alpha=0.6, mew=0, label=counted, rasterized=True)
    curves(axes)
    axes.set(xlim=FRAME[:2], ylim=FRAME[2:], xlabel=r"log [N II] $\lambda$6583 / H$\alpha$")
    axes.set_title(f"{style.PREDICTORS[kind].label} spectra")
    axes.text(0.97, 0.04, counts(found), transform=axes.transAxes, ha="right", fontsize=7, linespacing=1.3)
    inside = (x > FRAME[0]) & (x < FRAME[1]) & (y > FRAME[2]) & (y < FRAME[3])
    return int(((classes > diagnostics.PASSIVE) & ~inside).sum())


def curves(axes: Axes) -> None:
    """The dividing curves, each on its branch that divides."""
    for curve, line, name in CURVES:
        x = np.linspace(FRAME[0], curve.pole - 0.05, 300)
        axes.plot(x, curve(x), line, color="0.35", lw=1.0, label=name)
    x = np.linspace(-0.18, FRAME[1], 10)
    axes.plot(x, diagnostics.schawinski(x), ":", color="0.35", lw=1.0, label="Schawinski+ 2007")


def counts(found: Mapping) -> str:
    """Galaxies by class and by region, as written in a panel."""
    classes, regions = found["classes"], found["regions"]
    lines = [f"passive {classes['passive']}, unknown {classes['unknown']}"]
    return "\n".join(lines + [f"{name} {regions[name]}" for name in diagnostics.REGIONS])
