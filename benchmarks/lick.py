"""Speed of the spectral indices: 3,012 spectra x 27 indices at once, against a loop of pyphot over objects.

    python benchmarks/lick.py [--templates results/raw/templates/emiles.npz] [--out benchmarks/lick.json]

Both degrade every spectrum from its own line spread to the Lick resolution and measure the 25 Lick indices at its
redshift. Ours also propagates the noise covariance into errors and adds D4000 and Dn4000; pyphot has neither.
The spectra are E-MILES populations, redshifted, with noise. Both are measured in turn, round by round, in
processor time and in wall time: the machine may be shared, so the ratio is that of processor time.
"""

import argparse
import json
import os
import platform
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np

from sanspec.config import Lick
from sanspec.features import absorption, lick
from sanspec.physics.air import air_to_vac, vac_to_air
from sanspec.spectra import grid
from sanspec.spectra.spectra import Spectra
from sanspec.stellar.library import open_library

COUNT, LOOPED, ROUNDS = 3012, 40, 3  # spectra; those of the loop; rounds
LAGS, FWHM, SNR = 10, 10 / 3, 25.0
LIMIT = 30.0  # seconds that all spectra may take


def sample(path: Path) -> Spectra:
    """Redshifted populations at the resolution of prepared spectra, with correlated noise."""
    library, rng = open_library(path), np.random.default_rng(0)
    wave = air_to_vac(library.lam)
    flux = library.flux.T
    z = rng.uniform(0.05, 0.15, COUNT)
    rows = [np.interp(grid.WAVE / (1 + shift), wave, flux[rng.integers(len(flux))]) for shift in z]
    rows = np.array(rows) / np.mean(rows, axis=1, keepdims=True)
    kernel = np.exp(-0.5 * np.arange(LAGS + 1) ** 2 / 2.0)
    correlation = np.broadcast_to(kernel[1:, None], (COUNT, LAGS, rows.shape[1])).astype(np.float16)
    rows += rng.standard_normal(rows.shape) * rows / SNR
    noise = SNR**2 / rows**2, correlation, np.full(rows.shape, FWHM)
    ids, warn = np.arange(COUNT).astype(np.uint64), np.zeros(COUNT, np.uint32)
    return Spectra("simulated", ids, z, rows, *noise, np.ones(COUNT), warn)


def ours(spectra: Spectra) -> dict[str, np.ndarray]:
    """All 27 indices of all spectra, with errors."""
    return {name: one.value for name, one in absorption.indices_of(spectra, Lick()).items()}


def loop(spectra: Spectra) -> dict[str, np.ndarray]:
    """The 25 indices of the first spectra by pyphot's own functions, one object and one index after another."""
    from pyphot import LickLibrary, reduce_resolution

    library, found = LickLibrary(), {name: [] for name in lick.definitions()}
    for flux, z in zip(spectra.flux[:LOOPED], spectra.z[:LOOPED]):
        rest = vac_to_air(grid.WAVE / (1 + z))
        degraded = np.asarray(reduce_resolution(rest, flux, fwhm0=FWHM / (1 + z)))
        for name in found:
            value = library[lick.NAMES[name]].get(rest, degraded[None], nocheck=True)
            found[name].append(float(np.ravel(value)[0]))
    return {name: np.array(values) for name, values in found.items()}


def timed(function, spectra: Spectra) -> tuple[float, float, dict]:
    """Processor and wall seconds of a call, and what it gives."""
    processor, wall = time.process_time(), time.perf_counter()
    result = function(spectra)
    return time.process_time() - processor, time.perf_counter() - wall, result


def processor() -> str:
    """Model of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")


def run(path: Path) -> dict:
    """Rounds of both in turn; the medians and their ratio."""
    spectra = sample(path)
    few = spectra[:2]
    ours(few), loop(few)  # compiling and importing are no part of it
    rounds = [(timed(ours, spectra), timed(loop, spectra)) for _ in range(ROUNDS)]
    cpu, wall = (np.median([[one[kind] for one in pair] for pair in rounds], axis=0) for kind in (0, 1))
    mine, theirs = rounds[-1][0][2], rounds[-1][1][2]
    each = cpu / (COUNT, LOOPED)
    names = ("mgb", "fe5270", "fe5335", "hbeta")
    agreement = {name: float(np.nanmedian(theirs[name] / mine[name][:LOOPED])) for name in names}
    return {
        "what": "3,012 spectra x 27 indices with errors, against a per-object loop of pyphot (25, no errors)",
        "date": date.today().isoformat(),
        "simulated": True,
        "spectra": COUNT,
        "indices": len(mine),
        "seconds_cpu": round(float(cpu[0]), 2),
        "seconds_wall": round(float(wall[0]), 2),
        "limit_seconds": LIMIT,
        "holds": bool(cpu[0] <= LIMIT),
        "loop_spectra": LOOPED,
        "loop_seconds_cpu_per_spectrum": round(float(each[1]), 4),
        "seconds_cpu_per_spectrum": round(float(each[0]), 5),
        "ratio_cpu_seconds": round(float(each[1] / each[0]), 1),
        "ratio_wall": round(float(wall[1] / LOOPED / (wall[0] / COUNT)), 1),
        "rounds": ROUNDS,
        "measured": "both in turn in the same run, median of the rounds; the machine was shared",
        "median_pyphot_over_ours": {name: round(value, 4) for name, value in agreement.items()},
        "machine": {
            "cores": os.cpu_count(),
            "cores_used": 1,
            "processor": processor(),
            "python": platform.python_version(),
        },
        "versions": {name: version(name) for name in ("sanspec", "numpy", "numba", "pyphot")},
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--templates", type=Path, default=Path("results/raw/templates/emiles.npz"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/lick.json"))
    args = parser.parse_args()
    args.out.write_text(json.dumps(run(args.templates), indent=1) + "\n")


if __name__ == "__main__":
    main()
