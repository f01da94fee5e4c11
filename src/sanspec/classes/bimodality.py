"""Tests for two populations of galaxies: BIC of mixtures of Gaussians, and the modes of the density."""

from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import gaussian_kde
from sklearn.mixture import GaussianMixture

from sanspec.errors import Warn
from sanspec.features.dispersed import fitted_rows, velocity_dispersions
from sanspec.scores import metrics
from sanspec.scores.numbers import Number, record
from sanspec.stellar.results import KINDS

QUANTITIES = {  # of figure 11, in its order
    "ebv": "E(B-V)",
    "log_age": "log age",
    "vdisp": "velocity dispersion",
    "dn4000": "Dn4000",
    "u_r": "u-r",
}
MIN_VALUES = 20  # below which nothing is fitted
STARTS = 8  # of the mixture's fit
MIN_WIDTH = 0.1  # of a Gaussian, in standard deviations of the values: values piled up at a bound are no mode
GRID = 512  # places at which the density is evaluated
MIN_RISE = 0.05  # of a mode above the lower of its neighbouring dips, in heights of the highest mode


def table_of(
    indices: pd.DataFrame, populations: pd.DataFrame, objects: pd.DataFrame, specobjid: np.ndarray
) -> pd.DataFrame:
    """`<quantity>_<kind>` of QUANTITIES for the given objects; u-r, dereddened, is photometric for both kinds.

    indices: `dn4000_<kind>` in the order of specobjid; populations: a table of `stellar.results`; objects: the
    catalogue.
    """
    found = {"specobjid": specobjid}
    colour = (
        objects["modelmag_u"] - objects["modelmag_r"] - (objects["extinction_u"] - objects["extinction_r"])
    )
    for kind in KINDS:
        rows = fitted_rows(populations, specobjid, kind)
        found[f"ebv_{kind}"] = rows["ebv_stars"].to_numpy(float)
        found[f"log_age_{kind}"] = rows["log_age_light"].to_numpy(float)
        vdisp, _ = velocity_dispersions(populations, specobjid, kind)
        bound = (rows["warn"].fillna(0).astype(np.uint32) & int(Warn.AT_BOUND)) > 0
        edge = (rows["vdisp"] <= 1.001 * rows["vdisp"].min()) | (rows["vdisp"] >= 0.999 * rows["vdisp"].max())
        found[f"vdisp_{kind}"] = np.where(bound & edge, np.nan, vdisp)  # at a bound: neither value nor mode
        found[f"dn4000_{kind}"] = indices[f"dn4000_{kind}"].to_numpy(float)
        found[f"u_r_{kind}"] = np.where(np.abs(colour) < 10, colour, np.nan)
    return pd.DataFrame(found)


def two_against_one(values: Float[np.ndarray, " gal"], seed: int = 0) -> dict:
    """One and two Gaussians fitted to the finite values; BIC of one minus BIC of two, > 0 favours two."""
    values = metrics.finite(values)
    lists: dict = {name: [] for name in ("means", "widths", "shares", "modes")}
    nothing = {"count": len(values), "bic_gain": float("nan")} | lists
    if len(values) < MIN_VALUES or np.ptp(values) == 0:
        return nothing
    shared = {"n_init": STARTS, "random_state": seed, "reg_covar": MIN_WIDTH**2 * values.var()}
    fits = [GaussianMixture(count, **shared).fit(values[:, None]) for count in (1, 2)]
    order = np.argsort(fits[1].means_[:, 0])
    return nothing | {
        "bic_gain": float(fits[0].bic(values[:, None]) - fits[1].bic(values[:, None])),
        "means": fits[1].means_[order, 0].tolist(),
        "widths": np.sqrt(fits[1].covariances_[order, 0, 0]).tolist(),
        "shares": fits[1].weights_[order].tolist(),
        "modes": modes(values),
    }


def modes(values: Float[np.ndarray, " gal"]) -> list[float]:
    """Maxima of the kernel density (Scott's rule) that rise above the neighbouring dips; ascending."""
    low, high = np.quantile(values, [0.001, 0.999])
    margin = 0.1 * (high - low)
    places = np.linspace(low - margin, high + margin, GRID)
    density = gaussian_kde(values)(places)
    inner = (density[1:-1] > density[:-2]) & (density[1:-1] >= density[2:])
    peaks = list(np.flatnonzero(inner) + 1)
    while len(peaks) > 1:
        dips = [density[a : b + 1].min() for a, b in pairwise(peaks)]
        around = [dips[:1], *([a, b] for a, b in pairwise(dips)), dips[-1:]]
        rises = [density[peak] - max(sides) for peak, sides in zip(peaks, around)]
        if min(rises) >= MIN_RISE * density.max():
            break
        peaks.pop(int(np.argmin(rises)))
    return [float(places[peak]) for peak in peaks]


def summary(table: pd.DataFrame) -> dict:
    """`two_against_one` of every quantity and kind, Spearman coefficients of every pair, headline numbers."""
    values = {kind: {name: table[f"{name}_{kind}"].to_numpy(float) for name in QUANTITIES} for kind in KINDS}
    mixtures = {
        kind: {name: two_against_one(one) for name, one in found.items()} for kind, found in values.items()
    }
    ranks = {
        kind: {
            f"{x}_{y}": metrics.correlation(found[x], found[y])["spearman"]
            for x, y in combinations(QUANTITIES, 2)
        }
        for kind, found in values.items()
    }
    text = "BIC of one Gaussian minus BIC of two; a positive value favours two"
    numbers = [
        Number(f"bic_gain_{name}_{kind}", mixtures[kind][name]["bic_gain"], f"{label} ({kind}): {text}")
        for name, label in QUANTITIES.items()
        for kind in KINDS
    ]
    return record(numbers) | {"mixtures": mixtures, "spearman": ranks}
