"""The fast bootstrap against full refits by pPXF itself, on the same draws of real SDSS spectra.

    python benchmarks/ppxf_bootstrap.py --spectra DATA/spectra/window_005_015 --templates emiles.npz
        --out benchmarks/ppxf_bootstrap.json

Three ways, in turns, through the same spectra and draws: pPXF's own minimiser (`capfit`, the reference), the same full
refits by variable projection, and the linearised fast mode as `sanspec ppxf` runs it, falls back included.
Seconds are process CPU seconds on one thread; a draw's share of the set-up is counted. Two forms: `prepared`,
smoothed and resampled as a run does and signs flipped in blocks of one FWHM (the headline numbers); `native`,
native pixels and independent signs.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

from measuring import about, timed
from tqdm import tqdm

from sanspec import store
from sanspec.config import Ppxf, Prepare, Stellar
from sanspec.stellar.bootstrap import bootstrap
from sanspec.stellar.library import Library, open_library
from sanspec.stellar.ppxf_fit import regularised_fit
from sanspec.stellar.spectra import Spectrum

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from spectra_to_fit import from_file, from_prepared

JUDGED = ("log_age_light", "metal_light", "ebv_stars")
ALSO = ("log_age_mass", "metal_mass", "vdisp", "v", "ml", "log_mass")
FLIPS = {"prepared": "block", "native": "independent"}
SPECTRA = 3012  # of the paper: 1506 pairs


def main() -> None:
    """Fit, draw, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("spectra", "templates", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--prepared", type=int, default=12, help="spectra, smoothed and resampled")
    parser.add_argument("--native", type=int, default=6, help="of these, how many also at native pixels")
    args = parser.parse_args()
    paths = sorted(args.spectra.rglob("spec-*.fits"))[: args.prepared]
    results = {}
    for form, flips in FLIPS.items():
        settings = Stellar(ppxf=Ppxf(draws=args.draws, flips=flips))
        library = open_library(args.templates, settings.ppxf.imf).cut(age_max=settings.ppxf.age_max)
        native = [from_file(path) for path in paths[: args.native]]
        spectra = native if form == "native" else from_prepared(paths, Prepare())
        rows = [compare(s, library, settings) for s in tqdm(spectra, desc=form, mininterval=1.0)]
        results[form] = summary(rows, args.draws) | {"rows": rows}
    headline = {key: value for key, value in results["prepared"].items() if key != "rows"}
    what = "pPXF's wild bootstrap on real SDSS spectra: fast mode against full refits by pPXF's own minimiser"
    store.write_json(
        args.out, about(what, simulated=False) | headline | {"draws": args.draws, "forms": results}
    )


def compare(spectrum: Spectrum, library: Library, settings: Stellar) -> dict:
    """Seconds and statistics of one spectrum."""
    first = timed(lambda: regularised_fit(spectrum, library, settings))
    solution = first.result
    runs = {
        "first_capfit": timed(lambda: regularised_fit(spectrum, library, settings, "capfit")),
        "first": first,
        "fast": timed(lambda: bootstrap(solution, settings, "fast")),
        "full_capfit": timed(lambda: bootstrap(solution, settings, "full", "capfit")),
        "full_projection": timed(lambda: bootstrap(solution, settings, "full", "projection")),
    }
    fast, full, ours = (runs[name].result for name in ("fast", "full_capfit", "full_projection"))
    seconds = {name: run.cpu for name, run in runs.items()}
    wall = {name: run.wall for name, run in runs.items()}
    row = {"specobjid": spectrum.specobjid, "refits": fast.refits, "seconds": seconds, "wall": wall}
    for name in JUDGED + ALSO:
        reference = full.values[name]
        sigma = reference.std(ddof=1)
        row[name] = {"mean": reference.mean(), "sigma": sigma}
        for mode, draws in (("fast", fast), ("projection", ours)):
            delta = draws.values[name].mean() - reference.mean()
            ratio = draws.values[name].std(ddof=1) / sigma
            row[name][mode] = {"delta": delta, "delta_over_sigma": abs(delta) / sigma, "std_ratio": ratio}
    return row


def summary(rows: list[dict], draws: int) -> dict:
    """The required figures, and the CPU hours of a run of the paper's size."""
    total, wall = (
        {key: sum(row[kind][key] for row in rows) for key in rows[0][kind]} for kind in ("seconds", "wall")
    )
    judged = [row[name]["fast"] for row in rows for name in JUDGED]
    by_name = {name: max(abs(row[name]["fast"]["delta"]) for row in rows) for name in JUDGED}
    per_spectrum = (total["first"] + total["fast"]) / len(rows)
    return {
        "spectra": len(rows),
        "speed_per_draw": total["full_capfit"] / total["fast"],
        "speed_per_draw_least": min(r["seconds"]["full_capfit"] / r["seconds"]["fast"] for r in rows),
        "speed_end_to_end": (total["first_capfit"] + total["full_capfit"]) / (total["first"] + total["fast"]),
        "speed_end_to_end_wall": (wall["first_capfit"] + wall["full_capfit"])
        / (wall["first"] + wall["fast"]),
        "max_dmean_over_sigma": max(item["delta_over_sigma"] for item in judged),
        "max_abs_dmean": by_name,
        "std_ratio_min": min(item["std_ratio"] for item in judged),
        "std_ratio_max": max(item["std_ratio"] for item in judged),
        "refits": sum(row["refits"] for row in rows),
        "refit_fraction": sum(row["refits"] for row in rows) / (len(rows) * draws),
        "seconds_first_fit": total["first"] / len(rows),
        "seconds_per_fast_draw": total["fast"] / (len(rows) * draws),
        "seconds_per_full_draw_capfit": total["full_capfit"] / (len(rows) * draws),
        "seconds_per_full_draw_projection": total["full_projection"] / (len(rows) * draws),
        "cpu_hours_of_3012_spectra": per_spectrum * SPECTRA / 3600,
    }


if __name__ == "__main__":
    main()
