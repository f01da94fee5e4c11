"""What a population fit should find in a galaxy of the embedded sky: light-weighted truth inside the fibre.

The truth table holds both components' histories, dust and dispersions, and the fibre's dispersion, whose
square is the light-weighted mean of theirs: so the share of the bulge in the fibre's light follows. Behind it
light weights are those before dust, as both codes give them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from sanspec.mock import stars
from sanspec.mock.population import Population
from sanspec.physics.dust import calzetti
from sanspec.scores.metrics import finite
from sanspec.stellar.library import Library

QUANTITIES = ("log_age_light", "metal_light", "ebv_stars", "vdisp")
V_BAND = (5070.0, 5950.0)  # vacuum [Angstrom]; where light is weighed, as in the fits
K_V = float(calzetti(np.array([5500.0]))[0])  # A_V per E(B-V)
ODD = ("defect",)  # columns that mark an object that is not what it seems


def expected(truth: pd.DataFrame, library: Library) -> pd.DataFrame:
    """`specobjid` and, by the names of QUANTITIES, what a fit of the fibre's light should find.

    `log_age_linear` and `metal_linear` are logs of the light-weighted mean age and metallicity (FIREFLY's
    averages); ebv_stars: light-weighted. NaN where a galaxy's two dispersions are too alike to tell its
    components apart.
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
    """Share of the bulge in the fibre's light about 5200 A, behind dust, from the three dispersions; NaN if unknown."""
    bulge, disk, fibre = (row[name] ** 2 for name in ("bulge_vdisp", "disk_vdisp", "fibre_vdisp"))
    if abs(bulge - disk) < 0.05 * (bulge + disk):
        return row["bulge_fraction"] if row["bulge_fraction"] in (0.0, 1.0) else np.nan
    return float(np.clip((fibre - disk) / (bulge - disk), 0.0, 1.0))


def residuals(
    table: pd.DataFrame, truth: pd.DataFrame, linear: bool = False, error: str = "std"
) -> pd.DataFrame:
    """Measured less expected and the stated error, `d_<x>` and `error_<x>`, of the observed spectra of a table.

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
    known = np.isfinite(difference) & np.isfinite(error)
    values = finite(difference)
    if not len(values):
        return {"count": 0}
    low, high = np.quantile(values, [0.15865, 0.84135])
    return {
        "count": len(values),
        "bias": float(np.median(values)),
        "scatter": float(0.5 * (high - low)),
        "abs_68": float(np.quantile(np.abs(values), 0.68)),
        "with_errors": int(known.sum()),
        "median_error": float(np.median(error[known])) if known.any() else np.nan,
        "coverage": float(np.mean(np.abs(difference[known]) <= error[known])) if known.any() else np.nan,
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
