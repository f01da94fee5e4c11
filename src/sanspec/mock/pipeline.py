"""What the spectroscopic pipeline reports of an observation: redshift, class, the tables of a spec file."""

from dataclasses import dataclass

import numpy as np

from sanspec.mock import gas, speclite
from sanspec.mock.galaxy import Observation
from sanspec.mock.identity import RUN2D, Identity
from sanspec.mock.spectrum import Spectrum

GALAXY_TARGET = 64  # primTarget bit of the Main Galaxy Sample
BAND_EDGES = ((3800, 4000), (4000, 5400), (5600, 6900), (6900, 8200), (8200, 9200))  # ugriz, Angstrom
STARBURST, PURE = (
    50.0,
    3.0,
)  # equivalent width of Halpha [Angstrom] above which: a starburst; a subclass at all


@dataclass(frozen=True)
class Measured:
    """Redshift, velocity dispersion [km/s], S/N per pixel in ugriz and SUBCLASS of an observation."""

    z: float
    z_err: float
    vdisp: float
    vdisp_err: float
    snr: np.ndarray
    subclass: str


def measure(seen: Observation, rng: np.random.Generator) -> Measured:
    """What the pipeline measures, with errors drawn from the scatter that it states.

    SUBCLASS is AGN above a line in [N II]/Ha and [O III]/Hb, otherwise set by the equivalent width of Halpha.
    """
    snr = band_snr(seen.spectrum)
    z_err = 5e-6 + 2e-4 / max(snr[2], 2.0)
    vdisp_err = 3.0 + 120.0 / max(snr[2], 2.0)
    z = seen.galaxy.z + z_err * rng.standard_normal()
    vdisp = max(seen.fibre.vdisp + vdisp_err * rng.standard_normal(), 0.0)
    n2, o3 = gas.diagram(seen.fibre.lines)
    subclass = "STARBURST" if seen.fibre.width > STARBURST else "STARFORMING"
    if seen.fibre.width < PURE:
        subclass = ""
    elif o3 > 0.7 - 1.2 * (n2 + 0.4):
        subclass = "AGN"
    return Measured(float(z), float(z_err), float(vdisp), float(vdisp_err), snr, subclass)


def band_snr(spectrum: Spectrum) -> np.ndarray:
    """Median S/N per pixel in ugriz."""
    snr = spectrum.flux * np.sqrt(spectrum.ivar)
    inside = [snr[(spectrum.wave > low) & (spectrum.wave < high)] for low, high in BAND_EDGES]
    return np.array([np.median(values) if values.size else 0.0 for values in inside])


# -------------------------------------------------------------------------------------------------- spec file


def header(who: Identity, seen: Observation) -> dict:
    """Values of the primary header that vary; COEFF0 is not the first pixel, as in reality."""
    ra, dec = round(who.ra, 7), round(who.dec, 7)
    return {
        "RA": ra, "DEC": dec, "RADEG": ra, "DECDEG": dec, "MJD": who.mjd, "PLATEID": who.plate,
        "SPEC_ID": f"{who.specobjid:>22d}", "FIBERID": who.fiberid, "PLUG_RA": ra, "PLUG_DEC": dec,
        "COEFF0": round(1e-4 * (seen.spectrum.first - 12), 4),
    }  # fmt: skip


def specobj(who: Identity, seen: Observation, found: Measured, changed: dict) -> np.ndarray:
    """The row of HDU 2, SPECOBJ. changed: values that a defect alters."""
    ra, dec = np.deg2rad([who.ra, who.dec])
    plateid = who.specobjid & ~(0xFFF << 38)  # the same packing without a fibre
    objid = str(who.objid).encode()
    target = {
        "SPECOBJID": f"{who.specobjid:>22d}".encode(), "FLUXOBJID": objid, "BESTOBJID": objid,
        "TARGETOBJID": f"{who.objid >> 8:>22d}".encode(), "PLATEID": str(plateid).encode(),
        "CX": np.cos(dec) * np.cos(ra), "CY": np.cos(dec) * np.sin(ra), "CZ": np.sin(dec),
        "SPECTROGRAPHID": 1 + (who.fiberid > 320), "PLATE": who.plate, "TILE": who.plate, "MJD": who.mjd,
        "FIBERID": who.fiberid, "OBJID": who.photo, "PLUG_RA": who.ra, "PLUG_DEC": who.dec,
    }  # fmt: skip
    spectrum, fibre = seen.spectrum, seen.photometry.fibre
    measured = {
        "PLATESN2": seen.platesn2,
        **{f"SPEC{half}_{band}": seen.platesn2 for half in (1, 2) for band in "GRI"},
        "SUBCLASS": found.subclass.encode(), "Z": found.z, "Z_ERR": found.z_err,
        "DOF": spectrum.flux.size - 10, "VDISP": found.vdisp, "VDISP_ERR": found.vdisp_err,
        "WAVEMIN": spectrum.wave[0], "WAVEMAX": spectrum.wave[-1], "WCOVERAGE": 1e-4 * spectrum.flux.size,
        "SN_MEDIAN_ALL": np.median(found.snr), "SN_MEDIAN": found.snr, "SPECTROFLUX": fibre,
        "SPECTROFLUX_IVAR": (20 / fibre) ** 2, "SPECTROSYNFLUX": fibre,
        "SPECTROSYNFLUX_IVAR": (20 / fibre) ** 2, "ANYANDMASK": np.bitwise_or.reduce(spectrum.and_mask),
        "ANYORMASK": np.bitwise_or.reduce(spectrum.or_mask),
    }  # fmt: skip
    about = np.zeros(1, speclite.SPECOBJ)
    for name, value in (_CONSTANT | target | measured | changed).items():
        about[name] = value
    return about


_CONSTANT = {
    "SURVEY": b"sdss", "INSTRUMENT": b"SDSS", "CHUNK": b"chunk1", "PROGRAMNAME": b"legacy",
    "PLATERUN": b"chunk1", "PLATEQUALITY": b"good", "LAMBDA_EFF": 5000.0, "BLUEFIBER": -1,
    "SNTURNOFF": -9999.0, "NTURNOFF": -1, "SPECPRIMARY": 1, "SPECLEGACY": 1, "NSPECOBS": 1,
    "FIRSTRELEASE": b"dr7", "RUN2D": str(RUN2D).encode(), "DESIGNID": -1, "SOURCETYPE": b"GALAXY",
    "TARGETTYPE": b"SCIENCE", "PRIMTARGET": GALAXY_TARGET, "LEGACY_TARGET1": GALAXY_TARGET,
    "CLASS": b"GALAXY", "RCHI2": 1.0, "RCHI2DIFF": 1.0, "TFILE": b"spEigenGal-53724.fits",
    "TCOLUMN": [0, 1, 2, 3, -1, -1, -1, -1, -1, -1], "NPOLY": 3, "CHI68P": 1.0,
}  # fmt: skip


def spzline(who: Identity, seen: Observation, found: Measured, rng: np.random.Generator) -> np.ndarray:
    """The rows of HDU 3, SPZLINE: fluxes with the noise under them; LINEAREA_ERR is -1 where not covered."""
    names, spectrum = list(speclite.ZLINES), seen.spectrum
    rows = np.zeros(len(names), speclite.SPZLINE)
    rows["PLATE"], rows["MJD"], rows["FIBERID"] = who.plate, who.mjd, who.fiberid
    rows["LINENAME"], rows["LINEWAVE"] = [name.encode() for name in names], list(speclite.ZLINES.values())
    wave = rows["LINEWAVE"] * (1 + found.z)
    at = np.searchsorted(spectrum.wave, wave)
    inside = (at > 10) & (at < spectrum.wave.size - 10)
    middle = np.clip(at, 10, spectrum.wave.size - 10)
    error = 1.6 * np.diff(spectrum.wave)[middle - 1] / np.sqrt(np.maximum(spectrum.ivar[middle], 1e-3))
    true = [seen.fibre.lines[gas.INDEX[name]] * 1e17 if name in gas.INDEX else 0.0 for name in names]
    area, level = true + error * rng.standard_normal(len(names)), np.maximum(spectrum.model[middle], 0.01)
    columns = {
        "LINEZ": found.z, "LINEZ_ERR": found.z_err, "LINESIGMA": gas.width(seen.galaxy),
        "LINESIGMA_ERR": 5.0, "LINEAREA": area, "LINEAREA_ERR": error, "LINEEW": area / level,
        "LINEEW_ERR": error / level, "LINECONTLEVEL": level, "LINECONTLEVEL_ERR": 0.05 * level,
        "LINENPIXLEFT": 7, "LINENPIXRIGHT": 7, "LINEDOF": 7.0, "LINECHI2": 7.0,
    }  # fmt: skip
    for name, value in columns.items():
        rows[name] = np.where(inside, value, -1.0 if name == "LINEAREA_ERR" else 0)
    return rows
