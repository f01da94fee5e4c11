"""Both codes on galaxies of the simulated sky with known populations: bias, scatter, coverage of stated errors.

    python benchmarks/stellar_truth.py --templates emiles.npz --m11 m11_miles.npz --out benchmarks/stellar_truth.json

Galaxies are drawn as the mock survey draws them, with its flux calibration errors and the Milky Way's dust;
the noise of each is scaled to four signals to noise (median of the r band, a native pixel); then they are
smoothed and resampled as `sanspec prepare` does and fitted at their true redshift. The spectra are made of
E-MILES: FIREFLY, which has M11 populations, also bears the mismatch of the libraries. Numbers are of a
simulated sky.
"""

import argparse
import dataclasses
import os
import sys
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

import numpy as np
import pandas as pd
from measuring import about
from tqdm import tqdm

from sanspec import store
from sanspec.config import Firefly, Ppxf, Prepare, Stellar
from sanspec.mock import expected as truth
from sanspec.mock import galaxy, stars
from sanspec.spectra.native import NativeBlock
from sanspec.stages import ppxf
from sanspec.stellar import results
from sanspec.stellar.firefly import fit as firefly
from sanspec.stellar.library import open_library
from sanspec.stellar.spectra import Spectrum

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from spectra_to_fit import smoothed

DRAWS = {"ppxf": 50, "firefly": 10}
SNR = (5.0, 10.0, 20.0, 50.0)
CLASSES = {"E": "elliptical", "S0": "lenticular", "S": "spiral", "Irr": "irregular"}
R_BAND = (5600.0, 6900.0)
STATED = {"ppxf": "std", "firefly": "err"}  # what each code states as its 1 sigma error


def main() -> None:
    """Simulate, fit, score, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("templates", "m11", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10, help="galaxies of each class")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    settings = Stellar(
        ppxf=Ppxf(draws=DRAWS["ppxf"]), firefly=Firefly(draws=DRAWS["firefly"]), seed=args.seed
    )
    emiles = open_library(args.templates)
    observations = simulate(emiles, args.count, args.seed)
    expected = truth.expected(pd.DataFrame([truth_row(*item) for item in observations]), emiles)
    spectra = [(snr, s) for snr in SNR for s in noisy(observations, snr, args.seed)]
    tables = fit_all([s for _, s in spectra], args, settings)
    kinds = np.array([CLASSES[seen.galaxy.kind] for _ in SNR for _, seen in observations])
    levels = np.array([snr for snr, _ in spectra])
    numbers = {code: score(table, expected, kinds, levels, code) for code, table in tables.items()}
    what = (
        "populations of the simulated sky, both codes: bias, scatter, coverage of the stated 1 sigma errors"
    )
    sizes = {"galaxies": len(observations), "spectra": len(spectra), "draws": DRAWS}
    seconds = {code: float(table["seconds"].sum()) for code, table in tables.items()}
    store.write_json(
        args.out, about(what, simulated=True) | sizes | {"cpu_seconds": seconds, "codes": numbers}
    )


def simulate(emiles, count: int, seed: int) -> list[tuple[int, galaxy.Observation]]:
    """`count` galaxies of each class; the i-th is drawn from [seed, i]."""
    tools = galaxy.Instruments(stars.prepare(emiles), stars.filter_weights(), 0.05, 0.15)
    left, found = dict.fromkeys(CLASSES, count), []
    for i in range(100 * count):
        seen = tools.simulate(np.random.default_rng([seed, i]))
        if left[seen.galaxy.kind] > 0:
            left[seen.galaxy.kind] -= 1
            found.append((i + 1, seen))
        if not any(left.values()):
            break
    return found


def truth_row(number: int, seen: galaxy.Observation) -> dict:
    """The columns of the truth table that `truth.expected` reads."""
    row = dataclasses.asdict(seen.galaxy)
    for part in ("bulge", "disk"):
        row |= {f"{part}_{name}": value for name, value in row.pop(part).items()}
    return row | {"specobjid": number, "fibre_vdisp": seen.fibre.vdisp}


def noisy(observations: list, snr: float, seed: int) -> list[Spectrum]:
    """The galaxies at one signal to noise, smoothed and resampled."""
    pixels = max(seen.spectrum.flux.size for _, seen in observations) + 64
    first = min(seen.spectrum.first for _, seen in observations)
    flux, ivar, wdisp = (np.zeros((len(observations), pixels)) for _ in range(3))
    for row, (number, seen) in enumerate(observations):
        one, start = seen.spectrum, seen.spectrum.first - first
        use = slice(start, start + one.flux.size)
        error = np.where(one.ivar > 0, np.where(one.ivar > 0, one.ivar, 1.0) ** -0.5, np.nan)
        inside = (one.wave > R_BAND[0]) & (one.wave < R_BAND[1])
        error *= np.nanmedian((one.model / error)[inside]) / snr
        rng = np.random.default_rng([seed, number, int(snr)])
        drawn = one.model + error * rng.standard_normal(error.size)
        good = np.isfinite(error)
        flux[row, use], wdisp[row, use] = np.where(good, drawn, 0.0), one.wdisp
        ivar[row, use] = np.where(good, np.where(good, error, 1.0) ** -2, 0.0)
    about = [(number, seen.galaxy.z) for number, seen in observations]
    warn = np.zeros(len(observations), np.uint32)
    native = NativeBlock(flux, ivar, wdisp, warn, first)
    a_r = [galaxy.R_EXTINCTION * seen.galaxy.mw_ebv for _, seen in observations]
    return smoothed(native, about, Prepare(), a_r)


def fit_all(spectra: list[Spectrum], args: argparse.Namespace, settings: Stellar) -> dict[str, pd.DataFrame]:
    """Tables of both codes, rows in the order of the spectra; FIREFLY at the dispersions of pPXF."""
    library = ppxf.regular(open_library(args.templates, settings.ppxf.imf), settings)
    m11 = open_library(args.m11)
    rows = {"ppxf": [], "firefly": []}
    for spectrum in tqdm(spectra, mininterval=1.0):
        row, _ = ppxf.fit(spectrum, library, settings, True)
        rows["ppxf"].append(row)
        rows["firefly"].append(firefly.fit(spectrum, m11, settings, row["vdisp"], True)[0])
    return {code: results.assemble(found) for code, found in rows.items()}


def score(table: pd.DataFrame, expected: pd.DataFrame, kinds, levels, code: str) -> dict:
    """Scores by signal-to-noise ratio, and within each by class; for FIREFLY also with the bootstrap's errors."""
    table = table.assign(order=np.arange(len(table)))
    linear = code == "firefly"
    joined = truth.residuals(table, expected, linear, STATED[code])
    groups = {}
    for snr in SNR:
        groups[f"snr_{snr:g}"] = levels == snr
        groups |= {f"snr_{snr:g}_{kind}": (levels == snr) & (kinds == kind) for kind in CLASSES.values()}
    groups["snr_30_up"] = levels >= 30
    failed = int(np.isnan(table["chi2"]).sum())
    found = {"stated_error": STATED[code], "failed": failed, "scores": truth.summary(joined, groups)}
    if code == "firefly":
        again = truth.residuals(table, expected, linear, "std")
        found["bootstrap_scores"] = truth.summary(
            again, {k: v for k, v in groups.items() if k.count("_") == 1}
        )
    return found


if __name__ == "__main__":
    main()
