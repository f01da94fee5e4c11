"""The table of emission lines: one row a spectrum, the columns of every line; what they say together."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt64

from sanspec.config import Lines
from sanspec.errors import Warn
from sanspec.features import emission
from sanspec.features.emission import EMISSION_LINES, NAMES, Line, Spectra
from sanspec.scores import metrics
from sanspec.spectra import grid

FLUX_UNIT = "1e-17 erg / (s cm2)"
COLUMNS = {  # of each line, with their units
    "flux": FLUX_UNIT,
    "flux_err": FLUX_UNIT,
    "ew": "Angstrom",
    "ew_err": "Angstrom",
    "v": "km/s",
    "sigma": "km/s",
    "warn": "",
}
SEEN = 5.0  # signal to noise from which lines of two measurements are compared


def column(quantity: str, line: str) -> str:
    """Name of a column: `flux_h_alpha`, `flux_h_alpha_err`."""
    base, _, error = quantity.partition("_")
    return f"{base}_{line}_{error}" if error else f"{base}_{line}"


def units() -> dict[str, str]:
    """Unit of every column that has one."""
    return {column(key, name): unit for name in NAMES for key, unit in COLUMNS.items() if unit}


def assemble(
    kind: str,
    specobjid: UInt64[np.ndarray, " gal"],
    norm: Float[np.ndarray, " gal"],
    spectra: Spectra,
    lines: Sequence[dict[str, Line]],
    settings: Lines,
) -> pd.DataFrame:
    """One row for each spectrum.

    norm: what fluxes are in units of [1e-17 erg/s/cm2/A]. Equivalent widths are at rest and positive in
    emission, their errors those of the flux alone. `present_<line>`: 1, 0, or -1 where it is not known;
    `warn`: all bits of the four lines of the diagram.
    """
    table = pd.DataFrame({"specobjid": specobjid, "kind": kind, "z": spectra.z})
    for name, line in EMISSION_LINES.items():
        found = [one[name] for one in lines]
        flux, error = (np.array([getattr(one, key) for one in found]) for key in ("flux", "error"))
        level = emission.continuum(spectra.stars, spectra.z, line.wave) * (1 + spectra.z)
        width = widths(line, found, spectra, level)
        warn = np.array([one.warn for one in found]) | np.where(np.isfinite(width), 0, int(Warn.NO_LINE))
        values = {
            "flux": flux * norm,
            "flux_err": error * norm,
            "ew": width,
            "ew_err": error / level,
            "v": [one.v for one in found],
            "sigma": [one.sigma for one in found],
            "warn": warn.astype(np.uint32),
        }
        there = np.where(np.isfinite(flux), emission.present(flux, error, settings.present_snr), -1)
        new = {column(key, name): values[key] for key in COLUMNS} | {f"present_{name}": there.astype(np.int8)}
        table = pd.concat([table, pd.DataFrame(new)], axis=1)
    table["warn"] = np.bitwise_or.reduce([table[f"warn_{name}"] for name in emission.DIAGRAM])
    return table


def widths(
    line: emission.EmissionLine, found: Sequence[Line], spectra: Spectra, level: Float[np.ndarray, " gal"]
) -> Float[np.ndarray, " gal"]:
    """Equivalent widths by specutils [Angstrom, rest, emission positive]; NaN without line or continuum."""
    result = np.full(len(found), np.nan)
    for row, one in enumerate(found):
        if np.isfinite(one.flux) and np.isfinite(level[row]):
            z = spectra.z[row]
            spread = np.interp(line.wave * (1 + z), grid.WAVE, spectra.lsf[row]) / (1 + z)
            result[row] = emission.equivalent_width(line, one, spread, level[row])
    return result


def summary(table: pd.DataFrame, least_snr: float) -> dict:
    """Rule of absence; for each kind and line how many were measured, are there, or bear which bits."""
    kinds = {kind: rows for kind, rows in table.groupby("kind")}
    return {
        "absent": f"flux <= 0 or below {least_snr:g} times its error; a line not measured is neither",
        "equivalent_widths": "rest frame, by specutils, whose sign is turned: positive in emission",
        "count": {kind: len(rows) for kind, rows in kinds.items()},
        "lines": {kind: {name: tally(rows, name) for name in NAMES} for kind, rows in kinds.items()},
    }


def tally(table: pd.DataFrame, name: str) -> dict:
    """What became of one line."""
    there, warn = table[f"present_{name}"], table[f"warn_{name}"].to_numpy(np.uint32)
    snr = table[f"flux_{name}"] / table[f"flux_{name}_err"]
    return {
        "present": int((there == 1).sum()),
        "absent": int((there == 0).sum()),
        "not_measured": int((there == -1).sum()),
        "at_bound": int(((warn & int(Warn.AT_BOUND)) > 0).sum()),
        "snr_above_5": int((snr > SEEN).sum()),
        "ew_median": metrics.quantiles(table[f"ew_{name}"].to_numpy())["median"],
    }


def against(table: pd.DataFrame, suffix: str) -> dict:
    """Median and scatter of our fluxes over those in columns with `suffix`, by line, above SEEN."""
    result = {}
    for name in NAMES:
        ours, error = table[f"flux_{name}"].to_numpy(float), table[f"flux_{name}_err"].to_numpy(float)
        theirs = table[f"flux_{name}{suffix}"].to_numpy(float)
        with np.errstate(invalid="ignore", divide="ignore"):
            use = (ours > SEEN * error) & (theirs > 0)
            ratio = ours[use] / theirs[use]
        result[name] = {
            "count": int(use.sum()),
            "median_ratio": metrics.quantiles(ratio)["median"],
            "scatter": metrics.sigma_mad(ratio),
        }
    return result
