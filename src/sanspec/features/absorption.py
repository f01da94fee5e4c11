"""Absorption indices of observed and predicted spectra, and the effect of other readings of the recipe."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from sanspec.config import Lick
from sanspec.features import indices, lick
from sanspec.features.indices import Measured
from sanspec.physics.lines import INDICES, Index
from sanspec.scores import metrics
from sanspec.spectra.preparing import fill_gaps
from sanspec.spectra.spectra import Spectra

RESOLUTIONS = {"lick": lick.lick_fwhm, "printed": lick.printed_fwhm, "none": None}
COMPARED = ("mgb", "fe5270", "fe5335", "hbeta")  # indices on which the choices of the recipe are tried
CHOICES = {  # left open by the published recipe, or printed differently there
    "vacuum_taken_for_air": {"air": False},
    "resolution_as_printed": {"resolution": lick.printed_fwhm},
    "resolution_of_the_spectrum": {"resolution": None},
}


def definitions() -> dict[str, Index]:
    """The breaks and the 25 Lick indices, by name."""
    return {**INDICES, **lick.definitions()}


def indices_of(
    spectra: Spectra, settings: Lick, names: Sequence[str] | None = None, **choices
) -> dict[str, Measured]:
    """Some indices (default: all) of spectra, not corrected for velocity dispersion.

    The breaks at the resolution of the spectra, the Lick indices at that of the settings. choices: arguments of
    `lick.lick_indices` that override the settings.
    """
    wanted = {name: index for name, index in definitions().items() if names is None or name in names}
    data = spectra.flux, spectra.z, spectra.ivar, spectra.correlation
    found = {name: indices.break_strength(wanted[name], *data) for name in INDICES if name in wanted}
    lines = {name: index for name, index in wanted.items() if name not in found}
    choices = {"resolution": RESOLUTIONS[settings.resolution], "air": settings.air} | choices
    if lines:
        data = spectra.flux, spectra.z, spectra.lsf, spectra.ivar, spectra.correlation
        measured = lick.lick_indices(lines, *data, **choices)
        found |= {name: measured[name] for name in lines}
    return found


def hbeta_on_fit(
    stars: Float[np.ndarray, "gal pix"],
    z: Float[np.ndarray, " gal"],
    lsf: Float[np.ndarray, "gal pix"],
    settings: Lick,
) -> Measured:
    """Hbeta of fitted starlight, which has no emission: value without error; NaN where nothing was fitted."""
    wanted = {"hbeta": lick.definitions()["hbeta"]}
    resolution = RESOLUTIONS[settings.resolution]
    return lick.lick_indices(wanted, stars, z, lsf, resolution=resolution, air=settings.air)["hbeta"]


def by_pyphot(
    spectra: Spectra, found: Mapping[str, Measured], resolution: lick.Resolution | None
) -> dict[str, Measured]:
    """The same Lick indices as pyphot measures them, where `found` has a value; in air, without errors."""
    wanted = {name: index for name, index in lick.definitions().items() if name in found}
    filled = fill_gaps(spectra.flux, np.isfinite(spectra.flux))
    if resolution is not None:
        filled = lick.degrade(filled, np.nan_to_num(spectra.z), spectra.lsf, resolution=resolution)
    result = dict(found)
    for name, value in zip(wanted, lick.pyphot_values(wanted, filled, spectra.z).T):
        value = np.where(np.isfinite(found[name].value), value, np.nan)
        result[name] = Measured(value, np.full(len(spectra), np.nan), found[name].warn)
    return result


def table_of(specobjid: np.ndarray, observed: Mapping, predicted: Mapping) -> pd.DataFrame:
    """Columns `<index>_observed`, `_observed_err`, `_predicted`, `_warn` of every index; `warn`: of Dn4000."""
    table = {"specobjid": specobjid}
    for name, one in observed.items():
        table[f"{name}_observed"], table[f"{name}_observed_err"] = one.value, one.error
        table[f"{name}_predicted"] = predicted[name].value
        table[f"{name}_warn"] = one.warn | predicted[name].warn
    return pd.DataFrame(table | {"warn": table["dn4000_warn"]})


def choices(pair: Sequence[Spectra]) -> dict:
    """For other readings of the recipe: median ratio to the standard one, and the correlation.

    pair: observed and predicted spectra.
    """
    standard = [indices_of(spectra, Lick(), COMPARED) for spectra in pair]
    tried = {
        name: [indices_of(spectra, Lick(), COMPARED, **change) for spectra in pair]
        for name, change in CHOICES.items()
    }
    tried["pyphot"] = [by_pyphot(spectra, one, lick.lick_fwhm) for spectra, one in zip(pair, standard)]
    return {
        choice: {name: changed(standard, both, name) for name in COMPARED} for choice, both in tried.items()
    }


def changed(standard: Sequence[Mapping], other: Sequence[Mapping], name: str) -> dict:
    """Median ratio of one index to the standard one, observed and predicted, and the two correlations."""
    pairs = [(new[name].value, old[name].value) for new, old in zip(other, standard)]
    medians = [metrics.quantiles(new / old)["median"] for new, old in pairs]
    return {
        "ratio_observed": medians[0],
        "ratio_predicted": medians[1],
        "pearson": metrics.correlation(pairs[0][0], pairs[1][0])["pearson"],
        "pearson_standard": metrics.correlation(pairs[0][1], pairs[1][1])["pearson"],
    }
