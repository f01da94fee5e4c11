"""Figure 1: images of different training galaxies, one band each (Doorenbos et al. 2024, figure 1)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from sanspec.config import Config
from sanspec.errors import SanspecError
from sanspec.figures import galaxies, style
from sanspec.physics.constants import NORMAL_MAD
from sanspec.store import read_table

INPUTS = ("objects", "images")
BRIGHT = 0.25  # fraction of the training split, the brightest in r, from which the galaxies are taken


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """Five galaxies of the training split, from the bluest in u to the reddest in z."""
    chosen = choose(read_table(inputs["objects"]), BRIGHT)
    cubes = galaxies.read_rows(inputs["images"], "images", list(chosen["specobjid"])).astype(np.float32)
    figure = style.canvas(style.PAGE, 1.72)
    panels, numbers = figure.subplots(1, len(galaxies.BANDS)), []
    for k, (axes, (_, row)) in enumerate(zip(panels, chosen.iterrows())):
        image, name = cubes[k, k], galaxies.sky_name(row["ra"], row["dec"])
        galaxies.show(axes, stretched(image), cmap="gray", vmin=0, vmax=1)
        galaxies.annotate(
            axes, 0.94, 0.95, galaxies.BANDS[k], ha="right", va="top", fontsize=11, style="italic"
        )
        axes.set_title(name, fontsize=7.5, pad=3)
        numbers.append(
            {"specobjid": int(row["specobjid"]), "name": name, "u_r": float(row["u_r"]), **statistics(image)}
        )
    figure.get_layout_engine().set(w_pad=0.02, wspace=0.02)
    return figure, {"n": len(chosen), "bands": galaxies.BANDS, "rule": RULE, "galaxies": numbers}


RULE = (
    "of the brightest training galaxies in r: those at the quantiles .1, .3, .5, .7, .9 of u-r, "
    "shown in u, g, r, i, z"
)


def choose(objects: pd.DataFrame, bright: float) -> pd.DataFrame:
    """Five different training galaxies by `RULE`. Raises SanspecError when there are fewer."""
    training = objects[objects["split"] == 0]
    training = training.assign(u_r=training["modelmag_u"] - training["modelmag_r"])
    count = max(len(galaxies.BANDS), round(bright * len(training)))
    ranked = training.nsmallest(count, "modelmag_r").sort_values("u_r")
    if len(ranked) < len(galaxies.BANDS):
        raise SanspecError(
            f"figure 1: {len(ranked)} training galaxies; at least {len(galaxies.BANDS)} are needed"
        )
    at = (np.arange(len(galaxies.BANDS)) + 0.5) / len(galaxies.BANDS) * len(ranked)
    return ranked.iloc[at.astype(int)]


def stretched(image: Float[np.ndarray, "y x"]) -> Float[np.ndarray, "y x"]:
    """An image on 0 to 1: asinh of the flux over its sky noise, from -1 sigma to the 99.9th percentile."""
    sky = np.concatenate([image[:4].ravel(), image[-4:].ravel()])
    level = np.nanmedian(sky)
    noise = max(NORMAL_MAD * np.nanmedian(np.abs(sky - level)), 1e-6)
    value = np.arcsinh((image - level) / (2 * noise))
    low, high = np.arcsinh(-0.5), max(np.nanpercentile(value, 99.9), 1.0)
    return np.clip((value - low) / (high - low), 0, 1)


def statistics(image: Float[np.ndarray, "y x"]) -> dict:
    """Shape, finite fraction, mean and standard deviation [nanomaggies] of one image."""
    good = image[np.isfinite(image)]
    return {
        "shape": list(image.shape),
        "finite": good.size / image.size,
        "mean": good.mean(),
        "std": good.std(),
    }
