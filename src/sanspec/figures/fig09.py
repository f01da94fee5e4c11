"""Figure 9: mass-metallicity relation of the predicted spectra, by both codes (Doorenbos et al. 2024, figure 9)."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from sanspec.config import Config
from sanspec.errors import SanspecError, Warn
from sanspec.figures import populations, style
from sanspec.physics.relations import GALLAZZI, ZAHID
from sanspec.scores.numbers import Number, record
from sanspec.stellar import results
from sanspec.store import read_table

INPUTS = ("ppxf", "firefly", "objects", "indices")
MASS = "logmass_maraston09"
BIN = 0.25  # dex of mass
LEAST = 3  # galaxies that make a bin
COLOURS, BREAK = "viridis_r", (1.1, 2.0)  # colours and range of Dn4000

REFERENCES = {"zahid2017": ZAHID, "gallazzi2005": GALLAZZI[:2]}
PUBLISHED = {"zahid2017": "Zahid et al. 2017", "gallazzi2005": "Gallazzi et al. 2005"}


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """A panel for each code: galaxies coloured by Dn4000 with errors, binned medians, published relations."""
    tables = {code: read(inputs, code) for code in populations.CODES}
    if not any(map(len, tables.values())):
        raise SanspecError(f"figure 9: no predicted spectrum with a mass ({MASS}) and a metallicity")
    numbers = {code: relation(table) for code, table in tables.items()}
    figure = style.canvas(style.PAGE, 3.6)
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, (code, table) in zip(panels, tables.items()):
        galaxies(axes, table)
        published(axes)
        binned(axes, numbers[code])
        rho = numbers[code]["spearman"]
        text = f"{populations.CODES[code]}: N = {len(table)}, Spearman {rho:+.2f}"
        axes.text(0.03, 0.97, text, va="top", transform=axes.transAxes)
        axes.set_xlabel(r"photometric $\log M_*\ [M_\odot]$")
    panels[0].set(ylabel="[M/H] of the predicted spectrum [dex]", xlim=(8.4, 12.0), ylim=(-1.5, 0.75))
    panels[1].legend(loc="lower right", fontsize=6.5)
    bar = figure.colorbar(ScalarMappable(Normalize(*BREAK), COLOURS), ax=panels, pad=0.01)
    bar.set_label(r"$D_n4000$ of the predicted spectrum")
    both = tables["ppxf"].merge(tables["firefly"], on="specobjid", suffixes=("_ppxf", "_firefly"))
    offset = both["metal_light_ppxf"] - both["metal_light_firefly"]
    found = [
        Number(
            "offset_ppxf_minus_firefly",
            float(np.median(offset)) if len(both) else np.nan,
            "median difference of [M/H] of the predicted spectra, pPXF minus FIREFLY",
            "dex",
            "-0.1 (section 5.4)",
        )
    ]
    for code, label in populations.CODES.items():
        text = f"Spearman rank correlation of mass and [M/H] of the predicted spectra ({label})"
        found.append(Number(f"spearman_{code}", numbers[code]["spearman"], text))
        for name, gap in numbers[code]["against"].items():
            text = f"rms difference of the binned [M/H] from {PUBLISHED[name]} ({label})"
            found.append(Number(f"rms_{name}_{code}", gap["rms"], text, "dex"))
    return figure, {"n": max(map(len, tables.values())), **record(found), "relation": numbers}


def read(inputs: Mapping[str, Path], code: str) -> pd.DataFrame:
    """[M/H] and its bootstrap error, mass and Dn4000 of the predicted spectra that have the first and a mass."""
    table = results.read(inputs[code])
    table = table[(table["kind"] == "predicted") & ((table["warn"] & int(Warn.NOT_FITTED)) == 0)]
    table = table[["specobjid", "metal_light", "metal_light_std"]]
    objects = read_table(inputs["objects"])[["specobjid", MASS]]
    breaks = read_table(inputs["indices"])[["specobjid", "dn4000_predicted"]]
    joined = table.merge(objects, on="specobjid").merge(breaks, on="specobjid", how="left")
    good = np.isfinite(joined["metal_light"]) & (joined[MASS] > 5)
    return joined[good].reset_index(drop=True)


def relation(table: pd.DataFrame) -> dict:
    """Medians in bins of 0.25 dex of mass, rank correlation, rms distance of the medians from published relations."""
    mass, metal = table[MASS].to_numpy(float), table["metal_light"].to_numpy(float)
    centres, medians, counts = medians_by_mass(mass, metal)
    rho = float(spearmanr(mass, metal).statistic) if len(table) > 2 else np.nan
    rms = {}
    for name, (at, values) in REFERENCES.items():
        inside = (centres >= at[0]) & (centres <= at[-1])
        gap = medians[inside] - np.interp(centres[inside], at, values)
        rms[name] = {
            "rms": float(np.sqrt(np.mean(gap**2))) if len(gap) else np.nan,
            "mean": float(np.mean(gap)) if len(gap) else np.nan,
        }
    bins = {"mass": centres, "median": medians, "count": counts}
    return {"count": len(table), "spearman": rho, "bins": bins, "against": rms}


def medians_by_mass(
    mass: Float[np.ndarray, " gal"], metal: Float[np.ndarray, " gal"]
) -> tuple[Float[np.ndarray, " bin"], Float[np.ndarray, " bin"], np.ndarray]:
    """Centres, medians and counts of the bins of mass that hold at least `LEAST` galaxies."""
    number = np.floor(mass / BIN).astype(int)
    kept = [k for k in np.unique(number) if (number == k).sum() >= LEAST]
    medians = np.array([np.median(metal[number == k]) for k in kept])
    counts = np.array([(number == k).sum() for k in kept], int)
    return (np.array(kept) + 0.5) * BIN, medians, counts


def galaxies(axes: Axes, table: pd.DataFrame) -> None:
    """Every galaxy, coloured by Dn4000, with the bootstrap's error where it has one."""
    mass, metal = table[MASS], table["metal_light"]
    drawn = np.isfinite(table["metal_light_std"])
    bars = {"fmt": "none", "ecolor": "0.75", "elinewidth": 0.5, "zorder": 1}
    axes.errorbar(mass[drawn], metal[drawn], table["metal_light_std"][drawn], **bars)
    looks = {
        "s": 9,
        "cmap": COLOURS,
        "norm": Normalize(*BREAK),
        "linewidths": 0,
        "rasterized": True,
        "zorder": 2,
    }
    axes.scatter(mass, metal, c=table["dn4000_predicted"], plotnonfinite=True, **looks)


def published(axes: Axes) -> None:
    """Zahid et al. 2017, and Gallazzi et al. 2005 with the range of the central 68 %."""
    axes.plot(*ZAHID, color="#B2182B", ls="--", lw=1.2, label="Zahid et al. 2017", zorder=4)
    axes.plot(*GALLAZZI[:2], color="0.25", ls="-.", lw=1.0, label="Gallazzi et al. 2005", zorder=4)
    axes.fill_between(GALLAZZI[0], GALLAZZI[2], GALLAZZI[3], color="0.5", alpha=0.12, lw=0, zorder=0)


def binned(axes: Axes, numbers: Mapping) -> None:
    """Medians in bins of mass."""
    bins = numbers["bins"]
    looks = {"color": "black", "mfc": "white", "ms": 4.5, "mew": 0.9, "lw": 0.8, "zorder": 5}
    axes.plot(bins["mass"], bins["median"], "s-", label=f"median in {BIN:g} dex", **looks)
