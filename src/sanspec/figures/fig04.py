"""Figure 4: full-spectrum fits of predicted spectra, by both codes (Doorenbos et al. 2024, figure 4)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sanspec.config import Config
from sanspec.errors import SanspecError, Warn
from sanspec.figures import galaxies, populations, style
from sanspec.spectra import grid
from sanspec.stellar import models, results

INPUTS = ("predicted", "images", "objects", "ppxf", "ppxf_models", "firefly", "firefly_models")

ROWS = (("firefly", "elliptical"), ("firefly", "spiral"), ("ppxf", "elliptical"), ("ppxf", "spiral"))
RULE = (
    "of each code and class the predicted spectrum whose chi2 is the median of its class, no galaxy twice; "
    "any class where one is empty"
)
WRITTEN = {
    "vdisp": r"$\sigma_*$ = {:.0f} km/s",
    "log_age_light": r"$\log$ age = {:.2f}",
    "metal_light": "[M/H] = {:+.2f}",
    "ebv_stars": "$E(B-V)$ = {:.3f}",
    "chi2": r"$\chi^2_\nu$ = {:.2f}",
}
FIT, GAS = "#000000", "#009E73"  # colours of the fit and of the gas (Okabe & Ito 2008)


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """Two rows of FIREFLY, two of pPXF: predicted spectrum, fit, residuals, what was masked, and the image."""
    chosen = examples(inputs)
    figure = style.canvas(style.PAGE, 0.3 + 1.45 * len(chosen))
    panels = figure.subplots(len(chosen), 2, squeeze=False, width_ratios=(5.2, 1.3))
    for (wide, picture), row in zip(panels, chosen.to_dict("records")):
        ids, code = [int(row["specobjid"])], row["code"]
        flux = galaxies.read_rows(inputs["predicted"], "flux", ids)[0].astype(float)
        model = models.read(inputs[f"{code}_models"], ids, "predicted")
        show(wide, flux, {name: model[name][0] for name in ("stars", "gas", "mask")}, row["z"])
        wide.text(0.01, 0.96, describe(row), va="top", fontsize=6.8, transform=wide.transAxes)
        image = galaxies.read_rows(inputs["images"], "images", ids)[0].astype(np.float32)
        galaxies.show(picture, galaxies.colour(image * galaxies.WEIGHTS, settings.figures))
    handles = {label: line for axes in panels[:, 0] for line, label in zip(*axes.get_legend_handles_labels())}
    figure.legend(handles.values(), handles, loc="outside upper left", ncols=4, fontsize=7, borderpad=0.0)
    panels[-1, 0].set_xlabel(style.REST_WAVE)
    figure.supylabel(style.REST_FLUX, fontsize=8.5)
    keys = ["code", "specobjid", "name", "morphology", "z", *WRITTEN]
    return figure, {"n": len(chosen), "rule": RULE, "fits": chosen[keys].to_dict("records")}


def examples(inputs: Mapping[str, Path]) -> pd.DataFrame:
    """The fits drawn, chosen by `RULE`. Raises SanspecError where there are too few."""
    objects = pd.DataFrame({"morphology": populations.morphologies(inputs["objects"])})
    places = names(inputs["objects"])
    taken, rows = set(), []
    for code, kind in ROWS:
        table = results.read(inputs[code]).join(objects, on="specobjid")
        fitted = (table["warn"] & int(Warn.NOT_FITTED)) == 0
        table = table[(table["kind"] == "predicted") & fitted & ~table["specobjid"].isin(taken)]
        table = table[np.isfinite(table["chi2"])].sort_values("chi2")
        if not len(table):
            raise SanspecError(f"figure 4: no predicted spectrum left in {inputs[code]} that was fitted")
        own = table[table["morphology"] == kind]
        row = (own if len(own) else table).iloc[(len(own) or len(table)) // 2]
        taken.add(row["specobjid"])
        rows.append(row.to_dict() | {"code": code, "name": places[int(row["specobjid"])]})
    return pd.DataFrame(rows)


def names(path: Path) -> dict[int, str]:
    """Name by position of every object."""
    table = populations.read_table(path)
    return {
        int(i): galaxies.sky_name(ra, dec)
        for i, ra, dec in zip(table["specobjid"], table["ra"], table["dec"])
    }


def show(axes: Axes, flux: Float[np.ndarray, " pix"], model: Mapping[str, np.ndarray], z: float) -> None:
    """Spectrum, fit, gas and residuals (moved down) in the rest frame; grey where the fit did not look."""
    rest, used = grid.WAVE / (1 + z), model["mask"]
    gas = np.nan_to_num(model["gas"])
    fit = model["stars"] + gas
    fitted = np.isfinite(fit)
    low, high = rest[fitted][[0, -1]] if fitted.any() else rest[[0, -1]]
    masked(axes, rest, used & fitted, (low, high))
    axes.plot(rest, flux, color=style.PREDICTORS["predicted"].colour, lw=0.8, label="predicted")
    axes.plot(rest, fit, color=FIT, lw=0.55, label="fit")
    if gas.any():
        axes.plot(rest, np.where(fitted, gas, np.nan), color=GAS, lw=0.6, label="gas")
    top = 1.35 * np.nanpercentile(model["stars"][fitted], 99) if fitted.any() else 2.0
    axes.plot(rest, np.where(used, flux - fit, np.nan) - 0.12 * top, color="0.45", lw=0.4, label="residual")
    axes.axhline(-0.12 * top, color="0.6", lw=0.4, ls=":")
    axes.set(xlim=(low, high), ylim=(-0.3 * top, 1.55 * top))


def masked(axes: Axes, rest: np.ndarray, used: Bool[np.ndarray, " pix"], limits: tuple[float, float]) -> None:
    """Grey bands where pixels inside the limits were not used."""
    out = ~used & (rest >= limits[0]) & (rest <= limits[1])
    edges = np.flatnonzero(np.diff(np.concatenate([[False], out, [False]]).astype(int)))
    for start, stop in edges.reshape(-1, 2):
        axes.axvspan(rest[start], rest[min(stop, len(rest) - 1)], color="0.88", lw=0, zorder=0)


def describe(row: Mapping) -> str:
    """Name of galaxy and code, and what the fit found."""
    numbers = ", ".join(form.format(row[name]) for name, form in WRITTEN.items() if np.isfinite(row[name]))
    return f"{row['name']}  {populations.CODES[row['code']]}  {row['morphology']}\n{numbers}"
