"""FIREFLY as released (firefly_release @cce94c2): the same numbers from the same spectra and templates.

Its faults are kept here on purpose: templates that vanish at their ends, a filter that wraps around, one error for all
pixels of a filtered spectrum, R = 2000 for every instrument, mixes of two seeds clipped one by one.
"""

from dataclasses import dataclass, replace

import numpy as np
from astropy import cosmology
from jaxtyping import Float
from scipy.sparse import csr_array

from sanspec.config import Firefly
from sanspec.errors import Warn
from sanspec.physics.air import air_to_vac
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA, LSUN
from sanspec.physics.dust import CURVES, transmission
from sanspec.stellar.firefly import kernels, tree
from sanspec.stellar.firefly.match import Fitted, Matched, near_emission, oldest
from sanspec.stellar.firefly.profile import Interval, profile
from sanspec.stellar.library import Library
from sanspec.stellar.spectra import FLUX_UNIT, Unfit

Pixels = Float[np.ndarray, " pix"]
Models = Float[np.ndarray, "ssp pix"]

FWHM = 2.55  # resolution of M11-MILES in the released code [Angstrom]
RESOLUTION = 2000.0  # resolving power of every instrument
METALS = {-1.30: -1.35}  # [Z/H] in the templates' files: [Z/H] that the released code assumes for it
FIRST_MODE, RAMP = 20, 20  # number of Fourier modes removed, and of those over which the filter opens
REACH = 3.0  # standard deviations at which its Gaussian is cut
TRIED = 200  # values of E(B-V) compared with an attenuation


@dataclass(frozen=True, eq=False)
class Downgraded:
    """A spectrum and the populations on its pixels, downgraded to R = 2000 and the velocity dispersion.

    z: redshift. wave (pix): rest vacuum Angstrom. flux, error (pix): unit of the input. models (ssp, pix):
    erg/s/Angstrom per solar mass. age (ssp): Gyr. metal (ssp): Z / Zsun, linear.
    """

    z: float
    wave: Pixels
    flux: Pixels
    error: Pixels
    models: Models
    age: Float[np.ndarray, " ssp"]
    metal: Float[np.ndarray, " ssp"]


@dataclass(frozen=True, eq=False)
class Released:
    """The output of the released code.

    averages: by name, in linear units. ebv [mag]. chi2: of the best solution. solutions, solutions_filtered: their
    numbers. shares (ssp) of the light and model (pix) of the best solution.
    """

    averages: dict[str, Interval]
    ebv: float
    chi2: float
    solutions: int
    solutions_filtered: int
    shares: Float[np.ndarray, " ssp"]
    model: Pixels


class CompatFit:
    """The compat mode on one spectrum: all its bootstrap draws share the downgraded populations.

    library: as it is in its files. places: positions of the used pixels in the span. flux (used): of the spectrum.
    Raises Unfit.
    """

    def __init__(self, matched: Matched, library: Library, settings: Firefly, vdisp: float):
        self.settings, self.spectrum = settings, matched.spectrum
        spectrum, error = matched.spectrum, np.where(matched.spectrum.mask, matched.spectrum.noise, np.inf)
        try:
            self.downgraded = downgrade(
                spectrum.wave, spectrum.flux, error, spectrum.z, vdisp, library, settings.line_mask
            )
        except ValueError:
            raise Unfit(Warn.SHORT_COVERAGE) from None
        self.inside = np.isin(self.downgraded.wave, matched.wave)
        self.places = np.searchsorted(matched.wave, self.downgraded.wave[self.inside])
        self.flux = self.downgraded.flux[self.inside]

    def solve(self, draw: Float[np.ndarray, " used"] | None = None) -> Fitted:
        """The spectrum, or a bootstrap draw of it."""
        flux = self.downgraded.flux.copy()
        flux[self.inside] = self.flux if draw is None else draw
        found = solve(replace(self.downgraded, flux=flux), self.settings)
        values, errors = {"ebv_stars": found.ebv}, {}
        for average, interval in found.averages.items():
            name = average if average.startswith("metal") else f"log_{average}"
            value, low, high = np.log10([interval.value, interval.low[0], interval.high[0]])
            years = 9.0 if average.startswith("age") else 0.0  # from Gyr
            values[name], errors[name] = float(value + years), float(0.5 * (high - low))
        values["log_mass_formed"] += np.log10(self.spectrum.norm)
        return Fitted(values, errors, found.model[self.inside], found.shares, found.chi2 / len(flux))


def solve(downgraded: Downgraded, settings: Firefly) -> Released:
    """Dust and populations of a spectrum, as the released code finds them."""
    models = downgraded.models * normalisation(downgraded.flux, downgraded.models)[:, None]
    attenuation, filtered = find_attenuation(downgraded, models)
    curve = CURVES[settings.curve](downgraded.wave)
    attenuated = downgraded.models * attenuation
    mass = normalisation(downgraded.flux, attenuated)
    models = attenuated * mass[:, None]
    found = tree.grow((models - downgraded.flux) / downgraded.error)
    shares = found.best_weights()
    return Released(
        averages=averages(found, downgraded, mass),
        ebv=best_ebv(attenuation, curve, settings.ebv_max),
        chi2=found.min_chi2,
        solutions=found.count,
        solutions_filtered=filtered.count,
        shares=shares,
        model=shares @ models,
    )


# ----------------------------------------------------------------------------------------------------- set-up


def downgrade(
    wave: Pixels, flux: Pixels, error: Pixels, z: float, vdisp: float, library: Library, line_mask: float
) -> Downgraded:
    """Pixels in use, and the populations on them, by trapezoids between the midpoints of neighbours.

    wave: vacuum Angstrom, observed frame. flux, error: 1e-17 erg/s/cm2/Angstrom. vdisp: km/s. library: as it is in its
    files. line_mask: half width left out around emission lines [Angstrom]. Raises ValueError where fewer than 100
    pixels are left.
    """
    rest = wave / (1 + z)
    good = np.isfinite(flux) & (flux > 0) & np.isfinite(error) & ~near_emission(rest, line_mask)
    lam = air_to_vac(library.lam)
    young = library.age <= oldest(z)
    inside = good & (rest >= lam[0]) & (rest <= lam[-1])
    if inside.sum() < 100:
        raise ValueError(f"{inside.sum()} usable pixels within the templates; at least 100 are needed")
    models = broaden(library.flux.T[young] * LSUN, lam, vdisp)
    kept = rest[inside]
    covered = (lam >= max(kept[0], lam[0])) & (lam <= min(kept[-1], lam[-1]))
    edges = 0.5 * (kept[1:] + kept[:-1]) + kept[0] * 1e-10
    models = rebin(lam[covered], models[:, covered], edges)
    metal = np.array([METALS.get(value, value) for value in library.metal[young].tolist()])
    inner = slice(1, -1)
    spectrum = kept[inner], flux[inside][inner], error[inside][inner]
    return Downgraded(z, *spectrum, models, library.age[young], 10.0**metal)


def broaden(
    models: Float[np.ndarray, "ssp lam"],
    lam: Float[np.ndarray, " lam"],
    vdisp: float,
    resolution: float = RESOLUTION,
) -> Float[np.ndarray, "ssp lam"]:
    """Models smoothed by Gaussians that vary from pixel to pixel, cut at 3 sigma; 0 near the ends."""
    old = C_KMS * FWHM / lam / FWHM_PER_SIGMA
    variance = vdisp**2 + (C_KMS / resolution / FWHM_PER_SIGMA) ** 2 - old**2
    sigma = np.sqrt(np.maximum(variance, 0.0)) * lam / C_KMS / (lam[1] - lam[0])
    places = np.flatnonzero(sigma > 0)
    if not len(places):
        return models
    sigma, count = sigma[places], len(places)
    reach = int(np.ceil(REACH * sigma.max()))
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-(offsets**2) / (2 * sigma[:, None] ** 2))
    kernel /= kernel.sum(axis=1, keepdims=True)
    rows = np.arange(reach, count - reach)
    starts = np.clip(np.arange(count + 1) - reach, 0, len(rows)) * len(offsets)
    columns = (rows[:, None] + offsets).ravel()
    operator = csr_array((kernel[rows].ravel(), columns, starts), shape=(count, count))
    result = models.copy()
    result[:, places] = (operator @ models[:, places].T).T
    return result


def rebin(
    lam: Float[np.ndarray, " lam"], models: Float[np.ndarray, "ssp lam"], edges: Float[np.ndarray, " edge"]
) -> Float[np.ndarray, "ssp edge-1"]:
    """Mean between edges of the linearly interpolated models, constant beyond their ends."""
    if edges[0] < lam[0]:
        lam, models = np.append(edges[0], lam), np.column_stack([models[:, 0], models])
    if edges[-1] > lam[-1]:
        lam, models = np.append(lam, edges[-1]), np.column_stack([models, models[:, -1]])
    steps = np.diff(lam)
    area = np.zeros_like(models)
    np.cumsum(0.5 * (models[:, 1:] + models[:, :-1]) * steps, axis=1, out=area[:, 1:])
    place = np.clip(np.searchsorted(lam, edges) - 1, 0, len(lam) - 2)
    into = edges - lam[place]
    start = models[:, place]
    end = start + (models[:, place + 1] - start) * (into / steps[place])
    return np.diff(area[:, place] + 0.5 * (start + end) * into, axis=1) / np.diff(edges)


def normalisation(flux: Pixels, models: Models) -> Float[np.ndarray, " ssp"]:
    """Factor that gives each model the median of the flux: solar masses, in the unit of the flux."""
    return np.median(flux) / np.median(models, axis=1)


# ------------------------------------------------------------------------------------------------------- dust


def high_pass(spectra: Float[np.ndarray, "*spec pix"]) -> Float[np.ndarray, "*spec pix"]:
    """Spectra without their slow part: (1 + (fast - median) / slow) median, by their Fourier transform.

    The modes pass from the 20th on along a ramp, and the mean is kept. The released ramp differs by one mode between
    positive and negative frequencies; the real part of its inverse transform is that of the mean of the two.
    """
    pixels, steps = spectra.shape[-1], np.arange(RAMP)
    full = np.zeros(pixels)
    full[0] = 1.0
    full[FIRST_MODE + steps] = (steps + 1) / RAMP
    full[pixels - 1 - (FIRST_MODE + RAMP - steps)] = (RAMP - steps) / RAMP
    full[FIRST_MODE + RAMP : pixels - FIRST_MODE - RAMP] = 1.0
    passed = 0.5 * (full + full[-np.arange(pixels)])[: pixels // 2 + 1]
    stopped = 1.0 - passed
    stopped[0] = 1.0
    modes = np.fft.rfft(spectra, axis=-1)
    fast, slow = (np.fft.irfft(modes * part, pixels, axis=-1) for part in (passed, stopped))
    middle = np.median(fast, axis=-1, keepdims=True)
    return (1.0 + (fast - middle) / slow) * middle


def find_attenuation(downgraded: Downgraded, models: Models) -> tuple[Pixels, tree.Tree]:
    """Attenuation over its median, from the best fit of the filtered spectra; and the tree of that fit."""
    flux = high_pass(downgraded.flux)
    filtered = high_pass(models)
    filtered *= normalisation(flux, filtered)[:, None]
    error = np.median(downgraded.error) / np.median(downgraded.flux) * np.median(flux)
    found = tree.grow((filtered - flux) / np.full(len(flux), error))
    weights = found.best_weights()
    with np.errstate(divide="ignore", invalid="ignore"):  # the templates' empty ends
        fine = downgraded.flux / (weights @ models) - flux / (weights @ filtered) + 1.0
    fine = np.where(np.isfinite(fine), fine, 1.0)
    return kernels.running_median(downgraded.wave, fine / np.median(fine), kernels.SMOOTHING), found


def best_ebv(attenuation: Pixels, curve: Pixels, ebv_max: float) -> float:
    """E(B-V) [mag] of the curve nearest to an attenuation among 200 from 0 to ebv_max.

    Both are relative to their median. As in the released code: the minimum of the sum of squares of the squared
    differences, after a 3 sigma clip of these.
    """
    tried = ebv_max * np.arange(TRIED) / (TRIED - 1)
    count = len(curve)
    middle = np.sort(curve)[[(count - 1) // 2, count // 2]]  # the median of a monotonic function of the curve
    shapes = transmission(tried, curve) / transmission(tried, middle).mean(axis=1)[:, None]
    apart = kernels.clipped_squares((attenuation - shapes) ** 2, kernels.CLIP_SIGMA)[2]
    return float(tried[np.argmin(apart)])


# --------------------------------------------------------------------------------------------------- averages


def averages(
    found: tree.Tree, downgraded: Downgraded, mass: Float[np.ndarray, " ssp"]
) -> dict[str, Interval]:
    """Ages [Gyr], metallicities [Zsun], mass formed [Msun], linear; mass (ssp): normalisation of the models."""
    z, age, metal = downgraded.z, downgraded.age, downgraded.metal
    distance = cosmology.Planck15.luminosity_distance(z).to_value("cm") if z > 0 else np.nan
    weights, unity = found.weights, np.ones(len(found.weights))
    masses = weights @ mass
    parts = {
        "age_light": (weights @ age, unity),
        "metal_light": (weights @ metal, unity),
        "age_mass": (weights @ (mass * age), masses),
        "metal_mass": (weights @ (mass * metal), masses),
        "mass_formed": (masses * (FLUX_UNIT * 4 * np.pi * distance**2), unity),
    }
    return {name: profile(found, *pair, len(downgraded.wave)) for name, pair in parts.items()}
