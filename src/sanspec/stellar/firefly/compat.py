"""FIREFLY as released (firefly_release @cce94c2): the same numbers from the same spectra and templates.

Its faults are kept here on purpose: templates that fall to nothing at their ends, a filter that wraps around,
one error for all pixels of a filtered spectrum, R = 2000 for every instrument, mixes of two seeds clipped one
by one.
"""

from dataclasses import dataclass

import numpy as np
from astropy import cosmology
from jaxtyping import Float
from scipy.sparse import csr_array

from sanspec.config import Firefly
from sanspec.physics.air import air_to_vac
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA, LSUN
from sanspec.stellar.firefly import dust, kernels, lines, tree
from sanspec.stellar.firefly.pose import oldest
from sanspec.stellar.firefly.profile import Interval, profile
from sanspec.stellar.library import Library

FWHM = 2.55  # resolution of M11-MILES in the released code [Angstrom]
METALS = {-1.30: -1.35}  # [Z/H] in the templates' files, and what the released code takes it for
FIRST_MODE, RAMP = 20, 20  # Fourier modes removed, and over how many more the filter opens
FLUX_UNIT = 1e-17  # erg/s/cm2/Angstrom
REACH = 3.0  # standard deviations at which its Gaussian is cut


@dataclass(frozen=True, eq=False)
class Matched:
    """A spectrum and the populations on its pixels.

    wave (pix): rest vacuum Angstrom; flux, error (pix): unit of the input; models (ssp, pix): erg/s/Angstrom
    per solar mass; age (ssp): Gyr; metal (ssp): Z / Zsun, linear.
    """

    wave: Float[np.ndarray, " pix"]
    flux: Float[np.ndarray, " pix"]
    error: Float[np.ndarray, " pix"]
    models: Float[np.ndarray, "ssp pix"]
    age: Float[np.ndarray, " ssp"]
    metal: Float[np.ndarray, " ssp"]


@dataclass(frozen=True, eq=False)
class Released:
    """What the released code reports.

    averages: by name, linear units; ebv [mag]; chi2: of the best; numbers of solutions; shares (ssp) of the
    light and model (pix) of the best.
    """

    averages: dict[str, Interval]
    ebv: float
    chi2: float
    solutions: int
    solutions_filtered: int
    matched: Matched
    shares: Float[np.ndarray, " ssp"]
    model: Float[np.ndarray, " pix"]


def fit(
    wave: Float[np.ndarray, " pix"],
    flux: Float[np.ndarray, " pix"],
    error: Float[np.ndarray, " pix"],
    z: float,
    vdisp: float,
    library: Library,
    settings: Firefly,
) -> Released:
    """One spectrum as the released code fits it.

    wave: vacuum Angstrom, observed frame; flux, error: 1e-17 erg/s/cm2/Angstrom; vdisp: km/s; library: as it
    is in its files. Raises ValueError where fewer than 100 pixels are left.
    """
    matched = match(wave, flux, error, z, vdisp, library, settings.line_mask, settings.resolution)
    return solve(matched, settings, z)


def solve(matched: Matched, settings: Firefly, z: float) -> Released:
    """Dust and populations of a matched spectrum."""
    models = matched.models * normalisation(matched.flux, matched.models)[:, None]
    attenuation, filtered = determine_attenuation(matched, models, settings.smoothing)
    curve = dust.CURVES[settings.curve](matched.wave)
    attenuated = matched.models * attenuation
    mass = normalisation(matched.flux, attenuated)
    models = attenuated * mass[:, None]
    found = tree.grow(tree.residuals(matched.flux, matched.error, models))
    shares = found.best_weights()
    return Released(
        averages=averages(found, matched, mass, z),
        ebv=dust.best_ebv(attenuation, curve, settings.ebv_max),
        chi2=found.least,
        solutions=found.count,
        solutions_filtered=filtered.count,
        matched=matched,
        shares=shares,
        model=shares @ models,
    )


# ----------------------------------------------------------------------------------------------------- set-up


def match(
    wave: Float[np.ndarray, " pix"],
    flux: Float[np.ndarray, " pix"],
    error: Float[np.ndarray, " pix"],
    z: float,
    vdisp: float,
    library: Library,
    line_mask: float,
    resolution: float,
) -> Matched:
    """Pixels in use, and the populations on them, by trapezoids between the midpoints of neighbours."""
    rest = wave / (1 + z)
    good = np.isfinite(flux) & (flux > 0) & np.isfinite(error) & ~lines.near(rest, line_mask)
    lam = air_to_vac(library.lam)
    young = library.age <= oldest(z)
    inside = good & (rest >= lam[0]) & (rest <= lam[-1])
    if inside.sum() < 100:
        raise ValueError(f"{inside.sum()} usable pixels within the templates; at least 100 are needed")
    models = broaden(library.flux.T[young] * LSUN, lam, vdisp, resolution)
    kept = rest[inside]
    covered = (lam >= max(kept[0], lam[0])) & (lam <= min(kept[-1], lam[-1]))
    edges = 0.5 * (kept[1:] + kept[:-1]) + kept[0] * 1e-10
    models = rebin(lam[covered], models[:, covered], edges)
    metal = np.array([METALS.get(value, value) for value in library.metal[young].tolist()])
    inner = slice(1, -1)
    return Matched(
        kept[inner], flux[inside][inner], error[inside][inner], models, library.age[young], 10.0**metal
    )


def broaden(
    models: Float[np.ndarray, "ssp lam"], lam: Float[np.ndarray, " lam"], vdisp: float, resolution: float
) -> Float[np.ndarray, "ssp lam"]:
    """Models smoothed by Gaussians that vary by pixel, cut at 3 sigma; zero near the ends."""
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
    """Mean between edges of the straight lines through the models' points, constant beyond their ends."""
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


def normalisation(
    flux: Float[np.ndarray, " pix"], models: Float[np.ndarray, "ssp pix"]
) -> Float[np.ndarray, " ssp"]:
    """What each model is multiplied with to have the median of the flux: solar masses, in the flux's unit."""
    return np.median(flux) / np.median(models, axis=1)


# ------------------------------------------------------------------------------------------------------- dust


def window(pixels: int) -> Float[np.ndarray, " mode"]:
    """Transmission of the modes of a real transform: 0 below the 20th, a ramp, 1; the mean is kept.

    The released ramp differs by one mode between positive and negative frequencies; the real part of its
    inverse transform is that of the mean of the two.
    """
    full = np.zeros(pixels)
    full[0] = 1.0
    steps = np.arange(RAMP)
    full[FIRST_MODE + steps] = (steps + 1) / RAMP
    full[pixels - 1 - (FIRST_MODE + RAMP - steps)] = (RAMP - steps) / RAMP
    full[FIRST_MODE + RAMP : pixels - FIRST_MODE - RAMP] = 1.0
    return 0.5 * (full + full[-np.arange(pixels)])[: pixels // 2 + 1]


def high_pass(spectra: Float[np.ndarray, "*spec pix"]) -> Float[np.ndarray, "*spec pix"]:
    """Spectra without their slow changes: (1 + (fast - median) / slow) median, by their Fourier transform."""
    pixels = spectra.shape[-1]
    passed = window(pixels)
    stopped = 1.0 - passed
    stopped[0] = 1.0
    modes = np.fft.rfft(spectra, axis=-1)
    fast, slow = (np.fft.irfft(modes * part, pixels, axis=-1) for part in (passed, stopped))
    middle = np.median(fast, axis=-1, keepdims=True)
    return (1.0 + (fast - middle) / slow) * middle


def determine_attenuation(
    matched: Matched, models: Float[np.ndarray, "ssp pix"], smoothing: float
) -> tuple[Float[np.ndarray, " pix"], tree.Tree]:
    """Attenuation over its median, from the best fit of the filtered spectra; and the tree of that fit."""
    flux = high_pass(matched.flux)
    filtered = high_pass(models)
    filtered *= normalisation(flux, filtered)[:, None]
    error = np.median(matched.error) / np.median(matched.flux) * np.median(flux)
    found = tree.grow(tree.residuals(flux, np.full(len(flux), error), filtered))
    weights = found.best_weights()
    with np.errstate(divide="ignore", invalid="ignore"):  # the templates' empty ends
        fine = matched.flux / (weights @ models) - flux / (weights @ filtered) + 1.0
    fine = np.where(np.isfinite(fine), fine, 1.0)
    return kernels.running_median(matched.wave, fine / np.median(fine), smoothing), found


# --------------------------------------------------------------------------------------------------- averages


def averages(
    found: tree.Tree, matched: Matched, mass: Float[np.ndarray, " ssp"], z: float
) -> dict[str, Interval]:
    """Ages [Gyr], metallicities [Zsun], mass formed [Msun], linear; mass (ssp): the models' normalisation."""
    distance = cosmology.Planck15.luminosity_distance(z).to_value("cm") if z > 0 else np.nan
    weights, unity = found.weights, np.ones(len(found.weights))
    masses = weights @ mass
    parts = {
        "age_light": (weights @ matched.age, unity),
        "metal_light": (weights @ matched.metal, unity),
        "age_mass": (weights @ (mass * matched.age), masses),
        "metal_mass": (weights @ (mass * matched.metal), masses),
        "mass_formed": (masses * (FLUX_UNIT * 4 * np.pi * distance**2), unity),
    }
    return {name: profile(found, *pair, len(matched.wave)) for name, pair in parts.items()}
