"""Populations of the simulated sky against its truth: bias, scatter and coverage of both codes."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from sanspec.config import Config
from sanspec.errors import SanspecError
from sanspec.figures import panels, populations, style
from sanspec.mock import expected as truth
from sanspec.stellar import results
from sanspec.stellar.library import open_library
from sanspec.store import read_table

INPUTS = ("ppxf", "firefly", "truth", "templates", "objects")
SHOWN = {"ppxf": truth.QUANTITIES, "firefly": truth.QUANTITIES[:3]}
BINS = (5.0, 10.0, 15.0, 20.0, 30.0, 50.0, 100.0)  # of signal to noise per pixel of the fit
LEAST = 3  # galaxies that make a bin


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """A row for each code: measured less true against signal to noise, with medians and central 68 % in bins."""
    kinds = populations.morphologies(inputs["objects"])
    tables = {code: read(inputs, code, settings) for code in populations.CODES}
    if not any(map(len, tables.values())):
        raise SanspecError(f"figure stellar_truth: no spectrum of {inputs['ppxf']} has a truth")
    figure = style.canvas(style.PAGE, 3.9)
    grid = figure.subplots(2, 4, sharex=True)
    numbers = {}
    for row, (code, table) in zip(grid, tables.items()):
        own = kinds.reindex(table["specobjid"]).to_numpy()
        numbers[code] = truth.summary(table, groups(table["snr"].to_numpy(float), own))
        for axes, name in zip(row, SHOWN[code]):
            scatter(axes, table, own, name)
            caption(axes, numbers[code][name]["all"], name)
        row[0].set_ylabel(f"{populations.CODES[code]}: {row[0].get_ylabel()}")
    grid[0, 3].tick_params(labelbottom=True)
    key(grid[1, 3])
    figure.supxlabel("signal to noise of the fit, per pixel", fontsize=8.5)
    return figure, {"n": max(map(len, tables.values())), "scores": numbers}


def read(inputs: Mapping[str, Path], code: str, settings: Config) -> pd.DataFrame:
    """Residuals of the observed spectra; errors are the code's own where it states them, else the bootstrap's."""
    table = results.read(inputs[code])
    sky = read_table(inputs["truth"])
    sky = sky[sky["specobjid"].isin(table["specobjid"])]
    expected = truth.expected(sky, open_library(inputs["templates"])) if len(sky) else pd.DataFrame()
    if not len(expected):
        return pd.DataFrame()
    linear = code == "firefly" and settings.stellar.firefly.averages == "linear"
    return truth.residuals(table, expected, linear, "err" if code == "firefly" else "std")


def groups(snr: np.ndarray, kinds: np.ndarray) -> dict[str, np.ndarray]:
    """All spectra, each class, each bin of signal to noise."""
    found = {"all": np.ones(len(snr), bool)} | {name: kinds == name for name in style.MORPHOLOGIES}
    return found | {f"snr_{low:g}_{high:g}": (snr >= low) & (snr < high) for low, high in pairwise(BINS)}


def scatter(axes: Axes, table: pd.DataFrame, kinds: np.ndarray, name: str) -> None:
    """Every galaxy, coloured by class, and median and central 68 % in bins of signal to noise."""
    about, snr, values = (
        populations.QUANTITIES[name],
        table["snr"].to_numpy(float),
        table[f"d_{name}"].to_numpy(float),
    )
    reach = populations.half_range(values, name)
    values = np.clip(values, -reach, reach)
    for kind, look in style.MORPHOLOGIES.items():
        use = kinds == kind
        axes.plot(snr[use], values[use], ".", ms=2.5, mew=0, color=look.colour, alpha=0.8, rasterized=True)
    for low, high in pairwise(BINS):
        inside = values[(snr >= low) & (snr < high) & np.isfinite(values)]
        if len(inside) >= LEAST:
            down, middle, up = np.quantile(inside, [0.16, 0.5, 0.84])
            error = [[middle - down], [up - middle]]
            axes.errorbar(
                np.sqrt(low * high), middle, error, fmt="s", color="black", mfc="white", ms=3.5, lw=0.9
            )
    axes.axhline(0, color="0.5", lw=0.6, ls=":")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(ylim=(-reach, 1.4 * reach), ylabel=about.difference)


def caption(axes: Axes, numbers: Mapping, name: str) -> None:
    """Bias, scatter and coverage of all spectra."""
    if not numbers["count"]:
        return
    form = populations.QUANTITIES[name].form
    text = f"bias {form.format(numbers['bias'])}, scatter {form.format(numbers['scatter']).lstrip('+')}"
    if numbers["with_errors"]:
        text += f"\nwithin 1$\\sigma$: {100 * numbers['coverage']:.0f}% of {numbers['with_errors']}"
    panels.note(axes, text, fontsize=6.5)


def key(axes: Axes) -> None:
    """What the symbols are, in the panel that FIREFLY, which takes pPXF's dispersions, leaves free."""
    for look in style.MORPHOLOGIES.values():
        axes.plot([], [], ".", color=look.colour, label=look.label)
    axes.errorbar([], [], [], fmt="s", color="black", mfc="white", ms=3.5, label="median, central 68%")
    axes.legend(loc="center left", fontsize=7)
    axes.set_axis_off()
