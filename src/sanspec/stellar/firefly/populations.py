"""Populations of the clean mode: combinations weighted by their likelihood, calibration errors marginalised."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from sanspec.config import Firefly
from sanspec.stellar.firefly.combinations import search
from sanspec.stellar.firefly.filtered import noise_scale, slow_part
from sanspec.stellar.library import Library

MODES = 20  # cosine modes (half waves) of the flux calibration
BITS = 2.0  # penalties ln N per population: one for its share, one for the choice of the population
NAMES = ("log_age_light", "log_age_mass", "metal_light", "metal_mass", "log_mass_formed", "log_mass", "ml")


@dataclass(frozen=True, eq=False)
class Means:
    """Quantities `NAMES` over all solutions, and the best solution.

    mean, spread (quantity): mean and standard deviation. shares (ssp): of the light in the best. model (pix): its
    flux. chi2: its chi2 per pixel.
    """

    mean: Float[np.ndarray, " quantity"]
    spread: Float[np.ndarray, " quantity"]
    shares: Float[np.ndarray, " ssp"]
    model: Float[np.ndarray, " pix"]
    chi2: float


def columns(
    library: Library, young: np.ndarray, mass: Float[np.ndarray, " ssp"], averages: str
) -> Float[np.ndarray, "ssp column"]:
    """Properties of the populations; their light-weighted means give the quantities.

    Age, metallicity, mass formed, mass times age, mass times metallicity, mass left, r-band luminosity. young:
    positions of the populations in the library. mass (ssp): solar masses formed for all of the light. averages: of ages
    and metallicities (`linear`) or of their logarithms (`log`).
    """
    age, metal = np.log10(library.age[young]), library.metal[young]
    if averages == "linear":
        age, metal = 10.0**age, 10.0**metal
    left, light = library.mass[young], library.r_luminosity[young]
    return np.column_stack([age, metal, mass, mass * age, mass * metal, mass * left, mass * light])


def quantities(values: Float[np.ndarray, "sol column"], averages: str) -> Float[np.ndarray, "sol quantity"]:
    """`NAMES` of solutions from their means of `columns`: log yr, [M/H], log Msun, Msun/Lsun."""
    age, metal, mass, mass_age, mass_metal, left, light = values.T
    means = np.array([age, mass_age / mass, metal, mass_metal / mass])
    if averages == "linear":
        means = np.log10(means)
    means[:2] += 9.0
    return np.column_stack([*means, np.log10(mass), np.log10(left), left / light])


def fit_populations(
    flux: Float[np.ndarray, " pix"],
    error: Float[np.ndarray, " pix"],
    models: Float[np.ndarray, "ssp pix"],
    keep: Bool[np.ndarray, " pix"],
    columns: Float[np.ndarray, "ssp column"],
    settings: Firefly,
) -> Means:
    """The populations of a spectrum with known dust.

    flux, models (attenuated): of median 1. keep: pixels to use. The flux may be wrong by smooth modes, each of standard
    deviation `settings.calibration`. These are marginalised: C^-1 = D - D U' (1 + U D U')^-1 U D, where D are the
    inverse variances and U the first cosine modes, of mean square 1, times the flux's slow part.
    """
    scaled = (models[:, keep] - flux[keep]) / error[keep]
    phase = np.pi * np.outer(np.arange(MODES), (np.arange(len(flux)) + 0.5) / len(flux))
    cosines = np.cos(phase) * np.where(np.arange(MODES) > 0, np.sqrt(2.0), 1.0)[:, None]
    modes = settings.calibration * cosines * (slow_part(flux) / error)
    lower = np.linalg.cholesky(np.eye(MODES) + modes[:, keep] @ modes[:, keep].T)
    white = np.linalg.solve(lower, modes[:, keep])
    removed = scaled @ white.T
    gram = scaled @ scaled.T - removed @ removed.T
    penalty = np.log(keep.sum())
    found = search(gram, columns, penalty)
    residual = found.best @ scaled
    departure = np.linalg.solve(lower.T, white @ residual)
    chance = found.probability(noise_scale(residual - departure @ modes[:, keep]), BITS * penalty)
    each = quantities(found.values, settings.averages)
    mean = chance @ each
    model = found.best @ models - departure @ modes * error
    chi2 = float(found.best @ gram @ found.best / keep.sum())
    return Means(mean, np.sqrt(chance @ (each - mean) ** 2), found.best, model, chi2)
