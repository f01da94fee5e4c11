"""A small library of made populations for tests: black bodies with lines that deepen with age and
metallicity.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from sanspec.config import Stellar
from sanspec.physics.constants import LSUN
from sanspec.physics.dust import calzetti, transmission
from sanspec.spectra import grid
from sanspec.stellar.firefly.clean import CleanFit
from sanspec.stellar.firefly.match import Fitted, Matched, match, trimmed
from sanspec.stellar.library import Library
from sanspec.stellar.spectra import Spectrum

AGES = np.array([0.05, 0.15, 0.4, 1.0, 2.5, 5.0, 8.0, 12.0])
METALS = {"z001": -0.33, "z002": 0.0, "z004": 0.35}
LAM = 3500.0 + 0.9 * np.arange(4367)
FWHM = 2.54


@cache
def library() -> Library:
    """24 populations on the wavelengths of M11-MILES."""
    rng = np.random.default_rng(5)
    centres, strengths = rng.uniform(3500, 7450, 150), rng.uniform(0.05, 0.5, (2, 150))
    lines = np.exp(-0.5 * ((LAM[:, None] - centres) / 1.6) ** 2)
    age, metal = (axis.ravel() for axis in np.meshgrid(AGES, list(METALS.values())))
    rows = [population(a, m, lines, strengths) for a, m in zip(age, metal)]
    width = np.full(LAM.size, FWHM)
    return Library("made", "Salpeter 1955", np.array(rows).T, LAM, width, age, metal, np.full(24, 0.7))


def population(age: float, metal: float, lines: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Lsun/Angstrom per solar mass: hotter and brighter when young, with two kinds of lines."""
    temperature = 4500 + 3000 * (1 - np.log10(age / 0.05) / 2.4) ** 2 - 400 * metal
    body = (LAM / 5500) ** -5 / (np.exp(1.44e8 / (LAM * temperature)) - 1)
    body *= (np.exp(1.44e8 / (5500 * temperature)) - 1) * 1e-4 * age**-0.7
    old = np.log10(age / 0.05) / 2.4
    depth = lines @ (strengths[0] * old * (1 + metal)) + lines @ (strengths[1] * (1 - old) ** 2)
    return body * np.exp(-depth)


def write_folder(folder: Path, made: Library) -> Path:
    """The library as firefly_release carries it."""
    for name, metal in METALS.items():
        rows = [
            np.column_stack([np.full(LAM.size, age), np.full(LAM.size, metal), LAM, LSUN * flux])
            for age, m, flux in zip(made.age, made.metal, made.flux.T)
            if m == metal
        ]
        np.savetxt(folder / f"ssp_M11_MILES.ss{name}", np.concatenate(rows), fmt="%.6g %.4g %.4f %.10e")
    return folder


def spectrum(
    shares: dict[int, float],
    ebv: float = 0.2,
    snr: float = 40.0,
    z: float = 0.1,
    vdisp: float = 150.0,
    seed: int = 1,
    settings: Stellar | None = None,
) -> Spectrum:
    """A mixture on the product grid, median 1, with white noise; shares of the light by population."""
    settings, made = settings or Stellar(), library()
    ones = np.ones(grid.WAVE.size)
    flat = Spectrum(seed, "observed", z, grid.WAVE, ones, ones, ones > 0, 10 / 3 * ones, 10.0)
    flat_match = match(flat, trimmed(made), settings.firefly.line_mask, vdisp)
    places = np.array(list(shares))
    light = np.array(list(shares.values())) / np.median(flat_match.models[places][:, flat_match.used], axis=1)
    flux = np.full(grid.WAVE.size, np.nan)
    flux[flat_match.span] = (light @ flat_match.models[places]) * transmission(ebv, calzetti(flat_match.wave))
    flux /= np.nanmedian(flux)
    noise = np.random.default_rng(seed).standard_normal(grid.WAVE.size) / snr
    return replace(flat, flux=flux + noise, noise=ones / snr, mask=np.isfinite(flux))


def matched(one: Spectrum, vdisp: float = 150.0, settings: Stellar | None = None) -> Matched:
    """The spectrum with the library on its pixels."""
    settings = settings or Stellar()
    return match(one, trimmed(library()), settings.firefly.line_mask, vdisp)


def solve(one: Spectrum, vdisp: float = 150.0, settings: Stellar | None = None) -> Fitted:
    """The clean mode's solution."""
    settings = settings or Stellar()
    return CleanFit(matched(one, vdisp, settings), settings.firefly).solve()
