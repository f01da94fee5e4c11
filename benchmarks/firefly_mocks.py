"""How well FIREFLY's clean mode finds what was put in: mixtures of one to three populations, S/N 5-50.

SANSPEC_TEST_DATA=FOLDER python benchmarks/firefly_mocks.py [--emiles results/raw/templates/emiles.npz]

writes benchmarks/firefly_mocks.json: for mocks made of the fitting library itself, with white noise and with
noise correlated as that of prepared spectra, and for mocks of E-MILES populations, by S/N: bias, 68th
percentile of |error|, and the part of the mocks that lies within the stated error. With --calibrate it prints
the spreads from which `clean.FACTORS` was made instead.
"""

import argparse
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from measuring import about

from sanspec.config import Stellar
from sanspec.physics.dust import calzetti, transmission
from sanspec.spectra import grid
from sanspec.stellar.firefly.clean import CleanFit
from sanspec.stellar.firefly.fit import draws
from sanspec.stellar.firefly.match import match, oldest, trimmed
from sanspec.stellar.library import Library, open_library
from sanspec.stellar.spectra import Spectrum, solar_luminosity
from sanspec.store import write_json

FWHM = 5000 / 1500  # Angstrom, observed: that of prepared spectra
CORRELATED = (
    0.8  # pixels: width of a Gaussian with nearly the autocorrelation of prepared spectra (0.68, 0.21)
)
SNR = (5.0, 50.0)  # per Angstrom, log-uniform
BINS = ((5, 10), (10, 20), (20, 30), (30, 50), (5, 50))
NAMES = ("log_age_light", "metal_light", "ebv_stars", "log_mass_formed")
CALIBRATION = range(1000, 1400)  # seeds from which the factors of clean.FACTORS come; never tested on


@dataclass(frozen=True)
class MockSpectrum:
    """A spectrum, the velocity dispersion [km/s] it was made with, its S/N, and the true quantities by
    name.
    """

    spectrum: Spectrum
    vdisp: float
    snr: float
    truth: dict[str, float]


def draw(seed: int, library: Library, settings: Stellar, correlated: float = 0.0) -> MockSpectrum:
    """Mock `seed`: one to three populations drawn evenly from the library, Dirichlet shares of the light,
    E(B-V) 0-0.5.

    Redshift 0.05-0.15, velocity dispersion 50-300 km/s, on the product grid; correlated: width of the noise's
    kernel [pixels].
    """
    rng = np.random.default_rng([11, seed])
    z, vdisp, count = rng.uniform(0.05, 0.15), rng.uniform(50, 300), rng.integers(1, 4)
    snr = 10 ** rng.uniform(*np.log10(SNR))
    ones = np.ones(grid.WAVE.size)
    flat = Spectrum(seed, "observed", z, grid.WAVE, ones, ones, ones > 0, FWHM * ones, 1.0)
    picked = rng.choice(np.flatnonzero(library.age <= oldest(z)), count, replace=False)
    shares, ebv = rng.dirichlet(np.ones(count)), rng.uniform(0, 0.5)
    matched = match(flat, subset(library, picked), settings.firefly.line_mask, vdisp)
    unlit = np.median(matched.models[:, matched.used], axis=1)
    dimmed = matched.models * transmission(ebv, calzetti(matched.wave))
    light = shares * np.median(dimmed[:, matched.used], axis=1) / unlit
    flux = (shares / unlit) @ dimmed
    level = np.median(flux[matched.used])
    spread = np.full(grid.WAVE.size, np.nan)
    spread[matched.span] = flux / level
    spectrum = replace(
        flat, flux=spread + noise(rng, correlated) / snr, noise=ones / snr, mask=np.isfinite(spread)
    )
    mass = (shares / unlit).sum() / level * (solar_luminosity(z) * flat.norm)
    light /= light.sum()
    truth = {
        "log_age_light": np.log10(light @ library.age[picked]) + 9,
        "metal_light": np.log10(light @ 10 ** library.metal[picked]),
        "ebv_stars": ebv,
        "log_mass_formed": np.log10(mass),
    }
    return MockSpectrum(spectrum, vdisp, snr, truth)


def subset(library: Library, places: np.ndarray) -> Library:
    """Some populations of a library."""
    kept = {name: getattr(library, name)[places] for name in ("age", "metal", "mass")}
    return replace(library, flux=library.flux[:, places], shape=None, **kept)


def noise(rng: np.random.Generator, width: float) -> np.ndarray:
    """Unit noise on the product grid, smoothed by a Gaussian of `width` pixels."""
    reach = 8
    raw = rng.standard_normal(grid.WAVE.size + 2 * reach)
    kernel = (
        np.arange(-reach, reach + 1) == 0
        if width == 0
        else np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    )
    return np.convolve(raw, kernel / np.sqrt((kernel**2.0).sum()), "valid")


def fit_mock(mock: MockSpectrum, library: Library, settings: Stellar, with_draws: bool) -> dict:
    """Errors made, errors stated, and with draws the bootstrap's standard deviations."""
    matched = match(mock.spectrum, trimmed(library), settings.firefly.line_mask, mock.vdisp)
    solver = CleanFit(matched, settings.firefly)
    found = solver.solve()
    made = {name: found.values[name] - mock.truth[name] for name in NAMES}
    drawn = draws(matched, solver, found, settings)[0] if with_draws else {}
    return {
        "snr": mock.snr,
        "made": made,
        "stated": {name: found.errors[name] for name in NAMES},
        "boot": {name: np.std(drawn[name], ddof=1) for name in NAMES if drawn},
    }


def summary(rows: list[dict]) -> list[dict]:
    """Bias, 68th percentile of |error| and coverage, by S/N."""
    snr = np.array([row["snr"] for row in rows])
    found = []
    for low, high in BINS:
        inside = [row for row, value in zip(rows, snr) if low <= value < high]
        entry = {"snr": [low, high], "mocks": len(inside)}
        for name in NAMES:
            made, stated = (np.array([row[key][name] for row in inside]) for key in ("made", "stated"))
            entry[name] = {
                "bias": round(float(np.median(made)), 4),
                "p68": round(float(np.percentile(np.abs(made), 68)), 4),
                "coverage": round(float(np.mean(np.abs(made) < stated)), 3),
            }
            if inside and all(row["boot"] for row in inside):
                boot = np.array([row["boot"][name] for row in inside])
                entry[name]["coverage_bootstrap"] = round(float(np.mean(np.abs(made) < boot)), 3)
        found.append(entry)
    return found


def run(
    source: Library, library: Library, settings: Stellar, seeds: range, correlated=0.0, with_draws=0
) -> dict:
    """Summary of the mocks `seeds` made of `source`; the first `with_draws` of them get a bootstrap."""
    started = time.process_time()
    mocks = [draw(seed, source, settings, correlated) for seed in seeds]
    rows = [fit_mock(mock, library, settings, number < with_draws) for number, mock in enumerate(mocks)]
    print(f"{len(rows)} mocks of {source.name}: {time.process_time() - started:.0f} CPU s")
    result = {"mocks": len(rows), "by_snr": summary(rows)}
    if with_draws:
        result["bootstrap"] = summary(rows[:with_draws])[-1]
    return result


def calibrate(library: Library, settings: Stellar) -> None:
    """Print, by S/N, the coverage that the present factors give on the mocks set apart for them."""
    half = len(CALIBRATION) // 2
    for seeds, width in ((CALIBRATION[:half], 0.0), (CALIBRATION[half:], CORRELATED)):
        for entry in run(trimmed(library), library, settings, seeds, width)["by_snr"]:
            print(
                width, entry["snr"], {name: (entry[name]["p68"], entry[name]["coverage"]) for name in NAMES}
            )


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--templates", type=Path, default=Path(os.environ.get("SANSPEC_TEST_DATA", "")) / "firefly"
    )
    parser.add_argument("--emiles", type=Path, default=Path("results/raw/templates/emiles.npz"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--mocks", type=int, default=400)
    parser.add_argument("--calibrate", action="store_true")
    args = parser.parse_args()
    settings = Stellar()
    library = open_library(args.templates, "ss" if args.templates.is_dir() else "")
    if args.calibrate:
        return calibrate(library, settings)
    emiles = open_library(args.emiles, "Salpeter, unimodal 1.30").cut(3540.0, 7500.0)
    half = args.mocks // 2
    write_json(
        args.out,
        about(
            "FIREFLY, clean, on mixtures of 1-3 populations, S/N per A 5-50; p68: of |error|", simulated=True
        )
        | {
            "settings": settings.firefly.model_dump(mode="json"),
            "library": {"name": library.name, "imf": library.imf} | trimmed(library).limits(),
            "white": run(trimmed(library), library, settings, range(args.mocks), with_draws=60),
            "correlated": run(trimmed(library), library, settings, range(half), CORRELATED),
            "emiles": run(emiles, library, settings, range(half)),
        },
    )


if __name__ == "__main__":
    main()
