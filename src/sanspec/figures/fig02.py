"""Figure 2: predicted and observed spectra of test galaxies (Doorenbos et al. 2024, figure 2)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sanspec.config import Config
from sanspec.errors import SanspecError
from sanspec.figures import galaxies, style
from sanspec.spectra import grid
from sanspec.store import read_table

INPUTS = ("spectra", "images", "objects", "predicted", "redshifts", "quality")

RULE = (
    "test galaxies at the quantiles (k + 1/2)/n of the mean deviation Delta-bar within their class, "
    "the classes in turn: elliptical, spiral, uncertain"
)
SCORES = ("delta_predicted", "mse_predicted", "chi2_predicted")
SHOWN = (3750.0, 8000.0)  # rest-frame wavelengths drawn [Angstrom]
CLOSE = (6500.0, 6640.0)  # those of the close-up of Halpha and [N II]
LINES = {
    r"Ca$\,$K,H": 3952.2,
    "G": 4305.6,
    r"H$\beta$": 4862.7,
    r"[O$\,$III]": 5008.2,
    r"Mg$\,$b": 5176.6,
    r"Na$\,$D": 5895.6,
    r"H$\alpha$": 6564.6,
    r"[S$\,$II]": 6725.5,
}  # rest-frame vacuum wavelengths [Angstrom], blends at their middle, from the SDSS line list


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """One row for each example: both spectra in the rest frame, a close-up of Halpha, the image."""
    chosen = examples(inputs, settings.figures.examples)
    rows = list(zip(chosen.to_dict("records"), *spectra_of(inputs, chosen), strict=True))
    figure = style.canvas(style.PAGE, 0.35 + 1.5 * len(rows))
    panels = figure.subplots(len(rows), 3, squeeze=False, sharex="col", width_ratios=(4.4, 1, 1.32))
    for (wide, close, picture), (galaxy, observed, ivar, predicted, image) in zip(panels, rows):
        for axes, limits in ((wide, SHOWN), (close, CLOSE)):
            compare(axes, limits, galaxy, observed, ivar, predicted)
        describe(wide, galaxy)
        galaxies.show(picture, galaxies.colour(image * galaxies.WEIGHTS, settings.figures))
        picture.tick_params(length=0)
    mark_lines(panels)
    panels[0, 0].legend(loc="lower right", ncols=3, borderpad=0.2, columnspacing=1.2, handlelength=1.4)
    panels[-1, 0].set_xlabel(style.REST_WAVE)
    figure.supylabel(style.REST_FLUX, fontsize=8.5)
    figure.get_layout_engine().set(wspace=0.01, hspace=0.01)
    keys = ("specobjid", "name", "morphology", "z_spec", "z_predicted", *SCORES)
    shown = [{key: galaxy[key] for key in keys} for galaxy, *_ in rows]
    return figure, {"n": len(rows), "rule": RULE, "galaxies": shown}


def examples(inputs: Mapping[str, Path], count: int) -> pd.DataFrame:
    """The galaxies drawn, with names, redshifts and scores; chosen by `RULE`."""
    quality, redshifts = read_table(inputs["quality"]), read_table(inputs["redshifts"])
    objects = read_table(inputs["objects"]).set_index("specobjid")
    chosen = choose(quality[["specobjid", "morphology", *SCORES]], count)
    chosen = chosen.merge(
        redshifts[["specobjid", "z_spec", "z_predicted"]], on="specobjid", validate="one_to_one"
    )
    places = objects.loc[chosen["specobjid"], ["ra", "dec"]]
    return chosen.assign(name=[galaxies.sky_name(ra, dec) for ra, dec in places.to_numpy(float)])


def choose(quality: pd.DataFrame, count: int) -> pd.DataFrame:
    """`count` different galaxies by `RULE`; a class that has none left gives way to the whole sample.

    Raises SanspecError when fewer than `count` galaxies have all scores.
    """
    left = quality[np.isfinite(quality[list(SCORES)]).all(axis=1)].sort_values("delta_predicted")
    if len(left) < count:
        raise SanspecError(
            f"figure 2: {len(left)} test galaxies with scores, {count} wanted; lower figures.examples"
        )
    rows, classes = [], list(style.MORPHOLOGIES)
    for k in range(count):
        ranked = left[left["morphology"] == classes[k % len(classes)]]
        ranked = ranked if len(ranked) else left
        rows.append(ranked.iloc[int((k + 0.5) / count * len(ranked))])
        left = left.drop(index=rows[-1].name)
    return pd.DataFrame(rows)


def spectra_of(inputs: Mapping[str, Path], chosen: pd.DataFrame) -> tuple[np.ndarray, ...]:
    """Observed flux, its ivar, predicted flux (gal, pix) and images (gal, band, y, x) of the examples."""
    ids = [int(i) for i in chosen["specobjid"]]
    wanted = (("spectra", "flux"), ("spectra", "ivar"), ("predicted", "flux"), ("images", "images"))
    return tuple(galaxies.read_rows(inputs[key], name, ids).astype(np.float32) for key, name in wanted)


def compare(
    axes: Axes,
    limits: tuple[float, float],
    galaxy: Mapping,
    observed: Float[np.ndarray, " pix"],
    ivar: Float[np.ndarray, " pix"],
    predicted: Float[np.ndarray, " pix"],
) -> None:
    """Observed spectrum with its error band, and the predicted one, each in its own rest frame."""
    z_predicted = galaxy["z_predicted"] if np.isfinite(galaxy["z_predicted"]) else galaxy["z_spec"]
    rest, moved = grid.WAVE / (1 + galaxy["z_spec"]), grid.WAVE / (1 + z_predicted)
    flux = np.where(ivar > 0, observed, np.nan)
    error = np.divide(1, np.sqrt(ivar), out=np.full_like(ivar, np.nan), where=ivar > 0)
    looks = {name: {"color": look.colour, "label": look.label} for name, look in style.PREDICTORS.items()}
    axes.fill_between(
        rest, flux - error, flux + error, color="0.72", lw=0, label=r"$1\sigma$ of the observed"
    )
    axes.plot(rest, flux, lw=0.55, **looks["observed"])
    axes.plot(moved, predicted, lw=0.75, **looks["predicted"])
    inside = [(wave >= limits[0]) & (wave <= limits[1]) for wave in (rest, moved)]
    whole = np.concatenate([flux[inside[0]], predicted[inside[1]]])
    axes.set(xlim=limits, ylim=heights(whole, limits == SHOWN))


def heights(flux: Float[np.ndarray, " some"], wide: bool) -> tuple[float, float]:
    """Limits of the flux: from 0 to half above the continuum, or, in the close-up, to the highest peak."""
    flux = flux[np.isfinite(flux)]
    if not len(flux):
        return 0.0, 1.0
    return 0.0, float(1.5 * np.quantile(flux, 0.97) if wide else 1.08 * flux.max())


def describe(axes: Axes, galaxy: Mapping) -> None:
    """Name, class and redshifts on the left, scores on the right."""
    head = f"{galaxy['name']}  ({galaxy['morphology']})"
    named = {"spec": galaxy["z_spec"], "predicted": galaxy["z_predicted"]}
    redshifts = ",  ".join(rf"$z_\mathrm{{{name}}} = {z:.4f}$" for name, z in named.items())
    scores = (
        rf"$\bar\Delta = {100 * galaxy['delta_predicted']:.1f}\%$,"
        rf"  MSE $= {1000 * galaxy['mse_predicted']:.1f}\times10^{{-3}}$"
    )
    chi2 = rf"$\chi^2/N = {galaxy['chi2_predicted']:.2f}$"
    looks = {"va": "top", "transform": axes.transAxes, "fontsize": 7.5, "linespacing": 1.4, "bbox": _PAPER}
    axes.text(0.012, 0.965, f"{head}\n{redshifts}", **looks)
    axes.text(0.988, 0.965, f"{scores}\n{chi2}", ha="right", **looks)


_PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}


def mark_lines(panels: np.ndarray) -> None:
    """Faint marks of the main lines, named above the first row."""
    for axes in panels[:, 0]:
        for centre in LINES.values():
            axes.axvline(centre, color="0.6", lw=0.4, ls=(0, (4, 4)), zorder=0)
    first = panels[0, 0]
    for name, centre in LINES.items():
        side = {r"H$\beta$": "right", r"Mg$\,$b": "left", r"H$\alpha$": "right"}.get(name, "center")
        looks = {"ha": side, "va": "bottom", "fontsize": 7, "color": "0.3"}
        first.text(centre, 1.01, name, transform=first.get_xaxis_transform(), **looks)
    panels[0, 1].set_title(r"H$\alpha$, [N$\,$II]", fontsize=7, color="0.3", pad=2)
