"""A sheet of galaxies of the simulated sky: the gri image of each beside its spectrum."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from sanspec.config import Config
from sanspec.errors import SanspecError
from sanspec.figures import galaxies, panels, style
from sanspec.store import read_table
from sanspec.survey import cubes, sdss, specfile
from sanspec.survey.specfile import Spectrum

INPUTS = ("cubes", "truth", "sky_spectra")
COLUMNS = 2
SHOWCASE = {"S": 6, "Irr": 1, "S0": 1, "E": 2}  # of the brightest of each type
TYPICAL = 4  # of all
BRIGHT = 0.08  # fraction of a type that counts as bright
RULE = (
    "without defects; of the brightest in r of the rounder half of each type (S, Irr, S0, E) some at even "
    "ranks in u-r; then four at even ranks in r of all"
)
SHOWN = (3800.0, 9200.0)  # Angstrom
RUNNING = 5  # pixels over which the spectra are averaged for the eye


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """Rows of two galaxies, image and spectrum each; the last two rows are typical, not bright."""
    truth = read_table(inputs["truth"])
    chosen = choose(truth)
    images = read_images(inputs["cubes"], chosen["specobjid"].to_numpy(np.uint64))
    rows = len(chosen) // COLUMNS
    figure = style.canvas(style.PAGE, 1.08 * rows + 0.3)
    grid = figure.subplots(rows, 2 * COLUMNS, squeeze=False, width_ratios=(1, 2.35) * COLUMNS)
    for k, (galaxy, image) in enumerate(zip(chosen.itertuples(), images)):
        row, column = divmod(k, COLUMNS)
        picture, axes = grid[row, 2 * column : 2 * column + 2]
        galaxies.show(picture, galaxies.colour(image * galaxies.WEIGHTS, settings.figures))
        picture.tick_params(length=0)
        parts = sdss.unpack(np.uint64(galaxy.specobjid))
        name = sdss.file_name(*(int(parts[key]) for key in ("plate", "mjd", "fiberid")))
        plot(axes, specfile.read(Path(inputs["sky_spectra"]) / name), galaxy)
        axes.tick_params(labelbottom=row == rows - 1)
    figure.supxlabel(r"observed vacuum wavelength [$\mathrm{\AA}$]", fontsize=8.5)
    figure.supylabel(r"$F_\lambda$ [$10^{-17}$ erg s$^{-1}$ cm$^{-2}$ $\mathrm{\AA}^{-1}$]", fontsize=8.5)
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.015, wspace=0.01, hspace=0.0)
    keys = ["specobjid", "kind", "z", "log_mass", "petro_r", "snr", "halpha_width", "nucleus"]
    return figure, {"n": len(truth), "rule": RULE, "galaxies": chosen[keys].to_dict("records")}


def choose(truth: pd.DataFrame) -> pd.DataFrame:
    """The galaxies by `RULE`. Raises SanspecError when there are too few."""
    whole = truth[(truth["defect"] == "") & ~truth["paired"]]
    whole = whole.assign(u_r=whole["model_u"] - whole["model_r"])
    shown = []
    for kind, count in SHOWCASE.items():
        some = whole[whole["kind"] == kind]
        some = some[some["disk_axis"] >= some["disk_axis"].median()]
        pool = some.nsmallest(max(count, round(BRIGHT * len(some))), "petro_r")
        shown.append(_evenly(pool.sort_values("u_r"), count))
    rest = whole.drop(index=pd.concat(shown).index).sort_values("petro_r")
    return pd.concat([*shown, _evenly(rest, TYPICAL)])


def _evenly(ranked: pd.DataFrame, count: int) -> pd.DataFrame:
    """`count` different rows at even ranks."""
    if len(ranked) < count:
        raise SanspecError(
            f"figure mocksky: {len(ranked)} galaxies where {count} are shown; raise mock.galaxies"
        )
    return ranked.iloc[((np.arange(count) + 0.5) / count * len(ranked)).astype(int)]


def read_images(path: Path, ids: np.ndarray) -> list[np.ndarray]:
    """Images (band, y, x) of the galaxies `ids`. Raises SanspecError when one has none."""
    present = cubes.read_ids(path)
    missing = ids[~np.isin(ids, present)]
    if missing.size:
        raise SanspecError(f"{path} has no cube of specobjid {missing[0]}: made with another sky; rerun mock")
    rows = np.array([int(np.flatnonzero(present == one)[0]) for one in ids])
    with cubes.open_cubes(path) as member:
        taken = dict(zip(np.sort(rows), member.take(np.sort(rows))))
    return [np.moveaxis(taken[row], -1, 0) for row in rows]


def plot(axes: Axes, spectrum: Spectrum, galaxy) -> None:
    """A spectrum with its noise and what was drawn for the galaxy."""
    wave = 10**spectrum.loglam
    good = spectrum.ivar > 0
    flux = np.where(good, spectrum.flux, np.nan)
    smooth = pd.Series(flux).rolling(RUNNING, center=True, min_periods=1).mean().to_numpy()
    error = np.where(good, 1 / np.sqrt(np.where(good, spectrum.ivar, 1.0)), np.nan)
    axes.plot(wave, smooth, lw=0.45, color="black")
    axes.plot(wave, error, lw=0.4, color="#D55E00")
    low, high = np.nanpercentile(smooth[(wave > SHOWN[0]) & (wave < SHOWN[1])], [2, 99.3])
    axes.set(xlim=SHOWN, ylim=(min(0.0, low), 1.45 * high))
    axes.xaxis.set_major_locator(MultipleLocator(1000))
    nucleus = "" if galaxy.nucleus == "none" else f", {galaxy.nucleus}"
    numbers = rf"$z={galaxy.z:.3f}$   $\log M={galaxy.log_mass:.1f}$   $r={galaxy.petro_r:.1f}$"
    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1}
    text = f"{galaxy.kind}{nucleus}   {numbers}"
    panels.note(axes, text, y=0.94, fontsize=6.8, bbox=box)
