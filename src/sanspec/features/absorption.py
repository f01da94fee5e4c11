"""Absorption indices of observed and predicted spectra, and what other readings of the recipe change."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt64

from sanspec.config import Lick
from sanspec.features import indices, lick
from sanspec.physics.lines import INDICES, Index
from sanspec.scores import metrics
from sanspec.spectra.preparing import fill_gaps

RESOLUTIONS = {"lick": lick.lick_fwhm, "printed": lick.printed_fwhm, "none": None}
COMPARED = ("mgb", "fe5270", "fe5335", "hbeta")  # indices on which the choices of the recipe are tried
CHOICES = {  # the published recipe leaves these open, or prints them otherwise
    "vacuum_taken_for_air": {"air": False},
    "resolution_as_printed": {"resolution": lick.printed_fwhm},
    "resolution_of_the_spectrum": {"resolution": None},
}


@dataclass(frozen=True)
class Side:
    """One kind of spectra, with noise where it is known; as `lick.measure` takes them."""

    flux: Float[np.ndarray, "gal pix"]
    z: Float[np.ndarray, " gal"]
    lsf: Float[np.ndarray, "gal pix"]
    ivar: Float[np.ndarray, "gal pix"] | None = None
    correlation: Float[np.ndarray, "gal lag pix"] | None = None

    def measure(self, wanted: Mapping[str, Index], **choices) -> lick.Indices:
        """Indices of all spectra."""
        return lick.measure(wanted, self.flux, self.z, self.lsf, self.ivar, self.correlation, **choices)


def table_of(
    specobjid: UInt64[np.ndarray, " gal"], observed: Side, predicted: Side, settings: Lick
) -> pd.DataFrame:
    """Columns `<index>_observed`, `_observed_err`, `_predicted`, `_warn` of the breaks and all Lick indices.

    The breaks at the resolution of the spectra, the Lick indices at that of the settings.
    """
    table = pd.DataFrame({"specobjid": specobjid})
    for index in INDICES.values():
        pair = (
            indices.measure(index, observed.flux, observed.z, observed.ivar, observed.correlation),
            indices.measure(index, predicted.flux, predicted.z),
        )
        table = pd.concat([table, columns(index.name, *pair)], axis=1)
    pair, wanted, resolution = (observed, predicted), lick.definitions(), RESOLUTIONS[settings.resolution]
    found = [side.measure(wanted, resolution=resolution, air=settings.air) for side in pair]
    if settings.method == "pyphot":
        found = [by_pyphot(side, wanted, one, resolution) for side, one in zip(pair, found)]
    parts = [columns(name, *(one[name] for one in found)) for name in wanted]
    return pd.concat([table, *parts], axis=1).assign(warn=table["dn4000_warn"])


def columns(name: str, observed: indices.Measured, predicted: indices.Measured) -> pd.DataFrame:
    """The columns of one index."""
    return pd.DataFrame(
        {
            f"{name}_observed": observed.value,
            f"{name}_observed_err": observed.error,
            f"{name}_predicted": predicted.value,
            f"{name}_warn": observed.warn | predicted.warn,
        }
    )


def by_pyphot(
    side: Side, wanted: Mapping[str, Index], found: lick.Indices, resolution: lick.Resolution | None
) -> lick.Indices:
    """The same indices as pyphot measures them, where `found` has them at all; in air, without errors."""
    filled = fill_gaps(side.flux, np.isfinite(side.flux))
    if resolution is not None:
        filled = lick.degrade(filled, np.nan_to_num(side.z), side.lsf, resolution=resolution)
    values = np.where(np.isfinite(found.value), lick.pyphot_values(wanted, filled, side.z), np.nan)
    return lick.Indices(found.names, values, np.full(values.shape, np.nan), found.warn)


def choices(observed: Side, predicted: Side) -> dict:
    """What other readings of the recipe change: median ratio to the standard one, and the correlation."""
    wanted = {name: lick.definitions()[name] for name in COMPARED}
    pair = observed, predicted
    standard = [side.measure(wanted) for side in pair]
    tried = {name: [side.measure(wanted, **change) for side in pair] for name, change in CHOICES.items()}
    tried["pyphot"] = [by_pyphot(side, wanted, one, lick.lick_fwhm) for side, one in zip(pair, standard)]
    return {
        choice: {name: changed(standard, both, name) for name in COMPARED} for choice, both in tried.items()
    }


def changed(standard: list[lick.Indices], other: list[lick.Indices], name: str) -> dict:
    """Median ratio of one index to the standard one, observed and predicted, and the two correlations."""
    pairs = list(zip((one[name].value for one in other), (one[name].value for one in standard)))
    medians = [metrics.quantiles(new / old)["median"] for new, old in pairs]
    return {
        "ratio_observed": medians[0],
        "ratio_predicted": medians[1],
        "pearson": metrics.correlation(pairs[0][0], pairs[1][0])["pearson"],
        "pearson_standard": metrics.correlation(pairs[0][1], pairs[1][1])["pearson"],
    }
