"""Do the galaxies fall in two? Mixtures of Gaussians by their BIC, and the modes of the density."""

from itertools import combinations, pairwise

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
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
LEAST = 20  # values below which nothing is fitted
STARTS = 8  # of the mixture's fit
NARROWEST = 0.1  # least width of a Gaussian, of the standard deviation: values piled at a bound are no mode
GRID = 512  # places at which the density is taken
PROMINENT = 0.05  # least height of a mode over the lower of its neighbouring dips, of the highest mode


def table_of(
    indices: pd.DataFrame, populations: pd.DataFrame, objects: pd.DataFrame, specobjid: np.ndarray
) -> pd.DataFrame:
    """`<quantity>_<kind>` of QUANTITIES for the given objects; u-r, dereddened, is photometry for both kinds.

    indices: `dn4000_<kind>` by row of specobjid; populations: a table of `stellar.results`; objects: the
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
        found[f"vdisp_{kind}"] = np.where(
            piled(rows), np.nan, velocity_dispersions(populations, specobjid, kind)[0]
        )
        found[f"dn4000_{kind}"] = indices[f"dn4000_{kind}"].to_numpy(float)
        found[f"u_r_{kind}"] = np.where(np.abs(colour) < 10, colour, np.nan)
    return pd.DataFrame(found)


def piled(rows: pd.DataFrame) -> Bool[np.ndarray, " gal"]:
    """Where a velocity dispersion stands at the bound of its fit: no measurement, and no mode."""
    bound = (rows["warn"].fillna(0).astype(np.uint32) & int(Warn.AT_BOUND)) > 0
    vdisp = rows["vdisp"]
    return (bound & ((vdisp <= 1.001 * vdisp.min()) | (vdisp >= 0.999 * vdisp.max()))).to_numpy()


def two_against_one(values: Float[np.ndarray, " gal"], seed: int = 0) -> dict:
    """One and two Gaussians fitted to the finite values; BIC of one less that of two, > 0 says two."""
    values = metrics.finite(values)
    nothing = {
        "count": len(values),
        "bic_gain": float("nan"),
        "means": [],
        "widths": [],
        "shares": [],
        "modes": [],
    }
    if len(values) < LEAST or np.ptp(values) == 0:
        return nothing
    fits = [
        GaussianMixture(count, n_init=STARTS, random_state=seed, reg_covar=NARROWEST**2 * values.var()).fit(
            values[:, None]
        )
        for count in (1, 2)
    ]
    order = np.argsort(fits[1].means_[:, 0])
    return nothing | {
        "bic_gain": float(fits[0].bic(values[:, None]) - fits[1].bic(values[:, None])),
        "means": fits[1].means_[order, 0].tolist(),
        "widths": np.sqrt(fits[1].covariances_[order, 0, 0]).tolist(),
        "shares": fits[1].weights_[order].tolist(),
        "modes": modes(values),
    }


def modes(values: Float[np.ndarray, " gal"]) -> list[float]:
    """Maxima of the kernel density (Scott's rule) that rise above the dips beside them; ascending."""
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
        if min(rises) >= PROMINENT * density.max():
            break
        peaks.pop(int(np.argmin(rises)))
    return [float(places[peak]) for peak in peaks]


def summary(table: pd.DataFrame) -> dict:
    """`two_against_one` of every quantity and kind, Spearman coefficients of every pair, headline numbers."""
    mixtures = {
        kind: {name: two_against_one(table[f"{name}_{kind}"].to_numpy(float)) for name in QUANTITIES}
        for kind in KINDS
    }
    pairs = list(combinations(QUANTITIES, 2))
    ranks = {
        kind: {
            f"{x}_{y}": metrics.correlation(*(table[f"{name}_{kind}"].to_numpy(float) for name in (x, y)))[
                "spearman"
            ]
            for x, y in pairs
        }
        for kind in KINDS
    }
    text = "BIC of one Gaussian minus BIC of two; a positive value favours two"
    numbers = [
        Number(f"bic_gain_{name}_{kind}", mixtures[kind][name]["bic_gain"], f"{label} ({kind}): {text}")
        for name, label in QUANTITIES.items()
        for kind in KINDS
    ]
    return record(numbers) | {"mixtures": mixtures, "spearman": ranks}
