"""The 25 Lick indices, vectorised over spectra: at the Lick/IDS resolution, partial pixels, errors.

The definitions are those of pyphot (Fouesneau 2022; bands of Trager et al. 1998 and Worthey & Ottaviani 1997,
in air). pyphot itself knows neither errors nor parts of pixels and draws its continuum by least squares
through all sideband pixels; here an index is the classical one, by the line through the means of the two
sidebands, as the MaNGA pipeline measures it (Westfall et al. 2019, section 9.2.2). Windows are moved to the
spectrum, not it to them.
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

TRAGER = "Trager et al. 1998, ApJS 116, 1"
OTTAVIANI = "Worthey & Ottaviani 1997, ApJS 111, 377"
NAMES = {
    "CN_1": "cn1", "CN_2": "cn2", "Ca4227": "ca4227", "G4300": "g4300", "Fe4383": "fe4383",
    "Ca4455": "ca4455", "Fe4531": "fe4531", "Fe4668": "fe4668", "H_beta": "hbeta", "Fe5015": "fe5015",
    "Mg_1": "mg1", "Mg_2": "mg2", "Mg_b": "mgb", "Fe5270": "fe5270", "Fe5335": "fe5335",
    "Fe5406": "fe5406", "Fe5709": "fe5709", "Fe5782": "fe5782", "Na_D": "nad", "TiO_1": "tio1",
    "TiO_2": "tio2", "Hdelta_A": "hdelta_a", "Hgamma_A": "hgamma_a", "Hdelta_F": "hdelta_f",
    "Hgamma_F": "hgamma_f",
}  # fmt: skip
PYPHOT_NAMES = {ours: theirs for theirs, ours in NAMES.items()}

# Resolution of the Lick/IDS system: Worthey & Ottaviani 1997, table 8 (its ends hold beyond).
LICK_WAVE = np.array([4000.0, 4400.0, 4900.0, 5400.0, 6000.0])  # Angstrom
LICK_FWHM = np.array([11.5, 9.2, 8.4, 8.4, 9.8])  # Angstrom; Doorenbos et al. 2024 print 8.9 at 6000 A
KINDS = ("break_fnu", "ew", "mag")
BLOCK = 256  # spectra whose noise correlation is held in single precision at a time

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
def definitions() -> Mapping[str, Index]:
    """The 25 indices by our names, as pyphot defines them; wavelengths in air [Angstrom]."""
    library = _pyphot_library()
    return {ours: _definition(library[theirs], ours) for theirs, ours in NAMES.items()}


@functools.cache
def _pyphot_library():
    """The index library of pyphot; imported late, for it takes seconds."""
    from pyphot import LickLibrary

    return LickLibrary()


def _definition(entry, name: str) -> Index:
    """An index of pyphot in our form."""
    bands = [
        tuple(float(edge) for edge in band.to_value("Angstrom"))
        for band in (entry.blue, entry.red, entry.band)
    ]
    source = OTTAVIANI if name.startswith(("hdelta", "hgamma")) else TRAGER
    return Index(name, entry.index_unit, bands[0], bands[1], source, bands[2])


def lick_fwhm(rest_wave: Float[np.ndarray, "*pix"]) -> Float[np.ndarray, "*pix"]:
    """FWHM of the Lick/IDS system [Angstrom]: Worthey & Ottaviani 1997, table 8; rest frame."""
    return np.interp(rest_wave, LICK_WAVE, LICK_FWHM)


def printed_fwhm(rest_wave: Float[np.ndarray, "*pix"]) -> Float[np.ndarray, "*pix"]:
    """The same as Doorenbos et al. 2024 print it: a line from 11.5 A at 4000 A to 8.9 A (sic) at 6000 A."""
    return np.interp(rest_wave, [4000.0, 6000.0], [11.5, 8.9])


def dispersed(vdisp: float, base: Resolution = lick_fwhm) -> Resolution:
    """`base` broadened by a velocity dispersion [km/s]."""
    return lambda wave: np.hypot(base(wave), FWHM_PER_SIGMA * vdisp / C_KMS * wave)


# -------------------------------------------------------------------------------------------- measurement


def measure(
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

    flux: any scale, observed frame, on `wave` (vacuum Angstrom), NaN where unknown; lsf: FWHM of its line
    spread [Angstrom, observed]; ivar, correlation: of its noise, as in `noise` (None: no errors, or
    independent pixels); resolution: FWHM [Angstrom] at a rest-frame wavelength (None: as it is); air: false
    takes the windows for vacuum ones. NaN and NO_INDEX where a window leaves the grid, more than a fifth of
    it is masked, the continuum is not positive, or z is not finite. A spectrum coarser than `resolution` is
    left as it is and gets LSF_BROAD.
    """
    good = np.isfinite(flux) if ivar is None else np.isfinite(flux) & (ivar > 0)
    known = np.isfinite(z)
    sigma, broad = _kernel(wave, np.where(known, z, 0.0), lsf, resolution)
    shape = len(flux), len(wanted)
    value, error = np.full(shape, np.nan), np.full(shape, np.nan)
    windows = _windows(wanted, np.where(known, z, 0.0), air)
    kinds = np.array([KINDS.index(index.kind) for index in wanted.values()])
    spans = np.array([np.ptp(index.feature or index.red) for index in wanted.values()])
    wave = np.array(wave, np.float64)
    grids = wave, grid.bin_edges(wave)
    for rows in (slice(start, start + BLOCK) for start in range(0, len(flux), BLOCK)):
        pixels = _pixels(flux[rows], good[rows], ivar, correlation, rows)
        into = value[rows], error[rows]
        lick_loops.measure_rows(
            *pixels, sigma[rows], *grids, windows[rows], kinds, spans, 1 - indices.MASKED, *into
        )
    value[~known] = np.nan
    error = np.where(np.isfinite(value) & (ivar is not None), error, np.nan)
    warn = (
        np.where(np.isfinite(value), 0, int(Warn.NO_INDEX)) | np.where(broad, int(Warn.LSF_BROAD), 0)[:, None]
    )
    return Indices(tuple(wanted), value, error, warn.astype(np.uint32))


def _pixels(
    flux: np.ndarray, good: np.ndarray, ivar: np.ndarray | None, correlation: np.ndarray | None, rows: slice
) -> tuple[np.ndarray, ...]:
    """Flux (0 where bad), what is good, noise and its correlation of some rows, as the loops take them."""
    clean = np.where(good, flux, 0.0).astype(np.float64)
    deviation = (
        np.zeros(flux.shape) if ivar is None else noise.standard_deviation(np.where(good, ivar[rows], 0.0))
    )
    near = np.zeros((len(flux), 0, flux.shape[1])) if correlation is None else correlation[rows]
    return clean, good, deviation, near.astype(np.float32)


def _kernel(
    wave: np.ndarray, z: np.ndarray, lsf: np.ndarray, resolution: Resolution | None
) -> tuple[Float[np.ndarray, "gal pix"], np.ndarray]:
    """Standard deviation of the kernel [Angstrom, observed]; whether the spectrum is coarser than wanted."""
    if resolution is None:
        return np.zeros(lsf.shape), np.zeros(len(z), bool)
    stretch = 1 + z[:, None]
    excess = (resolution(wave / stretch) * stretch) ** 2 - np.asarray(lsf, np.float64) ** 2
    return np.sqrt(np.maximum(excess, 0.0)) / FWHM_PER_SIGMA, (excess < 0).any(axis=1)


def _windows(
    wanted: Mapping[str, Index], z: np.ndarray, air: bool
) -> Float[np.ndarray, "gal index three two"]:
    """Edges [Angstrom, vacuum, observed] of blue, red and feature window; a break has its red one twice."""
    bands = np.array([[index.blue, index.red, index.feature or index.red] for index in wanted.values()])
    return (air_to_vac(bands) if air else bands) * (1 + z)[:, None, None, None]


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
            entry = library[PYPHOT_NAMES[name]]
            bands = (entry.blue.value, entry.red.value, entry.band.value)
            if bands[0][0] >= rest[0] and bands[1][1] <= rest[-1]:
                result[row, k] = np.ravel(entry._get_indice(rest, spectrum[None], *bands, entry.index_unit))[
                    0
                ]
    return result


def degrade(
    flux: Float[np.ndarray, "gal pix"],
    z: Float[np.ndarray, " gal"],
    lsf: Float[np.ndarray, "gal pix"],
    wave: Float[np.ndarray, " pix"] = grid.WAVE,
    resolution: Resolution = lick_fwhm,
) -> Float[np.ndarray, "gal pix"]:
    """Whole spectra (without NaN) at the Lick resolution, by the same kernel as `measure`."""
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


def mgfe(
    mgb: Float[np.ndarray, " gal"],
    fe5270: Float[np.ndarray, " gal"],
    fe5335: Float[np.ndarray, " gal"],
    errors: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> tuple[Float[np.ndarray, " gal"], Float[np.ndarray, " gal"]]:
    """[MgFe]' = sqrt(Mgb (0.72 Fe5270 + 0.28 Fe5335)) [Angstrom] (Thomas et al. 2003, eq. 3) and its error.

    NaN where the product is negative; the errors of the three [Angstrom] as if independent (None: NaN).
    """
    iron = 0.72 * fe5270 + 0.28 * fe5335
    product = mgb * iron
    value = np.sqrt(np.where(product >= 0, product, np.nan))
    if errors is None:
        return value, np.full(value.shape, np.nan)
    variance = (iron * errors[0]) ** 2 + (mgb * 0.72 * errors[1]) ** 2 + (mgb * 0.28 * errors[2]) ** 2
    return value, np.sqrt(variance) / (2 * np.where(value > 0, value, np.nan))
