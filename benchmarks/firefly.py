"""Parity and speed of FIREFLY: against the released code's records, and a plain transcription of the method.

SANSPEC_TEST_DATA=FOLDER OMP_NUM_THREADS=1 python benchmarks/firefly.py

writes benchmarks/firefly.json. All times are process CPU seconds of one core, templates already in memory;
each of ours is the second of two runs, so that nothing is compiled in it. The seconds in the records are the
released code's own, on the machine of the records; the transcription is timed in turns with ours.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
from astropy.io import fits
from measuring import about, timed

from sanspec.config import Firefly, Stellar
from sanspec.stellar.firefly import compat
from sanspec.stellar.firefly.clean import CleanFit
from sanspec.stellar.firefly.fit import draws, fit
from sanspec.stellar.firefly.match import match, trimmed
from sanspec.stellar.library import Library, open_library
from sanspec.stellar.spectra import Spectrum
from sanspec.store import write_json

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import firefly_transcription as transcription
from spectra_to_fit import from_file

NAMES = {
    "age_light": "age_lightW",
    "metal_light": "metallicity_lightW",
    "age_mass": "age_massW",
    "metal_mass": "metallicity_massW",
    "mass_formed": "total_mass",
}
COMPARED = {
    "log_age_light": ("age_lightW", 9.0),
    "metal_light": ("metallicity_lightW", 0.0),
    "ebv_stars": ("EBV", 0.0),
}


def warm(task):
    """What a second call of `task` gives, and its CPU and wall seconds: nothing is compiled in it."""
    task()
    return timed(task)


def read(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wavelength, flux and error of a spectrum file."""
    table = fits.getdata(path, 1)
    loglam, flux, ivar = (np.asarray(table[name], float) for name in ("loglam", "flux", "ivar"))
    with np.errstate(divide="ignore"):
        return 10.0**loglam, flux, ivar**-0.5


def released(*inputs) -> compat.Released:
    """The compat fit; the last input are the settings."""
    *inputs, settings = inputs
    return compat.solve(compat.downgrade(*inputs, settings.line_mask), settings)


def compare(folder: Path, record: dict, library: Library, slow: bool) -> dict:
    """One record: differences in dex, CPU seconds of every way to fit it."""
    settings = Stellar(firefly=Firefly(line_mask=record["settings"]["N_angstrom_masked"]))
    path, where = folder / record["file"], (record["redshift"], record["vdisp"])
    data = read(path)
    ours, seconds, wall = warm(lambda: released(*data, *where, library, settings.firefly))
    header = record["header"]
    apart = [abs(np.log10(ours.averages[name].value) - header[key]) for name, key in NAMES.items()]
    entry = {
        "file": record["file"],
        "max_abs_dex": float(max(*apart, abs(ours.ebv - header["EBV"]))),
        "solutions": ours.solutions,
        "same_solutions": ours.solutions == record["n_solutions"]
        and ours.solutions_filtered == record["n_hpf_solutions"],
        "cpu_record": record["cpu_s"],
        "cpu_compat": seconds,
        "wall_compat": wall,
    }
    if slow:
        plain, entry["cpu_transcription"], entry["wall_transcription"] = timed(
            lambda: transcription.fit(*data, *where, library, settings.firefly.line_mask)
        )
        entry["transcription_apart_dex"] = float(
            max(abs(np.log10(plain[name] / ours.averages[name].value)) for name in NAMES)
        )
        entry["transcription_same_solutions"] = plain["solutions"] == ours.solutions
    return entry | both_modes(from_file(path, z=record["redshift"]), record, library, settings)


def both_modes(spectrum: Spectrum, record: dict, library: Library, settings: Stellar) -> dict:
    """Clean fit of a record's spectrum, and CPU seconds of a bootstrap draw in either mode."""
    vdisp, steps = record["vdisp"], record["timing_cpu_s"]
    (row, _), seconds, wall = warm(lambda: fit(spectrum, library, settings, vdisp))
    entry = {"cpu_clean": seconds, "wall_clean": wall}
    entry["clean_minus_record"] = {
        name: round(row[name] - record["header"][key] - shift, 4) for name, (key, shift) in COMPARED.items()
    }
    entry["cpu_draw_record"] = steps["determine_attenuation"]["total"] + steps["fitter_main"]["total"]
    matched = match(spectrum, trimmed(library), settings.firefly.line_mask, vdisp)
    modes = {
        "clean": CleanFit(matched, settings.firefly),
        "compat": compat.CompatFit(matched, library, settings.firefly, vdisp),
    }
    for mode, solver in modes.items():
        found = solver.solve()
        drawn = timed(lambda solver=solver, found=found: draws(matched, solver, found, settings))
        entry[f"cpu_draw_{mode}"] = drawn.cpu / settings.firefly.draws
        entry[f"wall_draw_{mode}"] = drawn.wall / settings.firefly.draws
    return entry


def summary(entries: list[dict]) -> dict:
    """The figures of merit."""
    total = {key: sum(e[key] for e in entries) for key in entries[0] if key.startswith("cpu_")}
    ratio = [e["cpu_draw_record"] / e["cpu_draw_clean"] for e in entries]
    apart = {name: np.array([e["clean_minus_record"][name] for e in entries]) for name in COMPARED}
    figures = {
        "records": len(entries),
        "max_abs_dex": max(e["max_abs_dex"] for e in entries),
        "same_solutions": all(e["same_solutions"] for e in entries),
        "speed_total": total["cpu_record"] / total["cpu_compat"],
        "speed_least": min(e["cpu_record"] / e["cpu_compat"] for e in entries),
        "speed_bootstrap": total["cpu_draw_record"] / total["cpu_draw_clean"],
        "speed_bootstrap_least": min(ratio),
        "speed_bootstrap_compat": total["cpu_draw_record"] / total["cpu_draw_compat"],
        "cpu_clean_fit": total["cpu_clean"] / len(entries),
        "cpu_clean_draw": total["cpu_draw_clean"] / len(entries),
        "median_abs_clean_minus_compat": {k: round(float(np.median(np.abs(v))), 4) for k, v in apart.items()},
        "median_clean_minus_compat": {k: round(float(np.median(v)), 4) for k, v in apart.items()},
    }
    figures["hours_3012_spectra_11_fits"] = (
        3012 * (figures["cpu_clean_fit"] + 10 * figures["cpu_clean_draw"]) / 3600
    )
    if "cpu_transcription" in total:
        figures["speed_transcription"] = total["cpu_transcription"] / total["cpu_compat"]
        wall = {name: sum(e[f"wall_{name}"] for e in entries) for name in ("transcription", "compat")}
        figures["speed_transcription_wall"] = wall["transcription"] / wall["compat"]
        figures["transcription_apart_dex"] = max(e["transcription_apart_dex"] for e in entries)
    return figures


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SANSPEC_TEST_DATA", "")))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--no-transcription", action="store_true", help="leave out the slow one")
    args = parser.parse_args()
    runs = json.loads((args.data / "firefly" / "reference.json").read_text())["runs"]
    library = open_library(args.data / "firefly", "ss")
    entries = [compare(args.data, record, library, not args.no_transcription) for record in runs.values()]
    what = "FIREFLY on real SDSS spectra: parity with the released code's records, speed against it and a transcription"
    write_json(args.out, about(what, simulated=False) | summary(entries) | {"entries": entries})
    print(json.dumps(summary(entries), indent=1))


if __name__ == "__main__":
    main()
