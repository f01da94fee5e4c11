"""What the figures of stellar populations share: the two codes, their quantities, labels and tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sanspec.errors import SanspecError
from sanspec.figures import style
from sanspec.stellar import agreement, results
from sanspec.store import read_table

CODES = {"ppxf": "pPXF", "firefly": "FIREFLY"}


class Quantity(NamedTuple):
    """How a quantity is written: symbol, unit with its bracket, format of its numbers, least half range of
    differences.
    """

    symbol: str
    unit: str
    form: str
    reach: float

    @property
    def difference(self) -> str:
        """Label of an axis of differences, observed minus predicted."""
        return rf"$\Delta$ {self.symbol} {self.unit}".strip()


QUANTITIES = {
    "log_age_light": Quantity("log age", "[dex]", "{:+.2f}", 0.8),
    "metal_light": Quantity("[M/H]", "[dex]", "{:+.2f}", 0.6),
    "ebv_stars": Quantity("$E(B-V)$", "[mag]", "{:+.3f}", 0.25),
    "vdisp": Quantity(r"$\sigma_*$", "[km/s]", "{:+.1f}", 120.0),
}


def read_pairs(inputs: Mapping[str, Path]) -> dict[str, pd.DataFrame]:
    """Differences of every pair by code. Raises SanspecError where no pair was fitted."""
    tables = {code: agreement.differences(results.read(inputs[code])) for code in CODES}
    for code, table in tables.items():
        if not len(table):
            raise SanspecError(f"{inputs[code]}: no pair of spectra was fitted; see the column warn")
    return tables


def morphologies(path: Path) -> pd.Series:
    """Class of every object by specobjid."""
    return read_table(path).set_index("specobjid")["morphology"]


def half_range(values: np.ndarray, name: str) -> float:
    """Half range of an axis of differences: that of the quantity, or what 95 % of the values need."""
    finite = np.abs(values[np.isfinite(values)])
    return max(QUANTITIES[name].reach, float(np.quantile(finite, 0.95)) if len(finite) else 0.0)


def histogram(axes: Axes, values: np.ndarray, kinds: np.ndarray, name: str) -> None:
    """Differences of one quantity, a step histogram a class, with counts and medians in the legend."""
    about, reach = QUANTITIES[name], half_range(values, name)
    bins = np.linspace(-reach, reach, 31)
    for kind, look in style.MORPHOLOGIES.items():
        chosen = values[(kinds == kind) & np.isfinite(values)]
        if not len(chosen):
            continue
        label = f"{look.label} ({len(chosen)}): {about.form.format(np.median(chosen))}"
        weights = np.full(len(chosen), 1 / len(chosen))
        shared = {"bins": bins, "weights": weights, "color": look.colour}
        clipped = np.clip(chosen, bins[0], bins[-1])
        axes.hist(clipped, histtype="stepfilled", alpha=0.10, **shared)
        axes.hist(clipped, histtype="step", ls=look.line, lw=1.0, label=label, **shared)
    axes.axvline(0.0, color="0.4", ls=":", lw=0.8)
    axes.set(xlim=(bins[0], bins[-1]), xlabel=about.difference)
    axes.set_ylim(top=1.5 * axes.get_ylim()[1])
    axes.legend(loc="upper left", fontsize=6, borderpad=0.1, labelspacing=0.2, handlelength=1.3)
