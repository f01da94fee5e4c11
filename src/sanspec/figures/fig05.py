"""Figure 5: quality of the predicted spectra by morphology (Doorenbos et al. 2024, figure 5)."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sanspec.config import Config
from sanspec.errors import SanspecError
from sanspec.figures import style
from sanspec.scores import metrics
from sanspec.scores.numbers import Number, record
from sanspec.store import read_table

INPUTS = ("quality", "quality_numbers")

QUANTILES = (0.05, 0.16, 0.5, 0.84, 0.9, 0.95)
BINS = 22


class Score(NamedTuple):
    """One panel: the column's stem, its label, the factor it is shown with and the format of its median."""

    stem: str
    label: str
    factor: float
    form: str


SCORES = (
    Score("delta", r"mean deviation $\bar\Delta$ [%]", 100.0, "{:.1f} %"),
    Score("mse", r"MSE of the normalised flux [$10^{-3}$]", 1000.0, "{:.1f}"),
    Score("chi2", r"$\chi^2/N$", 1.0, "{:.2f}"),
)


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """Histograms of the test galaxies' three scores by morphology, baselines' medians on the top edge."""
    table = read_table(inputs["quality"])
    shown = table[np.isfinite(table[[f"{score.stem}_predicted" for score in SCORES]]).all(axis=1)]
    if shown.empty:
        raise SanspecError(
            f"figure 5: {inputs['quality']} has no test galaxy with a score; see its `warn` column"
        )
    figure = style.canvas(style.PAGE, 2.5)
    panels = figure.subplots(1, len(SCORES))
    for axes, score in zip(panels, SCORES):
        histogram(axes, shown, score)
    panels[0].set_ylabel("fraction of the class per bin")
    key_of_baselines(panels[-1], shown)
    return figure, numbers(shown, len(table))


def numbers(shown: pd.DataFrame, total: int) -> dict:
    """Counts, quantiles of every score and class, fractions below limits, KS distances between classes."""
    classes = {"all": shown} | {name: shown[shown["morphology"] == name] for name in style.MORPHOLOGIES}
    delta = shown["delta_predicted"]
    ks = {score.stem: distances(classes, f"{score.stem}_predicted") for score in SCORES}
    below = float((delta < 0.10).mean())
    largest = float(np.nanmax([pair["distance"] for pair in ks["chi2"].values()] + [0.0]))
    return {
        "n": len(shown),
        "n_without_score": total - len(shown),
        "n_class": {name: len(rows) for name, rows in classes.items()},
        "quantiles": {
            s.stem: {name: spread(rows[f"{s.stem}_predicted"]) for name, rows in classes.items()}
            for s in SCORES
        },
        "fraction_delta_below_010": below,
        "fraction_delta_above_030": float((delta > 0.30).mean()),
        "ks": ks,
        "ks_chi2_max": largest,
        **record(
            [
                Number(
                    "fraction_delta_below_010",
                    below,
                    "fraction of test galaxies with a mean deviation below 10 %",
                    paper="0.90 (section 5.1)",
                ),
                Number(
                    "ks_chi2_max", largest, "largest KS distance of chi2/N between two morphological classes"
                ),
            ]
        ),
    }


def spread(values: pd.Series) -> dict[str, float]:
    """Quantiles by name, q05 to q95; NaN for an empty class."""
    found = np.quantile(values, QUANTILES) if len(values) else np.full(len(QUANTILES), np.nan)
    return {f"q{100 * q:02.0f}": float(value) for q, value in zip(QUANTILES, found)}


def distances(classes: Mapping[str, pd.DataFrame], column: str) -> dict[str, dict]:
    """Kolmogorov-Smirnov distance and p-value of each pair of morphological classes."""
    return {
        f"{one}_{two}": metrics.ks_distance(classes[one][column].to_numpy(), classes[two][column].to_numpy())
        for one, two in combinations(style.MORPHOLOGIES, 2)
    }


def histogram(axes: Axes, shown: pd.DataFrame, score: Score) -> None:
    """One score on a logarithmic axis: a step histogram, the median and its value for every class."""
    values = shown[f"{score.stem}_predicted"] * score.factor
    medians = baseline_medians(shown, score)
    low, high = np.quantile(values, [0.0, 0.995]) * [0.9, 1.15]
    high = max([high, *(1.1 * value for value in medians.values())])
    bins = np.geomspace(max(low, 1e-3 * np.median(values)), high, BINS + 1)
    for name, look in style.MORPHOLOGIES.items():
        chosen = np.clip(values[shown["morphology"] == name], bins[0], bins[-1])
        if len(chosen):
            weights = np.full(len(chosen), 1 / len(chosen))
            label = f"{look.label} ({len(chosen)}): {score.form.format(np.median(chosen))}"
            heights, _ = np.histogram(chosen, bins, weights=weights)
            axes.stairs(heights, bins, fill=True, alpha=0.12, color=look.colour)
            axes.stairs(heights, bins, ls=look.line, lw=1.1, color=look.colour)
            axes.plot([], [], ls=look.line, lw=1.3, color=look.colour, label=label)
            axes.axvline(np.median(chosen), ymax=0.05, color=look.colour, lw=1.8)
    for name, value in medians.items():
        axes.plot(
            value,
            0.985,
            "v",
            color=style.look(name).colour,
            ms=4.5,
            transform=axes.get_xaxis_transform(),
        )
    style.logarithmic(axes.xaxis)
    axes.set_xlabel(score.label)
    axes.set_ylim(0, 1.7 * axes.get_ylim()[1])
    axes.legend(
        title=rf"$N = {len(shown)}$; medians:", loc="upper left", bbox_to_anchor=(0, 0.975), **_LEGEND
    )


_LEGEND = {
    "alignment": "left",
    "handlelength": 1.6,
    "title_fontsize": 7.5,
    "borderpad": 0.2,
    "labelspacing": 0.25,
}


def baseline_medians(shown: pd.DataFrame, score: Score) -> dict[str, float]:
    """Median of the score over all test galaxies for every baseline that the table holds."""
    columns = {name: f"{score.stem}_{name}" for name in (*style.baselines(), "mean_spectrum")}
    return {
        name: score.factor * float(np.nanmedian(shown[column]))
        for name, column in columns.items()
        if column in shown.columns
    }


def key_of_baselines(axes: Axes, shown: pd.DataFrame) -> None:
    """What the triangles on the top edge mean."""
    names = baseline_medians(shown, SCORES[-1])
    for k, name in enumerate(names):
        look = style.look(name)
        text = f"\N{BLACK DOWN-POINTING TRIANGLE} {look.label}"
        axes.text(
            0.97, 0.64 - 0.065 * k, text, color=look.colour, fontsize=7, ha="right", transform=axes.transAxes
        )
