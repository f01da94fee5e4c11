"""Figure 8: populations of observed less those of predicted spectra (Doorenbos et al. 2024, figure 8)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sanspec.config import Config
from sanspec.errors import Warn
from sanspec.figures import populations, style
from sanspec.scores.numbers import Number, record
from sanspec.stellar import agreement

INPUTS = ("ppxf", "firefly", "objects")
SHOWN = {
    "ppxf": ("log_age_light", "metal_light", "ebv_stars", "vdisp"),
    "firefly": ("log_age_light", "metal_light", "ebv_stars"),
}
DISPERSION = ("mean_all", "std_all", "ratio_median", "ratio_scatter")


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """A row for each code, a histogram for each quantity, the headline fractions in the last panel."""
    tables, kinds = populations.read_pairs(inputs), populations.morphologies(inputs["objects"])
    numbers = {code: agreement.summary(table, kinds) for code, table in tables.items()}
    figure = style.canvas(style.PAGE, 3.9)
    panels = figure.subplots(2, 4)
    for row, (code, table) in zip(panels, tables.items()):
        own = kinds.reindex(table["specobjid"]).to_numpy()
        for axes, name in zip(row, SHOWN[code]):
            populations.histogram(axes, table[f"d_{name}"].to_numpy(float), own, name)
        row[0].set_ylabel(f"{populations.CODES[code]}: fraction of the class")
    found = record(flat(tables, numbers))
    headline(panels[1, 3], found["numbers"], numbers)
    figure.supxlabel("observed minus predicted; beside each class its size and median", fontsize=7.5)
    return figure, {"n": max(map(len, tables.values())), **found, "scores": numbers}


def flat(tables: Mapping[str, pd.DataFrame], scores: Mapping[str, Mapping]) -> list[Number]:
    """The numbers that the summary of a run shows, with the fraction of predicted spectra at a bound of the fit."""
    found = []
    for code, table in tables.items():
        label = populations.CODES[code]
        bound = (table["warn_predicted"] & int(Warn.AT_BOUND)) > 0
        text = f"fraction of predicted spectra with a velocity or dispersion at a bound of the fit ({label})"
        found += agreement.headline(scores[code], code, label, style.MORPHOLOGIES)
        found.append(Number(f"at_bound_predicted_{code}", float(bound.mean()), text))
    return found


def headline(axes: Axes, found: Mapping[str, float], numbers: Mapping[str, Mapping]) -> None:
    """The numbers that the paper quotes, as text; found: as `flat` gives them."""
    lines = []
    for code, label in populations.CODES.items():
        metal = numbers[code]["metal_light"]["all"]
        near, far = (percent(found[f"metal_within_{limit}_{code}"]) for limit in ("010", "020"))
        within = percent(found[f"metal_within_errors_{code}"])
        lines += [
            rf"$\bf{{{label}}}$ ({metal['count']} pairs)",
            f"|d[M/H]| < 0.1: {near}, < 0.2: {far}",
            f"[M/H] within errors: {within} of {metal['with_errors']}",
            f"scatter of log age: {found[f'log_age_scatter_{code}']:.2f} dex",
            f"scatter of E(B-V): {found[f'ebv_scatter_{code}']:.3f} mag",
        ]
    mean, std, ratio, spread = (found[f"vdisp_{name}_ppxf"] for name in DISPERSION)
    lines += [
        rf"$\sigma_*$: {mean:+.1f} $\pm$ {std:.0f} km/s,",
        f"ratio {100 * ratio:+.1f}%, spread {100 * spread:.0f}%",
    ]
    axes.text(0.0, 1.0, "\n".join(lines), va="top", fontsize=6.8, linespacing=1.5, transform=axes.transAxes)
    axes.set_axis_off()


def percent(fraction: float) -> str:
    """A fraction in per cent, or a dash where there is none."""
    return f"{100 * fraction:.0f}%" if np.isfinite(fraction) else "-"
