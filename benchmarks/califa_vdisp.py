"""Velocity dispersions of real nearby galaxies: pPXF as `sanspec ppxf` runs it, against the SDSS pipeline's VDISP.

    python benchmarks/califa_vdisp.py --spectra DATA/spectra/califa_lowz --templates emiles.npz
        --out benchmarks/califa_vdisp.json

Each spectrum is fitted twice: at its native resolution, and smoothed and resampled as `sanspec prepare` does.
Required: median ratio 0.95-1.05; 90 % within 3 joint errors + 10 km/s; V within 30 km/s of the pipeline's
redshift.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from measuring import about
from tqdm import tqdm

from sanspec import store
from sanspec.config import Prepare, Stellar
from sanspec.errors import reasons
from sanspec.stellar.library import Library, open_library
from sanspec.stellar.ppxf_fit import regularised_fit
from sanspec.stellar.spectra import Spectrum, Unfit
from sanspec.survey import specfile

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from spectra_to_fit import from_file, from_prepared

VDISP_MAX = 450.0  # km/s: the pipeline's grid ends at 850, and what it finds beyond this is no galaxy's


def main() -> None:
    """Fit, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("spectra", "templates", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    settings = Stellar()
    library = open_library(args.templates, settings.ppxf.imf).cut(age_max=settings.ppxf.age_max)
    paths = sorted(args.spectra.rglob("spec-*.fits"))
    results = {}
    for form in ("native", "prepared"):
        spectra = [from_file(path) for path in paths] if form == "native" else from_prepared(paths, Prepare())
        pairs = tqdm(zip(paths, spectra), desc=form, total=len(paths), mininterval=1.0)
        rows = [compare(path, spectrum, library, settings) for path, spectrum in pairs]
        results[form] = summary(rows) | {"rows": rows}
    what = (
        "stellar kinematics of real SDSS spectra of nearby galaxies (CALIFA's): ours and the SDSS pipeline's"
    )
    store.write_json(args.out, about(what, simulated=False) | results)


def compare(path: Path, spectrum: Spectrum, library: Library, settings: Stellar) -> dict:
    """One galaxy: the pipeline's numbers and ours, or why there are none."""
    about = specfile.read(path).about
    row = {"file": path.name, "z": about.z, "vdisp_sdss": about.vdisp, "vdisp_sdss_err": about.vdisp_err}
    try:
        solution = regularised_fit(spectrum, library, settings)
    except Unfit as fault:
        return row | {"fault": str(fault)}
    found = {name: solution.values[name] for name in ("v", "v_err", "vdisp", "vdisp_err", "chi2", "snr")}
    return row | found | {"warn": reasons(solution.warn)}


def summary(rows: list[dict]) -> dict:
    """The required figures, over the galaxies for which the pipeline gives an error of VDISP."""
    valid = [r for r in rows if "vdisp" in r and r["vdisp_sdss_err"] > 0 and 0 < r["vdisp_sdss"] < VDISP_MAX]
    ours, theirs, v = (np.array([row[key] for row in valid]) for key in ("vdisp", "vdisp_sdss", "v"))
    errors = [[row["vdisp_err"] or 0, row["vdisp_sdss_err"]] for row in valid]
    joint = np.sqrt((np.nan_to_num(np.array(errors, float)) ** 2).sum(axis=1))
    apart = np.abs(ours - theirs)
    return {
        "galaxies": len(rows),
        "fitted": sum("vdisp" in row for row in rows),
        "compared": len(valid),
        "median_ratio": float(np.median(ours / theirs)),
        "within_3_errors_and_10_kms": float(np.mean(apart < 3 * joint + 10)),
        "median_abs_difference": float(np.median(apart)),
        "v_within_30_kms": float(np.mean(np.abs(v) < 30)),
        "v_median": float(np.median(v)),
        "v_max_abs": float(np.abs(v).max()),
    }


if __name__ == "__main__":
    main()
