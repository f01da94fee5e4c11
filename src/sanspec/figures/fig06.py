"""Figure 6: redshift of the predicted spectra against the true one (Doorenbos et al. 2024, figure 6)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sanspec.config import Config
from sanspec.errors import SanspecError
from sanspec.figures import panels, style
from sanspec.scores import metrics
from sanspec.store import read_table

INPUTS = ("redshifts", "redshift_numbers")

# Fractions of the galaxies outside each contour, the outermost first
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
LEAST = 8  # galaxies below which no density is estimated


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """Density of z_spec and z_predicted, and the distribution of dz beside those of the baselines."""
    table = read_table(inputs["redshifts"])
    shown = table[np.isfinite(table["z_spec"]) & np.isfinite(table["z_predicted"])]
    if shown.empty:
        raise SanspecError(f"figure 6: {inputs['redshifts']} has no predicted redshift; see z_predicted_warn")
    scores = {
        name: metrics.redshift_scores(*columns(table, name))
        for name in ("predicted", *style.baselines(), "median")
        if f"z_{name}" in table
    }
    figure = style.canvas(style.PAGE, 3.3)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.08))
    density(left, shown["z_spec"].to_numpy(), shown["z_predicted"].to_numpy(), scores["predicted"])
    differences(right, table, scores)
    return figure, {"n": len(shown), "n_without_redshift": len(table) - len(shown), "scores": scores}


def columns(table: pd.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(gal) measured and true redshift of one predictor."""
    return table[f"z_{name}"].to_numpy(float), table["z_spec"].to_numpy(float)


def density(
    axes: Axes, z_spec: Float[np.ndarray, " gal"], z: Float[np.ndarray, " gal"], scores: Mapping
) -> None:
    """Kernel density with contours, the points it rests on, the identity and the limits of outliers."""
    low, high = np.quantile(z, [0.005, 0.995])  # the frame leaves out the farthest 1 % of the predicted
    low, high = min(z_spec.min(), low) - 0.006, max(z_spec.max(), high) + 0.006
    grid = np.linspace(low, high, 120)
    found = panels.density(z_spec, z, (low, high, low, high), LEVELS, LEAST, grid.size)
    if found is not None:
        x, y, height, levels = found
        top = max(height.max(), levels[-1]) * 1.01
        axes.contourf(x, y, height, [*levels, top], cmap="Oranges", alpha=0.9)
    axes.plot(z_spec, z, ".", ms=2.2, color="0.2", alpha=0.6, mew=0, rasterized=True)
    axes.plot(grid, grid, color="black", ls=":", lw=1.0)
    for sign in (-1, 1):
        axes.plot(grid, grid + sign * metrics.FAR * (1 + grid), color="0.55", ls=":", lw=1.0)
    axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set(
        xlabel=r"spectroscopic redshift $z_\mathrm{spec}$",
        ylabel=r"predicted redshift $z_\mathrm{predicted}$",
    )
    outside = int(((z < low) | (z > high)).sum())
    lines = [
        rf"$N = {scores['count']}$",
        rf"$\sigma_\mathrm{{MAD}} = {scores['sigma_mad']:.5f}$",
        rf"$\langle\Delta z\rangle = {scores['bias']:+.5f}$",
        rf"$|\Delta z| > 0.05$: {100 * scores['outliers_005']:.2f}%",
        rf"$|\Delta z| > 0.03$: {100 * scores['outliers_003']:.2f}%",
        *[f"{outside} outside the frame"] * (outside > 0),
    ]
    paper = panels.PAPER | {"pad": 1.5}
    panels.note(axes, "\n".join(lines), 0.04, 0.96, linespacing=1.35, fontsize=7.5, bbox=paper)


def differences(axes: Axes, table: pd.DataFrame, scores: Mapping[str, Mapping]) -> None:
    """Histograms of dz for the predicted spectra and for every baseline, with their sigma_MAD."""
    bins = np.linspace(-0.08, 0.08, 1 + 2 * int(np.clip(np.sqrt(len(table)), 8, 24)))
    for name, score in scores.items():
        look, dz = style.look(name), metrics.delta_z(*columns(table, name))
        dz = np.clip(dz[np.isfinite(dz)], bins[0], bins[-1])
        label = rf"{look.label}: $\sigma_\mathrm{{MAD}} = {score['sigma_mad']:.5f}$"
        if name == "predicted":
            axes.hist(dz, bins, color=look.colour, alpha=0.25)
        heights, _ = np.histogram(dz, bins)
        axes.stairs(heights, bins, color=look.colour, ls=look.line, lw=1.1)
        axes.plot([], [], color=look.colour, ls=look.line, lw=1.3, label=label)
    for limit in (metrics.FAR, metrics.NEAR):
        for sign in (-1, 1):
            axes.axvline(sign * limit, ymax=0.68, color="0.55", ls=":", lw=0.9)
    axes.set(xlim=(bins[0], bins[-1]), xlabel=r"$\Delta z = (z - z_\mathrm{spec})/(1 + z_\mathrm{spec})$")
    axes.set_ylabel("galaxies per bin")
    axes.set_ylim(top=1.4 * axes.get_ylim()[1])
    axes.legend(loc="upper left", borderpad=0.1, labelspacing=0.3, handlelength=1.8)
