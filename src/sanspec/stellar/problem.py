"""A spectrum and its templates brought together as pPXF takes them.

Every spectrum is moved to its rest frame, to air, and by exact bin overlap onto one common logarithmic grid;
the templates are brought there at the spectrum's own resolution. The redshift is taken out first, so that the
resolution is that of the rest frame, FWHM / (1 + z).
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
from sanspec.stellar.faults import Unfit
from sanspec.stellar.library import Library
from sanspec.stellar.lsf import smoothing
from sanspec.stellar.spectra import Spectrum

V_BAND = (5070.0, 5950.0)  # air [Angstrom]: weights are fractions of the light here
V_MOST = 1500.0  # bound of |V| [km/s]
REACH = 2 * V_MOST + 900.0  # km/s by which templates exceed the spectrum on either side, as ppxf asks


@dataclass(frozen=True)
class Problem:
    """A spectrum and its templates as pPXF takes them.

    first: index of the first pixel on the common grid; lam (pix): rest-frame air [Angstrom]; galaxy, noise
    (pix): over `scale`, which is in units of the spectrum's norm; mask (pix): true = use; lam_temp (tem),
    templates (tem, column): stars first, each of mean 1 in the V band, then gas; light (ssp): what the stars
    were divided by.
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
    groups: tuple[gas.LineGroup, ...]
    velscale: float

    @property
    def is_gas(self) -> Bool[np.ndarray, " column"]:
        """Which columns are gas."""
        return np.arange(self.templates.shape[1]) >= len(self.light)

    @property
    def names(self) -> tuple[str, ...]:
        """Kinematic components present: stars, then those of the line groups by name."""
        return ("stars", *(name for name in gas.COMPONENTS if any(g.component == name for g in self.groups)))

    @property
    def component(self) -> np.ndarray:
        """Kinematic component of every column, assigned by name."""
        numbers = {name: number for number, name in enumerate(self.names)}
        return np.array([0] * len(self.light) + [numbers[group.component] for group in self.groups])


# ------------------------------------------------------------------------------------------------------------- set-up


def pose(spectrum: Spectrum, library: Library, settings: Stellar) -> Problem:
    """The spectrum on the common grid with its templates. Raises Unfit, with the reason, where it cannot be fitted."""
    choose, step = settings.ppxf, settings.ppxf.velscale / C_KMS
    if not (np.isfinite(spectrum.z) and spectrum.z > -0.5):
        raise Unfit(Warn.NO_REDSHIFT)
    if not (spectrum.mask & np.isfinite(spectrum.flux)).any():
        raise Unfit(Warn.NO_SIGNAL)
    edges = vac_to_air(grid.bin_edges(spectrum.wave) / (1 + spectrum.z))
    low, high = max(edges[0], choose.wave_min), min(edges[-1], choose.wave_max)
    first, last = int(np.ceil(np.log(low) / step)), int(np.floor(np.log(high) / step))
    if last - first < settings.least_pixels:
        raise Unfit(Warn.SHORT_COVERAGE)
    bins = np.exp(step * np.arange(first, last + 1))
    galaxy, noise, mask = _on_grid(spectrum, edges, bins, settings)
    margin = int(np.ceil(REACH / choose.velscale)) + 2
    bins_temp = np.exp(step * np.arange(first - margin, last + margin + 1))
    fwhm = rest_fwhm(spectrum, bins_temp)
    stars = star_templates(library, bins_temp, fwhm)
    lam, lam_temp = (np.exp(0.5 * (np.log(b[1:]) + np.log(b[:-1]))) for b in (bins, bins_temp))
    band = (lam_temp >= V_BAND[0]) & (lam_temp <= V_BAND[1])
    mask = mask & (stars[margin:-margin] > 0).all(
        axis=1
    )  # a library ends at other places for other populations
    if not band.any() or (stars[band] <= 0).any() or mask.sum() < settings.least_pixels:
        raise Unfit(Warn.SHORT_COVERAGE)
    light_v = stars[band].mean(axis=0)
    groups = tuple(group for group in gas.GROUPS if gas.within(group, lam[mask]))
    if not groups:
        raise Unfit(Warn.SHORT_COVERAGE)
    lines = [gas.template(group, bins_temp, fwhm) for group in groups]
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
        velscale=choose.velscale,
    )


def _on_grid(
    spectrum: Spectrum, edges: np.ndarray, bins: np.ndarray, settings: Stellar
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Flux, noise and mask on the common grid; masked pixels interpolated. Raises Unfit where too few are left."""
    good = spectrum.mask & np.isfinite(spectrum.flux) & np.isfinite(spectrum.noise) & (spectrum.noise > 0)
    rows = np.stack([spectrum.flux, spectrum.noise, good.astype(float)])
    rows[:2, ~good] = np.nan
    flux, noise, share = grid.rebin(edges, rows, bins)
    mask = (share > 0.99) & np.isfinite(flux) & np.isfinite(noise)
    if not good.any():
        raise Unfit(Warn.NO_SIGNAL)
    if mask.sum() < settings.least_pixels:
        raise Unfit(Warn.MASKED_PIXELS)
    if np.median(flux[mask]) <= 0 or np.ptp(flux[mask]) <= 1e-9 * np.abs(flux[mask]).max():
        raise Unfit(Warn.NO_SIGNAL)
    places = np.arange(len(bins) - 1)
    flux, noise = (np.interp(places, places[mask], values[mask]) for values in (flux, noise))
    return flux, noise, mask


def rest_fwhm(spectrum: Spectrum, bins: Float[np.ndarray, " edge"]) -> Float[np.ndarray, " edge-1"]:
    """Resolution of the rebinned spectrum at `bins` (rest frame, air): FWHM [Angstrom] of the line spread over 1 + z.

    Averaging pixels of width w over other bins broadens by a box of that width: w^2 / 12 is added to the
    variance.
    """
    rest = vac_to_air(spectrum.wave / (1 + spectrum.z))
    variance = (spectrum.fwhm / FWHM_PER_SIGMA) ** 2 + np.gradient(spectrum.wave) ** 2 / 12
    middle = 0.5 * (bins[1:] + bins[:-1])
    return np.interp(middle, rest, np.sqrt(variance) * FWHM_PER_SIGMA / (1 + spectrum.z))


def star_templates(
    library: Library, bins: Float[np.ndarray, " edge"], fwhm: Float[np.ndarray, " pix"]
) -> Float[np.ndarray, "pix ssp"]:
    """Populations over `bins` (rest, air) at resolution `fwhm` [Angstrom]; 0 where the library does not reach.

    Where the library is coarser than the spectrum it stays as it is.
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
