"""Catalogue entries of an observed galaxy: columns of the paper's query, labels of the cubes."""

from collections.abc import Mapping

import numpy as np

from sanspec.mock.galaxy import Observation
from sanspec.mock.identity import RUN2D, Identity
from sanspec.mock.photometry import magnitude
from sanspec.mock.pipeline import GALAXY_TARGET, Measured
from sanspec.mock.stars import BANDS
from sanspec.survey.csvfile import ZOO_VOTE

# mag per E(B-V) in ugriz: Schlafly & Finkbeiner 2011, table 6
EXTINCTION = np.array([4.239, 3.303, 2.285, 1.698, 1.263])
BINNED1, INTERP_CENTER = 0x10000000, 0x100000000000  # photometric flags
GROUPS = (
    "dered_petro", "petroMag", "petroMagErr", "modelMag", "modelMagErr", "cmodelMag", "fiberMag",
    "extinction", "petroRad", "petroR50",
)  # fmt: skip
_SCALARS = {
    "specObjID": "<i8", "objID": "<i8", "z": "<f4", "zErr": "<f4", "zWarning": "<i4", "ra": "<f8",
    "dec": "<f8", "EBV": "<f4", "primtarget": "<i4", "zphot": "<f4", "zphotErr": "<f4", "plate": "<i4",
    "mjd": "<i4", "fiberID": "<i4",
}  # fmt: skip
LABELS = np.dtype([*_SCALARS.items(), *((f"{group}_{band}", "<f4") for group in GROUPS for band in BANDS)])


def votes(seen: Observation, rng: np.random.Generator) -> dict[str, float]:
    """Galaxy Zoo 1 (Lintott et al. 2011): debiased votes, and flags of those above 0.8.

    Volunteers recognise a disk by its arms or its flattening, less surely the smaller it is on the sky.
    """
    galaxy = seen.galaxy
    fixed = {"E": 0.04, "S0": 0.15 + 0.5 * (galaxy.disk_axis < 0.35), "Irr": 0.55}
    spiral = 0.32 + 0.60 * max(galaxy.contrast, float(galaxy.disk_axis < 0.4)) - 0.3 * galaxy.bulge_fraction
    belief = fixed.get(galaxy.kind, spiral)
    clear = 1 / (1 + np.exp(-(seen.photometry.petro_r50[2] / galaxy.seeing - 1.3) / 0.3))
    mean = np.clip(0.4 + (belief - 0.4) * (0.35 + 0.65 * clear), 0.02, 0.98)
    disk, merger = float(rng.beta(10 * mean, 10 * (1 - mean))), float(rng.beta(0.4, 12))
    smooth, spirals = (1 - disk) * (1 - merger), disk * (1 - merger)
    flags = {"spiral": int(spirals > ZOO_VOTE), "elliptical": int(smooth > ZOO_VOTE)}
    flags["uncertain"] = 1 - sum(flags.values())
    return {"p_mg": merger, "p_el_debiased": smooth, "p_cs_debiased": spirals} | flags


def row(
    who: Identity, seen: Observation, found: Measured, changed: Mapping, rng: np.random.Generator
) -> dict:
    """One row: the 48 columns of the paper's query in its order, then those that later stages need.

    changed: values of SPECOBJ that a defect alters; the catalogue repeats ZWARNING.
    """
    light, extinction = seen.photometry, EXTINCTION * seen.galaxy.mw_ebv
    query = {
        "specObjID": who.specobjid, "objID": who.objid, "ra": who.ra, "dec": who.dec, "firstrelease": "dr7",
        "programname": "legacy", "instrument": "SDSS", "run2d": str(RUN2D),
        **_reals(z=found.z, zerr=found.z_err, velDisp=found.vdisp, velDispErr=found.vdisp_err),
        **_bands("petroRad", light.petro_radius), **_bands("petroR90", light.petro_r90),
        **_bands("fiberMag", magnitude(light.fibre)),
        **_reals(extinction_r=extinction[2], plateSN2=seen.platesn2),
        **_bands("modelMag", magnitude(light.model)), **_bands("cmodelMag", magnitude(light.cmodel)),
        **votes(seen, rng),
    }  # fmt: skip
    mass, blue, noise = seen.galaxy.log_mass, not seen.galaxy.quenched, rng.normal(0, 0.10, 3)
    masses = {  # a passive model overestimates masses of star formers, one without dust underestimates them
        "logMass_Maraston09": float(mass + 0.05 + 0.15 * blue + noise[0]),
        "logMass_ConroyDust": float(mass + 0.02 + noise[1]),
        "logMass_ConroyNoDust": float(mass - 0.02 - 0.10 * blue + noise[2]),
    }
    more = {
        "plate": who.plate, "mjd": who.mjd, "fiberID": who.fiberid, "zWarning": changed.get("ZWARNING", 0),
        "subClass": found.subclass, "class": "GALAXY", **_reals(snMedian_r=found.snr[2]),
        "bestObjID": who.objid, **_bands("extinction", extinction),
        **_reals(petroMag_r=magnitude(light.petro[2]), petroR50_r=light.petro_r50[2]),
        "flags_r": BINNED1 | (INTERP_CENTER if rng.random() < 0.03 else 0),
    }  # fmt: skip
    return query | masses | more


def _bands(name: str, values: np.ndarray) -> dict[str, np.float32]:
    """Five columns of SQL type real, one per band."""
    return {f"{name}_{band}": np.float32(value) for band, value in zip(BANDS, values)}


def _reals(**values) -> dict[str, np.float32]:
    """Columns of SQL type real."""
    return {name: np.float32(value) for name, value in values.items()}


def label(
    who: Identity, seen: Observation, found: Measured, changed: Mapping, rng: np.random.Generator
) -> np.ndarray:
    """The label of a cube, 64 fields; zphot has the scatter of Pasquet et al. 2019."""
    light, extinction = seen.photometry, EXTINCTION * seen.galaxy.mw_ebv
    petro, error = magnitude(light.petro), 1.0857 * light.petro_error / light.petro
    groups = (
        petro - extinction, petro, error, magnitude(light.model), 0.6 * error, magnitude(light.cmodel),
        magnitude(light.fibre), extinction, light.petro_radius, light.petro_r50,
    )  # fmt: skip
    scalars = (
        who.specobjid, who.objid, found.z, found.z_err, changed.get("ZWARNING", 0), who.ra, who.dec,
        seen.galaxy.mw_ebv, GALAXY_TARGET, found.z + rng.normal(0, 0.01), 0.01, who.plate, who.mjd,
        who.fiberid,
    )  # fmt: skip
    return np.array((*scalars, *np.concatenate(groups)), LABELS)
