"""The table of emission lines: one row per spectrum, the same columns for every line, and a summary."""

from collections.abc import Collection
from dataclasses import astuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from sanspec.config import Lines
from sanspec.errors import Warn
from sanspec.features import emission
from sanspec.physics.lines import EMISSION_LINES
from sanspec.scores import metrics
from sanspec.spectra import grid
from sanspec.spectra.spectra import Spectra

FLUX_UNIT = "1e-17 erg / (s cm2)"
QUANTITIES = {  # of each line: unit and meaning
    "flux": (FLUX_UNIT, "flux, observed frame,"),
    "flux_err": (FLUX_UNIT, "1-sigma error of the flux"),
    "ew": ("Angstrom", "equivalent width at rest, positive in emission,"),
    "ew_err": ("Angstrom", "1-sigma error of the equivalent width"),
    "v": ("km/s", "velocity relative to z"),
    "sigma": ("km/s", "velocity dispersion, corrected for the instrument,"),
}
SEEN = 5.0  # signal-to-noise ratio above which lines of two measurements are compared


def column(quantity: str, line: str) -> str:
    """Name of a column: `flux_h_alpha`, `flux_h_alpha_err`."""
    base, _, error = quantity.partition("_")
    return f"{base}_{line}_{error}" if error else f"{base}_{line}"


def columns() -> dict[str, tuple[str, str]]:
    """Unit and meaning of every measured column."""
    return {
        column(quantity, line): (unit, f"{text} of {line}")
        for line in EMISSION_LINES
        for quantity, (unit, text) in QUANTITIES.items()
    }


def line_table(
    spectra: Spectra,
    stars: Float[np.ndarray, "gal pix"],
    settings: Lines,
    stretches: Collection[str] = tuple(emission.STRETCHES),
    progress=iter,
) -> pd.DataFrame:
    """Fit all lines: one row per spectrum, `columns` and `warn_<line>`, `present_<line>` of every line, `warn`.

    Arguments as in `emission.emission_lines`. Equivalent widths are at rest and positive in emission, their errors
    those of the flux alone. `present_<line>`: 1, 0, or -1 where it is not known; `warn`: all bits of the four lines of
    the diagram.
    """
    lines, z = emission.emission_lines(spectra, stars, settings, stretches, progress), spectra.z
    table = {"specobjid": spectra.specobjid, "kind": spectra.kind, "z": z}
    for name, line in EMISSION_LINES.items():
        found = [one[name] for one in lines]
        flux, error, v, sigma, warn = np.array([astuple(one) for one in found]).reshape(-1, 5).T
        level = emission.continuum(stars, z, line.wave) * (1 + z)
        spread = [np.interp(line.wave * (1 + a), grid.WAVE, lsf) / (1 + a) for a, lsf in zip(z, spectra.lsf)]
        width = [emission.equivalent_width(line, *one) for one in zip(found, spread, level)]
        there = np.where(np.isfinite(flux), emission.present(flux, error, settings.present_snr), -1)
        values = (flux * spectra.norm, error * spectra.norm, width, error / level, v, sigma)
        table |= {column(quantity, name): one for quantity, one in zip(QUANTITIES, values)}
        warn = warn.astype(np.uint32) | np.where(np.isfinite(width), 0, Warn.NO_LINE).astype(np.uint32)
        table |= {f"warn_{name}": warn, f"present_{name}": there.astype(np.int8)}
    table["warn"] = np.bitwise_or.reduce([table[f"warn_{name}"] for name in emission.DIAGRAM])
    return pd.DataFrame(table)


def summary(table: pd.DataFrame, min_snr: float) -> dict:
    """The rule of absence; for each kind and line how many were measured, are present, or carry which bits."""
    kinds = {kind: rows for kind, rows in table.groupby("kind")}
    return {
        "absent": f"flux <= 0 or below {min_snr:g} times its error; a line not measured is neither",
        "equivalent_widths": "rest frame, by specutils, with the sign changed: positive in emission",
        "count": {kind: len(rows) for kind, rows in kinds.items()},
        "lines": {kind: {name: tally(rows, name) for name in EMISSION_LINES} for kind, rows in kinds.items()},
    }


def tally(table: pd.DataFrame, name: str) -> dict:
    """How often one line is present, absent, not measured, at a bound, detected; its median width."""
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
    """Median and scatter, by line, of our fluxes over those in columns with `suffix`, above SEEN."""
    result = {}
    for name in EMISSION_LINES:
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
