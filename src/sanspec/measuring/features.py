"""What the spectra of a user's own show besides a redshift: indices, emission lines, class; the columns of all."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt64

from sanspec.classes import diagnostics, spectralclass
from sanspec.config import Config
from sanspec.errors import Warn
from sanspec.features import absorption, emission, indices, lick, linetable, starlight
from sanspec.physics.lines import INDICES
from sanspec.spectra import grid
from sanspec.spectra.preparing import SmoothedBlock
from sanspec.stellar.library import Library

Z_STEP = 0.05  # range of redshifts that shares one bank of populations: its resolution is at rest
WORDS = {"class": diagnostics.CLASSES, "region": diagnostics.REGIONS, "whan": diagnostics.WHAN}
PLACES = ("log_n_ii_h_alpha", "log_o_iii_h_beta", "p_passive", "p_star_forming", "p_active")


@dataclass(frozen=True)
class Spectra:
    """Smoothed spectra with the redshifts measured on them; arrays (gal, pix) on grid.WAVE, as `preparing` has them.

    flux: 1e-17 erg/s/cm2/Angstrom; lsf: FWHM [Angstrom, observed]; correlation: (gal, lag, pix).
    """

    specobjid: UInt64[np.ndarray, " gal"]
    flux: Float[np.ndarray, "gal pix"]
    ivar: Float[np.ndarray, "gal pix"]
    correlation: Float[np.ndarray, "gal lag pix"]
    lsf: Float[np.ndarray, "gal pix"]
    z: Float[np.ndarray, " gal"]


def spectra_of(
    smoothed: SmoothedBlock, specobjid: UInt64[np.ndarray, " gal"], z: Float[np.ndarray, " gal"]
) -> Spectra:
    """A smoothed block at redshifts `z` (NaN: none)."""
    coarse = grid.coarse_wave()
    lsf = np.array([np.interp(grid.WAVE, coarse, row) for row in smoothed.lsf]).reshape(smoothed.flux.shape)
    return Spectra(specobjid, smoothed.flux, smoothed.ivar, smoothed.correlation, lsf, z)


# ---------------------------------------------------------------------------------------------- absorption


def absorption_of(spectra: Spectra, settings: Config) -> tuple[pd.DataFrame, np.ndarray]:
    """Breaks, the 25 Lick indices and [MgFe]' with errors, not freed of velocity dispersion, and their bits."""
    data = spectra.flux, spectra.z, spectra.ivar, spectra.correlation
    found = {name: indices.measure(index, *data) for name, index in INDICES.items()}
    side = absorption.Side(spectra.flux, spectra.z, spectra.lsf, spectra.ivar, spectra.correlation)
    resolution = absorption.RESOLUTIONS[settings.lick.resolution]
    lines = side.measure(lick.definitions(), resolution=resolution, air=settings.lick.air)
    found |= {name: lines[name] for name in lines.names}
    columns = {}
    for name, one in found.items():
        columns |= {name: one.value, f"{name}_err": one.error}
    parts = [found[name] for name in ("mgb", "fe5270", "fe5335")]
    columns["mgfe"], columns["mgfe_err"] = lick.mgfe(
        *(part.value for part in parts), tuple(part.error for part in parts)
    )
    warn = np.bitwise_or.reduce([one.warn for one in found.values()])
    return pd.DataFrame(columns), warn | missing(columns["mgfe"])


def hbeta_on_fit(
    spectra: Spectra, stars: Float[np.ndarray, "gal pix"], settings: Config
) -> Float[np.ndarray, " gal"]:
    """Hbeta of the starlight alone, which has no emission; NaN without it."""
    side = absorption.Side(stars, spectra.z, spectra.lsf)
    resolution = absorption.RESOLUTIONS[settings.lick.resolution]
    wanted = {"hbeta": lick.definitions()["hbeta"]}
    return side.measure(wanted, resolution=resolution, air=settings.lick.air)["hbeta"].value


def missing(values: Float[np.ndarray, " gal"]) -> np.ndarray:
    """NO_INDEX where there is no value."""
    return np.where(np.isfinite(values), 0, int(Warn.NO_INDEX)).astype(np.uint32)


# ------------------------------------------------------------------------------------------------ emission


def starlight_of(
    spectra: Spectra, populations: Library | None, settings: Config
) -> Float[np.ndarray, "gal pix"]:
    """The quick stellar continua of spectra; NaN without populations or redshift."""
    result = np.full(spectra.flux.shape, np.nan)
    if populations is None:
        return result
    known = np.isfinite(spectra.z)
    steps = np.floor(np.where(known, spectra.z, 0.0) / Z_STEP).astype(int)
    for step in np.unique(steps[known]):
        bank = starlight.bank(populations, settings.prepare.fwhm / (1 + Z_STEP * (step + 0.5)))
        for row in np.flatnonzero(known & (steps == step)):
            result[row], _ = starlight.continuum(spectra.flux[row], spectra.ivar[row], spectra.z[row], bank)
    return result


def lines_of(spectra: Spectra, stars: Float[np.ndarray, "gal pix"], settings: Config) -> pd.DataFrame:
    """Lines of spectra less their starlight, as `linetable` has them; fluxes in 1e-17 erg/s/cm2."""
    data = spectra.flux, stars, spectra.ivar, spectra.correlation, spectra.lsf, spectra.z
    whole = emission.Spectra(*data)
    found = emission.measure(whole, settings.lines)
    unit = np.ones(len(spectra.z))
    return linetable.assemble("observed", spectra.specobjid, unit, whole, found, settings.lines)


def classes_of(lines: pd.DataFrame, settings: Config) -> tuple[pd.DataFrame, np.ndarray]:
    """Class, places in the diagrams in words, probabilities; WARN bits."""
    found = spectralclass.columns(lines, settings.classify, settings.classify.seed)
    words = {
        name: [names[place] if place >= 0 else "" for place in found[name]] for name, names in WORDS.items()
    }
    return pd.DataFrame(words | {name: found[name].to_numpy() for name in PLACES}), found["warn"].to_numpy()


# ------------------------------------------------------------------------------------------------- columns


def columns() -> dict[str, tuple[str, str]]:
    """Unit and meaning of every column of absorption, emission and class."""
    result = {}
    for index in (*INDICES.values(), *lick.definitions().values()):
        result |= pair(index.name, index.unit, f"{index.kind} index, {index.source}")
    result |= pair("mgfe", "Angstrom", "[MgFe]', Thomas et al. 2003")
    result["hbeta_on_fit"] = "Angstrom", "Hbeta of the stellar continuum, which has no emission"
    for line in emission.NAMES:
        for quantity, (unit, text) in LINES.items():
            result[linetable.column(quantity, line)] = unit, f"{text} of {line}"
    return result | CLASSES


def pair(name: str, unit: str, text: str) -> dict[str, tuple[str, str]]:
    """A column and that of its error."""
    return {name: (unit, text), f"{name}_err": (unit, f"1-sigma error of {name}")}


LINES = {
    "flux": (linetable.FLUX_UNIT, "flux, observed frame,"),
    "flux_err": (linetable.FLUX_UNIT, "1-sigma error of the flux"),
    "ew": ("Angstrom", "equivalent width at rest, positive in emission,"),
    "ew_err": ("Angstrom", "1-sigma error of the equivalent width"),
    "v": ("km/s", "velocity against z"),
    "sigma": ("km/s", "velocity dispersion without the instrument's"),
}
CLASSES = {
    "class": ("", "passive, star-forming or active (Doorenbos et al. 2024, section 5.7); empty: not known"),
    "region": (
        "",
        "of the [N II] diagram: Kauffmann et al. 2003, Kewley et al. 2001, Schawinski et al. 2007",
    ),
    "whan": ("", "class by Halpha's width: Cid Fernandes et al. 2011"),
    "log_n_ii_h_alpha": ("", "log10 [N II] 6583 / Halpha"),
    "log_o_iii_h_beta": ("", "log10 [O III] 5007 / Hbeta"),
    "p_passive": ("", "probability under the error budget of the settings"),
    "p_star_forming": ("", "the same"),
    "p_active": ("", "the same"),
}
