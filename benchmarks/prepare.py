"""Speed of preparing spectra against a per-object loop of astropy and scipy that does the very same.

    python benchmarks/prepare.py [--spectra FOLDER] [--count 96] [--out benchmarks/prepare.json]

Both read spec files, smooth to constant FWHM, resample, propagate the covariance, normalise, take logarithms
and the coarse version. Without a folder it writes spectra of its own. `ratio` is of spectra per second of
wall time, ours with every core the process may use and the loop with one; `ratio_cpu_seconds` counts the
processor time of both.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import numba
import numpy as np
import scipy
from astropy.io import fits
from scipy import sparse
from scipy.special import ndtr

import sanspec
from sanspec.config import Prepare
from sanspec.physics.constants import FWHM_PER_SIGMA
from sanspec.spectra import grid, linespread, preparing
from sanspec.spectra.native import NATIVE_FIRST, NATIVE_PIXELS
from sanspec.survey import specfile

SETTINGS = Prepare()
EDGES = grid.loglam_edges(NATIVE_FIRST, NATIVE_PIXELS)
WIDTH = np.diff(EDGES)
LOGLAM = 1e-4 * np.arange(NATIVE_FIRST, NATIVE_FIRST + NATIVE_PIXELS)
COARSE = np.log10(grid.coarse_wave())
BEAT = linespread.rebinning_beat(NATIVE_FIRST, NATIVE_PIXELS)
ROUNDS = 3


def loop(paths: list[Path]) -> list[dict]:
    """Every spectrum by itself."""
    return [one(path) for path in paths]


def one(path: Path) -> dict:
    """One spectrum with astropy and scipy: the same products as preparing.prepare_spectra."""
    flux, ivar, wdisp, z = read(path)
    native = (np.interp(LOGLAM, LOGLAM[wdisp > 0], wdisp[wdisp > 0]) * WIDTH) ** 2
    rebinning = (WIDTH**2 + 1) / 12
    blur = np.maximum((SETTINGS.fwhm / FWHM_PER_SIGMA) ** 2 - native - rebinning, 0)
    good = ivar > 0
    operator = blurred_boxes(blur) @ sparse.diags_array(good.astype(float))
    coverage = operator.sum(axis=1)
    operator = (sparse.diags_array(1 / np.where(coverage > 0, coverage, 1)) @ operator).tocsr()
    smooth = operator @ flux
    covariance = (
        operator @ sparse.diags_array(np.where(good, 1 / np.where(good, ivar, 1), 0)) @ operator.T
    ).tocsr()
    use = coverage >= grid.COVERED
    variance = np.where(use, covariance.diagonal(), 0)
    at, width, blurred, beat = (np.interp(COARSE, LOGLAM, x) for x in (native + rebinning, WIDTH, blur, BEAT))
    lsf = FWHM_PER_SIGMA * np.sqrt(at + blurred + beat * np.exp(-2 * np.pi**2 * blurred / width**2))
    return finish(smooth, variance, use, z) | {"correlation": correlations(covariance, use), "lsf": lsf}


def read(path: Path) -> tuple:
    """Columns of a spec file on the common window."""
    flux, ivar, wdisp = np.zeros((3, NATIVE_PIXELS))
    with fits.open(path, memmap=False) as hdus:
        table, z = hdus[1].data, float(hdus[2].data["Z"][0])
        index = np.rint(1e4 * table["loglam"].astype(float)).astype(int) - NATIVE_FIRST
        good = (
            (table["ivar"] > 0)
            & np.isfinite(table["flux"])
            & (table["and_mask"] & int(specfile.MASKED_BITS) == 0)
        )
        flux[index], ivar[index] = np.where(good, table["flux"], 0), np.where(good, table["ivar"], 0)
        wdisp[index] = table["wdisp"]
    return flux, ivar, wdisp, z


def blurred_boxes(blur: np.ndarray) -> sparse.csr_array:
    """T: each native pixel's box with blurred edges, integrated over each product bin."""
    bins = grid.bin_edges(grid.WAVE)
    first = np.maximum(np.searchsorted(EDGES, bins[:-1] - 7.5) - 1, 0)
    columns = np.minimum(first[:, None] + np.arange(19), NATIVE_PIXELS - 1)
    padded = np.concatenate([blur[:1], blur, blur[-1:]])
    sigma = np.sqrt(np.maximum(0.5 * (padded[1:] + padded[:-1]), 1e-12))
    high, low = bins[1:, None], bins[:-1, None]
    lower = ramp(high - EDGES[columns], sigma[columns]) - ramp(low - EDGES[columns], sigma[columns])
    columns_up = columns + 1
    upper = ramp(high - EDGES[columns_up], sigma[columns_up]) - ramp(
        low - EDGES[columns_up], sigma[columns_up]
    )
    weights = lower - upper
    weights[np.abs(weights) < 1e-9] = 0
    rows = np.repeat(np.arange(len(grid.WAVE)), columns.shape[1])
    return sparse.csr_array((weights.ravel(), (rows, columns.ravel())), shape=(len(grid.WAVE), NATIVE_PIXELS))


def ramp(x: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """max(x, 0) blurred by a Gaussian."""
    u = x / sigma
    return sigma * (u * ndtr(u) + np.exp(-0.5 * u**2) / np.sqrt(2 * np.pi))


def correlations(covariance: sparse.csr_array, use: np.ndarray) -> np.ndarray:
    """Noise correlation at the lags that are stored."""
    sigma = np.where(use, np.sqrt(covariance.diagonal()), 0)
    result = np.zeros((preparing.noise_lags(SETTINGS), len(sigma)))
    for lag, row in enumerate(result, start=1):
        product = sigma[:-lag] * sigma[lag:]
        row[:-lag] = np.where(product > 0, covariance.diagonal(lag) / np.where(product > 0, product, 1), 0)
    return result


def finish(flux: np.ndarray, variance: np.ndarray, use: np.ndarray, z: float) -> dict:
    """Normalised flux, its ivar, logarithm and coarse version."""
    pixel = np.arange(len(flux))
    flux = np.interp(pixel, pixel[use], flux[use])
    window = use & (np.abs(grid.WAVE / (1 + z) - 6925) <= 25)
    norm = flux[window].mean()
    flux, ivar = flux / norm, np.where(use, norm**2 / np.where(use, variance, 1), 0)
    mask = use & (flux > SETTINGS.log_floor)
    log_flux = np.interp(pixel, pixel[mask], np.log(flux[mask]))
    coarse = np.array(
        [
            log_flux[k : k + 8][mask[k : k + 8]].mean()
            if mask[k : k + 8].any()
            else log_flux[k : k + 8].mean()
            for k in range(0, len(flux), 8)
        ]
    )
    return {"flux": flux, "ivar": ivar, "norm": norm, "log_flux": log_flux, "coarse_log_flux": coarse}


def ours(paths: list[Path]) -> preparing.PreparedBlock:
    """All spectra at once."""
    native = specfile.read_many(paths)
    return preparing.prepare_spectra(native, np.array([about.z for about in native.about]), SETTINGS)


def differences(block: preparing.PreparedBlock, rows: list[dict]) -> dict[str, float]:
    """Largest difference of each product, relative to its median size."""
    found = {}
    for name in rows[0]:
        theirs = np.array([row[name] for row in rows], dtype=float)
        scale = np.median(np.abs(theirs[theirs != 0])) if name != "correlation" else 1.0
        found[name] = float(np.max(np.abs(getattr(block, name) - theirs)) / scale)
    return found


def write_spectra(folder: Path, count: int) -> list[Path]:
    """Spec-lite files of galaxies at z = 0.1 with noise, bad pixels and an ordinary LSF."""
    rng, pixel = np.random.default_rng(0), np.arange(35800, 39640)
    wave = 10 ** (1e-4 * pixel)
    paths = []
    for number in range(count):
        ivar = np.where(rng.random(len(pixel)) < 0.01, 0, 4.0)
        flux = (
            20 * (wave / 6500) ** 0.5
            + 40 * np.exp(-0.5 * ((wave - 7221) / 3) ** 2)
            + 0.5 * rng.normal(size=len(pixel))
        )
        columns = {
            "flux": flux,
            "loglam": 1e-4 * pixel,
            "ivar": ivar,
            "and_mask": 0 * pixel,
            "or_mask": 0 * pixel,
        }
        columns |= {
            "wdisp": np.interp(wave, [4000, 5800, 6100, 8500], [1.05, 0.85, 0.95, 0.76]),
            "sky": 0 * wave,
            "model": flux,
        }
        kinds = ["J" if name.endswith("mask") else "E" for name in columns]
        table = [
            fits.Column(name, kind, array=values) for (name, values), kind in zip(columns.items(), kinds)
        ]
        about = {"PLATE": 1, "MJD": 52000, "FIBERID": number, "ZWARNING": 0}
        about |= {f"OTHER{k}": 0 for k in range(118)}  # SDSS files have 126 columns here
        row = [fits.Column(name, "J", array=[value]) for name, value in about.items()]
        row += [fits.Column(name, "E", array=[value]) for name, value in {"Z": 0.1, "Z_ERR": 1e-5}.items()]
        row += [
            fits.Column(name, "8A", array=[value])
            for name, value in {"CLASS": "GALAXY", "RUN2D": "26"}.items()
        ]
        paths.append(folder / f"spec-0001-52000-{number:04d}.fits")
        tables = [fits.BinTableHDU.from_columns(table), fits.BinTableHDU.from_columns(row)]
        fits.HDUList([fits.PrimaryHDU(), *tables]).writeto(paths[-1])
    return paths


def rate(work, paths: list[Path], clock) -> float:
    """Spectra per second of the best of three rounds by `clock`."""
    seconds = []
    for _ in range(ROUNDS):
        begin = clock()
        work(paths)
        seconds.append(clock() - begin)
    return len(paths) / min(seconds)


def main() -> None:
    """Measure, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=Path, help="folder of spec files; default: written for the purpose")
    parser.add_argument("--count", type=int, default=96, help="spectra")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = (
            sorted(args.spectra.rglob("spec-*.fits"))[: args.count]
            if args.spectra
            else write_spectra(Path(folder), args.count)
        )
        numbers = compare(paths)
    args.out.write_text(json.dumps(numbers, indent=1) + "\n")
    print(json.dumps(numbers, indent=1))


def compare(paths: list[Path]) -> dict:
    """Rates, ratios, and that both did the same."""
    few = paths[: max(len(paths) // 4, 8)]
    block, rows = ours(few), loop(few)
    different = differences(block, rows)
    assert max(different.values()) < 1e-4, different
    wall, cpu = time.perf_counter, time.process_time
    fast, slow = rate(ours, paths, wall), rate(loop, few, wall)
    fast_cpu, slow_cpu = rate(ours, paths, cpu), rate(loop, few, cpu)
    return {
        "ratio": round(fast / slow, 1),
        "ratio_cpu_seconds": round(fast_cpu / slow_cpu, 1),
        "spectra_per_second": round(fast, 1),
        "loop_spectra_per_second": round(slow, 2),
        "spectra_per_cpu_second": round(fast_cpu, 1),
        "loop_spectra_per_cpu_second": round(slow_cpu, 2),
        "largest_relative_difference": {name: float(f"{value:.2g}") for name, value in different.items()},
        "spectra": len(paths),
        "threads": numba.config.NUMBA_NUM_THREADS,
        "machine": {
            "cpus": os.cpu_count(),
            "processor": platform.machine(),
            "python": platform.python_version(),
        },
        "versions": {"sanspec": sanspec.__version__, "numpy": np.__version__, "scipy": scipy.__version__},
    }


if __name__ == "__main__":
    main()
