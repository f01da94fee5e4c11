"""The truth table: the quantities drawn for each simulated galaxy, and those derived from them."""

import dataclasses

import numpy as np

from sanspec.mock import gas
from sanspec.mock.catalogue import EXTINCTION
from sanspec.mock.galaxy import Observation
from sanspec.mock.identity import Identity
from sanspec.mock.photometry import magnitude
from sanspec.mock.pipeline import BAND_EDGES, band_snr
from sanspec.mock.stars import BANDS

_PLAIN = str.maketrans({"[": "", "]": "", " ": "_"})
FLUXES = {name: f"flux_{name.lower().translate(_PLAIN)}" for name in gas.LINES}
_TIMES = ("onset", "tau", "quench", "burst_age")
UNITS = {
    "ra": "deg", "dec": "deg", "log_mass": "dex(Msun)", "radius": "arcsec", "bulge_radius": "arcsec",
    "disk_radius": "arcsec", "inclination": "rad", "angle": "rad", "pitch": "rad", "bulge_vdisp": "km/s",
    "disk_vdisp": "km/s", "fibre_vdisp": "km/s", "bulge_ebv": "mag", "disk_ebv": "mag", "gas_ebv": "mag",
    "mw_ebv": "mag", "seeing": "arcsec", "sfr": "Msun/yr", "age": "Gyr", "metal": "dex",
    "halpha_width": "Angstrom", "fibre_flux": "1e-17 erg/(s cm2 Angstrom)", "absolute_r": "mag",
    "petro_r": "mag", "petro_r50": "arcsec",
    **{f"{part}_{time}": "Gyr" for part in ("bulge", "disk") for time in _TIMES},
    **{f"{part}_metal": "dex" for part in ("bulge", "disk")}, **{f"model_{band}": "mag" for band in BANDS},
    **dict.fromkeys(FLUXES.values(), "1e-17 erg/(s cm2)"),
}  # fmt: skip


def row(who: Identity, seen: Observation, kind: str, paired: bool) -> dict:
    """One row: ids, defect, all quantities drawn (histories as bulge_*, disk_*), and derived ones.

    model_*: measured model magnitudes, corrected for the Milky Way's dust.
    """
    drawn = dataclasses.asdict(seen.galaxy)
    for part in ("bulge", "disk"):
        drawn |= {f"{part}_{name}": value for name, value in drawn.pop(part).items()}
    in_r = (seen.spectrum.wave > BAND_EDGES[2][0]) & (seen.spectrum.wave < BAND_EDGES[2][1])
    dust = EXTINCTION * seen.galaxy.mw_ebv
    model, petro = magnitude(seen.photometry.model) - dust, float(magnitude(seen.photometry.petro[2]))
    return {
        "specobjid": np.uint64(who.specobjid), "objid": np.uint64(who.objid), "defect": kind,
        "paired": paired, "ra": who.ra, "dec": who.dec, **drawn, "sfr": seen.light.sfr,
        "age": seen.light.age, "metal": seen.light.metal, "fibre_vdisp": seen.fibre.vdisp,
        "halpha_width": seen.fibre.width, "dn4000": seen.fibre.dn4000, "platesn2": seen.platesn2,
        "snr": float(band_snr(seen.spectrum)[2]),
        "fibre_flux": float(np.median(seen.spectrum.model[in_r])), "petro_r": petro,
        "petro_r50": float(seen.photometry.petro_r50[2]),
        "concentration": float(seen.photometry.petro_r90[2] / seen.photometry.petro_r50[2]),
        "absolute_r": seen.light.absolute_r,
        **{f"model_{band}": float(value) for band, value in zip(BANDS, model)},
        **{FLUXES[name]: float(value) * 1e17 for name, value in zip(gas.LINES, seen.fibre.lines)},
    }  # fmt: skip
