"""Expected results of a population fit to a galaxy of the simulated sky: light-weighted truth inside the fibre.

The truth table holds histories, dust and dispersions of bulge and disk, and the dispersion in the fibre. The square of
the latter is the light-weighted mean of the squares of the former, which gives the share of the bulge in the fibre's
light. Light weights are those before dust, as both codes give them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from sanspec.mock import stars
from sanspec.mock.population import Population
from sanspec.physics.dust import calzetti
from sanspec.scores.metrics import finite
from sanspec.stellar import agreement
from sanspec.stellar.agreement import QUANTITIES
from sanspec.stellar.library import Library

V_BAND = (5070.0, 5950.0)  # vacuum [Angstrom]: band of the light weights, as in the fits
K_V = float(calzetti(np.array([5500.0]))[0])  # A_V per E(B-V)


def expected(truth: pd.DataFrame, library: Library) -> pd.DataFrame:
    """`specobjid` and, by the names of QUANTITIES, what a fit of the fibre's light should find.

    `log_age_linear` and `metal_linear` are logs of the light-weighted mean age and metallicity (FIREFLY's
    averages). ebv_stars: light-weighted. NaN where the two dispersions of a galaxy are too similar to separate its
    components.
    """
    sky = stars.prepare(library)
    band = (V_BAND[0] < stars.WAVE) & (V_BAND[1] > stars.WAVE)
    light = sky.flux[:, band].mean(axis=1)
    rows = [_expected(row, sky, light) for row in truth.to_dict("records")]
    return pd.DataFrame(rows)


def _expected(row: Mapping, sky: stars.Stars, light: Float[np.ndarray, " model"]) -> dict:
    """One galaxy of `expected`."""
    ages, metals = (axis.ravel() for axis in np.meshgrid(np.log10(sky.ages) + 9, sky.metals, indexing="ij"))
    parts = []
    for part in ("bulge", "disk"):
        history = Population(**{name: row[f"{part}_{name}"] for name in Population.__slots__})
        weights = stars.weights(sky, history).ravel() * light
        parts.append(weights / weights.sum())
    seen = bulge_share(row)
    ebv = np.array([row["bulge_ebv"], row["disk_ebv"]])
    before = np.array([seen, 1 - seen]) * 10 ** (0.4 * K_V * ebv)
    before = before / before.sum()
    weights = before @ np.array(parts)
    return {
        "specobjid": np.uint64(row["specobjid"]),
        "log_age_light": float(weights @ ages),
        "metal_light": float(weights @ metals),
        "log_age_linear": float(np.log10(weights @ 10**ages)),
        "metal_linear": float(np.log10(weights @ 10**metals)),
        "ebv_stars": float(np.array([seen, 1 - seen]) @ ebv),
        "vdisp": float(row["fibre_vdisp"]),
    }


def bulge_share(row: Mapping) -> float:
    """Share of the bulge in the fibre's light near 5200 A, after dust, from the three dispersions; NaN if unknown."""
    bulge, disk, fibre = (row[name] ** 2 for name in ("bulge_vdisp", "disk_vdisp", "fibre_vdisp"))
    if abs(bulge - disk) < 0.05 * (bulge + disk):
        return row["bulge_fraction"] if row["bulge_fraction"] in (0.0, 1.0) else np.nan
    return float(np.clip((fibre - disk) / (bulge - disk), 0.0, 1.0))


def residuals(
    table: pd.DataFrame, truth: pd.DataFrame, linear: bool = False, error: str = "std"
) -> pd.DataFrame:
    """Measured minus expected and the stated error, `d_<x>` and `error_<x>`, for the observed spectra of a table.

    linear: the code averages ages and metallicities, not their logs; error: `std` of the bootstrap or `err`.
    """
    names = {"log_age_light": "log_age_linear", "metal_light": "metal_linear"} if linear else {}
    joined = table[table["kind"] == "observed"].merge(truth, on="specobjid", suffixes=("", "_true"))
    found = joined[["specobjid", "snr", "warn"]].copy()
    for name in QUANTITIES:
        expect = names.get(name, f"{name}_true")
        found[f"d_{name}"] = joined[name] - joined[expect]
        found[f"error_{name}"] = joined[f"{name}_{error}"]
    return found


def scores(difference: Float[np.ndarray, " gal"], error: Float[np.ndarray, " gal"]) -> dict:
    """Bias (median), scatter (half the central 68.27 %), 68th percentile of |d|, coverage of the stated 1 sigma."""
    found = agreement.scores(difference, error, ())
    if not found["count"]:
        return found
    return {
        "bias": found["median"],
        "abs_68": float(np.quantile(np.abs(finite(difference)), 0.68)),
        "coverage": found["within_errors"],
        **{name: found[name] for name in ("count", "scatter", "with_errors", "median_error")},
    }


def summary(found: pd.DataFrame, groups: Mapping[str, Sequence[bool]]) -> dict:
    """Scores by quantity and group of a table of `residuals`."""
    return {
        name: {
            group: scores(
                found[f"d_{name}"].to_numpy(float)[use], found[f"error_{name}"].to_numpy(float)[use]
            )
            for group, use in groups.items()
        }
        for name in QUANTITIES
    }
