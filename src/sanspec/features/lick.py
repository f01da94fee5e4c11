"""The 25 Lick indices, vectorised over spectra: at the Lick/IDS resolution, with partial pixels and errors.

The definitions are those of pyphot (Fouesneau 2022; bands of Trager et al. 1998 and Worthey & Ottaviani 1997, in
air). pyphot itself has neither errors nor partial pixels and fits its continuum by least squares to all sideband
pixels; here an index is the classical one, from the line through the means of the two sidebands, as the MaNGA pipeline
measures it (Westfall et al. 2019, section 9.2.2). Windows are moved to the redshift of the spectrum, nothing is
resampled.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sanspec.errors import Warn
from sanspec.features import indices, lick_loops
from sanspec.physics.air import air_to_vac, vac_to_air
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA
from sanspec.physics.lines import Index
from sanspec.spectra import grid, noise

NAMES = {  # ours: pyphot's
    "cn1": "CN_1", "cn2": "CN_2", "ca4227": "Ca4227", "g4300": "G4300", "fe4383": "Fe4383", "ca4455": "Ca4455",
    "fe4531": "Fe4531", "fe4668": "Fe4668", "hbeta": "H_beta", "fe5015": "Fe5015", "mg1": "Mg_1", "mg2": "Mg_2",
    "mgb": "Mg_b", "fe5270": "Fe5270", "fe5335": "Fe5335", "fe5406": "Fe5406", "fe5709": "Fe5709",
    "fe5782": "Fe5782", "nad": "Na_D", "tio1": "TiO_1", "tio2": "TiO_2", "hdelta_a": "Hdelta_A",
    "hgamma_a": "Hgamma_A", "hdelta_f": "Hdelta_F", "hgamma_f": "Hgamma_F",
}  # fmt: skip
KINDS = ("break_fnu", "ew", "mag")
BLOCK = 256  # spectra for which the noise correlation is held in single precision at a time

Resolution = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Indices:
    """Indices of every spectrum (gal, index): values, 1-sigma errors (NaN where unknown), WARN bits."""

    names: tuple[str, ...]
    value: Float[np.ndarray, "gal index"]
    error: Float[np.ndarray, "gal index"]
    warn: np.ndarray

    def __getitem__(self, name: str) -> indices.Measured:
        """One index of every spectrum."""
        at = self.names.index(name)
        return indices.Measured(self.value[:, at], self.error[:, at], self.warn[:, at])


@functools.cache
def _pyphot_library():
    """The index library of pyphot; imported late because that takes seconds."""
    from pyphot import LickLibrary

    return LickLibrary()


@functools.cache
def definitions() -> Mapping[str, Index]:
    """The 25 indices by our names, as pyphot defines them; wavelengths in air [Angstrom]."""
    found = {}
    for name, theirs in NAMES.items():
        entry = _pyphot_library()[theirs]
        blue, red, feature = (
            tuple(float(edge) for edge in band.to_value("Angstrom"))
            for band in (entry.blue, entry.red, entry.band)
        )
        balmer = name.startswith(("hdelta", "hgamma"))
        source = "Worthey & Ottaviani 1997, ApJS 111, 377" if balmer else "Trager et al. 1998, ApJS 116, 1"
        found[name] = Index(name, entry.index_unit, blue, red, source, feature)
    return found


def lick_fwhm(rest_wave: Float[np.ndarray, "*pix"]) -> Float[np.ndarray, "*pix"]:
    """FWHM of the Lick/IDS system [Angstrom], rest frame: Worthey & Ottaviani 1997, table 8, constant beyond."""
    return np.interp(rest_wave, [4000.0, 4400.0, 4900.0, 5400.0, 6000.0], [11.5, 9.2, 8.4, 8.4, 9.8])


def printed_fwhm(rest_wave: Float[np.ndarray, "*pix"]) -> Float[np.ndarray, "*pix"]:
    """The same as Doorenbos et al. 2024 print it: a line from 11.5 A at 4000 A to 8.9 A (sic) at 6000 A."""
    return np.interp(rest_wave, [4000.0, 6000.0], [11.5, 8.9])


def dispersed(vdisp: float, base: Resolution = lick_fwhm) -> Resolution:
    """`base` broadened by a velocity dispersion [km/s]."""
    return lambda wave: np.hypot(base(wave), FWHM_PER_SIGMA * vdisp / C_KMS * wave)


# -------------------------------------------------------------------------------------------- measurement


def lick_indices(
    wanted: Mapping[str, Index],
    flux: Float[np.ndarray, "gal pix"],
    z: Float[np.ndarray, " gal"],
    lsf: Float[np.ndarray, "gal pix"],
    ivar: Float[np.ndarray, "gal pix"] | None = None,
    correlation: Float[np.ndarray, "gal lag pix"] | None = None,
    wave: Float[np.ndarray, " pix"] = grid.WAVE,
    resolution: Resolution | None = lick_fwhm,
    air: bool = True,
) -> Indices:
    """Indices of every spectrum at its redshift, after degrading it to a resolution.

    flux: any scale, observed frame, on `wave` (vacuum Angstrom), NaN where unknown; lsf: FWHM of its line-spread
    function [Angstrom, observed]; ivar, correlation: of its noise, as in `noise` (None: no errors, or independent
    pixels); resolution: FWHM [Angstrom] at a rest-frame wavelength (None: unchanged); air: false takes the windows for
    vacuum ones. NaN and NO_INDEX where a window leaves the grid, more than a fifth of it is masked, the continuum is
    not positive, or z is not finite. A spectrum coarser than `resolution` is left as it is and gets LSF_BROAD.
    """
    good = np.isfinite(flux) if ivar is None else np.isfinite(flux) & (ivar > 0)
    known = np.isfinite(z)
    sigma, broad = _kernel(wave, np.where(known, z, 0.0), lsf, resolution)
    value, error = np.full((2, len(flux), len(wanted)), np.nan)
    bands = np.array([[index.blue, index.red, index.feature or index.red] for index in wanted.values()])
    windows = (air_to_vac(bands) if air else bands) * (1 + np.where(known, z, 0.0))[:, None, None, None]
    kinds = np.array([KINDS.index(index.kind) for index in wanted.values()])
    spans = np.array([np.ptp(index.feature or index.red) for index in wanted.values()])
    wave = np.array(wave, np.float64)
    grids = wave, grid.bin_edges(wave)
    for rows in (slice(start, start + BLOCK) for start in range(0, len(flux), BLOCK)):
        use = good[rows]
        clean = np.where(use, flux[rows], 0.0).astype(np.float64)
        deviation = noise.standard_deviation(np.where(use, 0.0 if ivar is None else ivar[rows], 0.0))
        near = np.zeros((len(use), 0, len(wave))) if correlation is None else correlation[rows]
        lick_loops.index_rows(
            *(clean, use, deviation, near.astype(np.float32), sigma[rows], *grids, windows[rows]),
            *(kinds, spans, 1 - indices.MASKED, value[rows], error[rows]),
        )
    value[~known] = np.nan
    error = np.where(np.isfinite(value) & (ivar is not None), error, np.nan)
    coarse = np.where(broad, np.uint32(Warn.LSF_BROAD), np.uint32(0))
    return Indices(tuple(wanted), value, error, indices.missing(value) | coarse[:, None])


def _kernel(
    wave: np.ndarray, z: np.ndarray, lsf: np.ndarray, resolution: Resolution | None
) -> tuple[Float[np.ndarray, "gal pix"], np.ndarray]:
    """Standard deviation of the kernel [Angstrom, observed]; whether the spectrum is coarser than wanted."""
    if resolution is None:
        return np.zeros(lsf.shape), np.zeros(len(z), bool)
    stretch = 1 + z[:, None]
    excess = (resolution(wave / stretch) * stretch) ** 2 - np.asarray(lsf, np.float64) ** 2
    return np.sqrt(np.maximum(excess, 0.0)) / FWHM_PER_SIGMA, (excess < 0).any(axis=1)


def mgfe(found: Mapping[str, indices.Measured]) -> indices.Measured:
    """[MgFe]' = sqrt(Mgb (0.72 Fe5270 + 0.28 Fe5335)) [Angstrom] (Thomas et al. 2003, eq. 3) of measured indices.

    NaN and NO_INDEX where the product is negative; the error as if those of the three were independent.
    """
    mgb, fe5270, fe5335 = parts = [found[name] for name in ("mgb", "fe5270", "fe5335")]
    iron = 0.72 * fe5270.value + 0.28 * fe5335.value
    product = mgb.value * iron
    value = np.sqrt(np.where(product >= 0, product, np.nan))
    variance = (iron * mgb.error) ** 2
    variance = variance + (mgb.value * 0.72 * fe5270.error) ** 2 + (mgb.value * 0.28 * fe5335.error) ** 2
    error = np.sqrt(variance) / (2 * np.where(value > 0, value, np.nan))
    bits = np.bitwise_or.reduce([part.warn for part in parts])
    return indices.Measured(value, error, bits | indices.missing(value))


# ------------------------------------------------------------------------------------------------- pyphot


def pyphot_values(
    wanted: Mapping[str, Index],
    flux: Float[np.ndarray, "gal pix"],
    z: Float[np.ndarray, " gal"],
    wave: Float[np.ndarray, " pix"] = grid.WAVE,
) -> Float[np.ndarray, "gal index"]:
    """The indices as pyphot measures them on rest-frame air wavelengths: no errors, whole pixels.

    flux: already at the wanted resolution, without NaN; NaN where pyphot finds the spectrum too short.
    """
    library, result = _pyphot_library(), np.full((len(flux), len(wanted)), np.nan)
    for row, (spectrum, redshift) in enumerate(zip(flux, z)):
        if not (np.isfinite(redshift) and np.isfinite(spectrum).all()):
            continue
        rest = vac_to_air(wave / (1 + redshift))
        for k, name in enumerate(wanted):
            entry = library[NAMES[name]]
            bands = (entry.blue.value, entry.red.value, entry.band.value)
            if bands[0][0] >= rest[0] and bands[1][1] <= rest[-1]:
                value = entry._get_indice(rest, spectrum[None], *bands, entry.index_unit)
                result[row, k] = np.ravel(value)[0]
    return result


def degrade(
    flux: Float[np.ndarray, "gal pix"],
    z: Float[np.ndarray, " gal"],
    lsf: Float[np.ndarray, "gal pix"],
    wave: Float[np.ndarray, " pix"] = grid.WAVE,
    resolution: Resolution = lick_fwhm,
) -> Float[np.ndarray, "gal pix"]:
    """Whole spectra (without NaN) at the Lick resolution, by the same kernel as `lick_indices`."""
    sigma, _ = _kernel(wave, z, lsf, resolution)
    edges, result = grid.bin_edges(wave), np.empty(flux.shape)
    good, covered = np.ones(len(wave), bool), np.empty(len(wave), bool)
    reach = int(np.ceil(lick_loops.TAIL * sigma.max() / np.diff(edges).min())) + 1
    band = np.zeros((len(wave), 2 * reach + 1))
    for row in range(len(flux)):
        spectrum = np.asarray(flux[row], np.float64)
        lick_loops.smooth(
            spectrum, good, sigma[row], wave, edges, reach, 0, len(wave), band, result[row], covered
        )
    return result
