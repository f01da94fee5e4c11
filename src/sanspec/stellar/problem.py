"""A spectrum and its templates in the form that pPXF takes.

Every spectrum is moved to its rest frame, to air, and rebinned by exact overlap onto one common logarithmic grid; the
templates are brought there at the spectrum's own resolution. The redshift is removed first, so that the resolution is
that of the rest frame, FWHM / (1 + z).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from sanspec.config import Stellar
from sanspec.errors import Warn
from sanspec.physics.air import vac_to_air
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA
from sanspec.spectra import grid
from sanspec.stellar import gas
from sanspec.stellar.library import Library
from sanspec.stellar.lsf import smoothing
from sanspec.stellar.spectra import LEAST_PIXELS, Spectrum, Unfit

V_BAND = (5070.0, 5950.0)  # air [Angstrom]: weights are fractions of the light here
VELSCALE = 69.0  # pixel of the common grid [km/s], that of the SDSS spectrograph
V_MAX = 1500.0  # bound of |V| [km/s]
MARGIN = 2 * V_MAX + 900.0  # km/s by which templates exceed the spectrum on either side, as ppxf requires


@dataclass(frozen=True)
class Problem:
    """A spectrum and its templates in the form that pPXF takes.

    first: index of the first pixel on the common grid. lam (pix): rest-frame air [Angstrom]. galaxy, noise (pix): over
    `scale`, which is in units of the spectrum's norm. mask (pix): true = use. lam_temp (tem). templates (tem, column):
    stars first, each of mean 1 in the V band, then gas. light (ssp): V-band level by which the stars were divided.
    """

    spectrum: Spectrum
    library: Library
    first: int
    lam: Float[np.ndarray, " pix"]
    galaxy: Float[np.ndarray, " pix"]
    noise: Float[np.ndarray, " pix"]
    mask: Bool[np.ndarray, " pix"]
    scale: float
    lam_temp: Float[np.ndarray, " tem"]
    templates: Float[np.ndarray, "tem column"]
    light: Float[np.ndarray, " ssp"]
    groups: tuple[gas.TiedLines, ...]

    @property
    def edges(self) -> Float[np.ndarray, " edge"]:
        """Edges of the pixels [Angstrom, rest-frame air]."""
        return np.exp(VELSCALE / C_KMS * np.arange(self.first, self.first + len(self.lam) + 1))

    @property
    def is_gas(self) -> Bool[np.ndarray, " column"]:
        """Which columns are gas."""
        return np.arange(self.templates.shape[1]) >= len(self.light)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the kinematic components: stars, then those of the lines in the fit."""
        return ("stars", *(name for name in gas.COMPONENTS if any(g.component == name for g in self.groups)))

    @property
    def component(self) -> np.ndarray:
        """Number of the kinematic component of every column."""
        numbers = {name: number for number, name in enumerate(self.names)}
        return np.array([0] * len(self.light) + [numbers[group.component] for group in self.groups])


def set_up(spectrum: Spectrum, library: Library, settings: Stellar) -> Problem:
    """The spectrum on the common grid with its templates. Raises Unfit, with the reason, where it cannot be fitted."""
    choose, step = settings.ppxf, VELSCALE / C_KMS
    if not (np.isfinite(spectrum.z) and spectrum.z > -0.5):
        raise Unfit(Warn.NO_REDSHIFT)
    if not (spectrum.mask & np.isfinite(spectrum.flux)).any():
        raise Unfit(Warn.NO_SIGNAL)
    edges = vac_to_air(grid.bin_edges(spectrum.wave) / (1 + spectrum.z))
    low, high = max(edges[0], choose.wave_min), min(edges[-1], choose.wave_max)
    first, last = int(np.ceil(np.log(low) / step)), int(np.floor(np.log(high) / step))
    if last - first < LEAST_PIXELS:
        raise Unfit(Warn.SHORT_COVERAGE)
    bins = np.exp(step * np.arange(first, last + 1))
    galaxy, noise, mask = _on_grid(spectrum, edges, bins)
    margin = int(np.ceil(MARGIN / VELSCALE)) + 2
    bins_temp = np.exp(step * np.arange(first - margin, last + margin + 1))
    fwhm = rest_fwhm(spectrum, bins_temp)
    stars = star_templates(library, bins_temp, fwhm)
    lam, lam_temp = (np.exp(0.5 * (np.log(b[1:]) + np.log(b[:-1]))) for b in (bins, bins_temp))
    band = (lam_temp >= V_BAND[0]) & (lam_temp <= V_BAND[1])
    # Populations of one library end at different wavelengths
    mask = mask & (stars[margin:-margin] > 0).all(axis=1)
    if not band.any() or (stars[band] <= 0).any() or mask.sum() < LEAST_PIXELS:
        raise Unfit(Warn.SHORT_COVERAGE)
    light_v = stars[band].mean(axis=0)
    groups = tuple(group for group in gas.GROUPS if group.near(lam[mask]))
    if not groups:
        raise Unfit(Warn.SHORT_COVERAGE)
    lines = [group.template(bins_temp, fwhm) for group in groups]
    scale = float(np.median(galaxy[mask]))
    return Problem(
        spectrum=spectrum,
        library=library,
        first=first,
        lam=lam,
        galaxy=galaxy / scale,
        noise=noise / scale,
        mask=mask,
        scale=scale,
        lam_temp=lam_temp,
        templates=np.column_stack([stars / light_v, *lines]),
        light=light_v,
        groups=groups,
    )


def _on_grid(
    spectrum: Spectrum, edges: np.ndarray, bins: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux, noise and mask on the common grid; masked pixels interpolated. Raises Unfit where too few are left."""
    good = spectrum.mask & np.isfinite(spectrum.flux) & np.isfinite(spectrum.noise) & (spectrum.noise > 0)
    rows = np.stack([spectrum.flux, spectrum.noise, good.astype(float)])
    rows[:2, ~good] = np.nan
    flux, noise, share = grid.rebin(edges, rows, bins)
    mask = (share > 0.99) & np.isfinite(flux) & np.isfinite(noise)
    if not good.any():
        raise Unfit(Warn.NO_SIGNAL)
    if mask.sum() < LEAST_PIXELS:
        raise Unfit(Warn.MASKED_PIXELS)
    if np.median(flux[mask]) <= 0 or np.ptp(flux[mask]) <= 1e-9 * np.abs(flux[mask]).max():
        raise Unfit(Warn.NO_SIGNAL)
    places = np.arange(len(bins) - 1)
    flux, noise = (np.interp(places, places[mask], values[mask]) for values in (flux, noise))
    return flux, noise, mask


def rest_fwhm(spectrum: Spectrum, bins: Float[np.ndarray, " edge"]) -> Float[np.ndarray, " edge-1"]:
    """FWHM [Angstrom] of the rebinned spectrum at `bins` (rest frame, air): that of the spectrum over 1 + z.

    Averaging pixels of width w over other bins broadens by a box of that width, which adds w^2 / 12 to the variance.
    """
    rest = vac_to_air(spectrum.wave / (1 + spectrum.z))
    variance = (spectrum.fwhm / FWHM_PER_SIGMA) ** 2 + np.gradient(spectrum.wave) ** 2 / 12
    middle = 0.5 * (bins[1:] + bins[:-1])
    return np.interp(middle, rest, np.sqrt(variance) * FWHM_PER_SIGMA / (1 + spectrum.z))


def star_templates(
    library: Library, bins: Float[np.ndarray, " edge"], fwhm: Float[np.ndarray, " pix"]
) -> Float[np.ndarray, "pix ssp"]:
    """Populations over `bins` (rest, air) at resolution `fwhm` [Angstrom]; 0 beyond the range of the library.

    Where the library has the lower resolution it is left as it is.
    """
    middle = 0.5 * (bins[1:] + bins[:-1])
    own = np.interp(middle, library.lam, library.fwhm)
    pixel = np.interp(middle, library.lam, np.gradient(library.lam))
    variance = (fwhm**2 - own**2) / FWHM_PER_SIGMA**2 - pixel**2 / 12
    inside = (library.lam > bins[0] - 60) & (library.lam < bins[-1] + 60)
    if inside.sum() < 2:
        return np.zeros((len(middle), library.flux.shape[1]))
    operator = smoothing(grid.bin_edges(library.lam[inside]), bins, np.sqrt(np.clip(variance, 0, None)))
    return operator @ library.flux[inside]
