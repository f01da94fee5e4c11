"""Emission lines against what is known: the truth of simulated galaxies, the SDSS pipeline, pPXF's gas.

    python benchmarks/lines.py [--spectra FOLDER] [--templates results/raw/templates/emiles.npz] [--count 400]
                               [--out benchmarks/lines.json]

`truth`: galaxies simulated for the purpose, prepared as the survey's are; fluxes with a signal-to-noise ratio above 5
against the true ones, with errors from the noise covariance of the prepared spectra. The error of the flux calibration,
which is not in the noise covariance, is part of the true flux; it does not affect equivalent widths. `pipeline`,
`ppxf`: real spectra (a FOLDER of SDSS spec files) against the SPZLINE table of their own files and pPXF's gas in the
same fits; median ratio and scatter (1.4826 MAD) of lines above 5 in both. Without a folder these two are kept from the
file to write.
"""

import argparse
import json
import os
import platform
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits

from sanspec.config import Config, Mock
from sanspec.features.linetable import SEEN, line_table
from sanspec.measuring import files, populations, table
from sanspec.mock import galaxy, gas, night, spectrum
from sanspec.physics.lines import EMISSION_LINES
from sanspec.scores import metrics
from sanspec.spectra import preparing
from sanspec.spectra.native import NATIVE_FIRST, NATIVE_PIXELS, NativeBlock
from sanspec.spectra.spectra import Spectra
from sanspec.stellar.library import open_library
from sanspec.stellar.spectra import Unfit
from sanspec.survey import specfile

SETTINGS = Config()
FOLDERS = ("window_005_015", "califa_lowz", "galaxy_outside_window")
MOCK = dict(
    zip(
        EMISSION_LINES,
        ("H_beta", "[O_III] 5007", "[O_I] 6300", "H_alpha", "[N_II] 6583", "[S_II] 6716", "[S_II] 6730"),
    )
)
SEED, NEAR = 77, 3.0  # of the simulated galaxies; standard deviations
STRONG = 5.0  # Angstrom: equivalent width of a strong line


# --------------------------------------------------------------------------------------------------- truth


def truth(templates: Path, count: int) -> dict:
    """Measured fluxes and widths against the true ones."""
    seen, calibration = simulated(templates, count)
    z = np.array([one.galaxy.z for one in seen])
    ids = np.arange(count).astype(np.uint64)
    spectra = table.spectra_of(preparing.smooth_spectra(native(seen), SETTINGS.prepare), ids, z)
    stars = table.starlight_of(spectra, open_library(templates), SETTINGS)
    lines = line_table(spectra, stars, SETTINGS.lines)
    found, inside = {}, []
    for name in EMISSION_LINES:
        flux, error = (lines[column].to_numpy() for column in (f"flux_{name}", f"flux_{name}_err"))
        true, use = true_fluxes(seen, calibration, name), flux > SEEN * error
        apart = ((flux - true) / error)[use]
        inside.append(np.abs(apart) < NEAR)
        found[name] = {
            "count": int(use.sum()),
            "within_3_sigma": fraction(inside[-1]),
            "median_ratio": metrics.quantiles((flux / true)[use])["median"],
            "sigma_of_error": metrics.sigma_mad(apart),
        }
    strong = (lines["flux_h_alpha"] > SEEN * lines["flux_h_alpha_err"]).to_numpy()
    width = lines["ew_h_alpha"].to_numpy() / np.array([one.fibre.width for one in seen])
    return {
        "simulated": True,
        "galaxies": count,
        "within_3_sigma": fraction(np.concatenate(inside)),
        "ew_h_alpha_median_ratio": metrics.quantiles(width[strong])["median"],
        "lines": found,
    }


def fraction(values: np.ndarray) -> float:
    """Share that is true."""
    return float(np.mean(values)) if len(values) else float("nan")


def simulated(templates: Path, count: int) -> tuple[list, list[np.ndarray]]:
    """Galaxies of the embedded sky, and the calibration error of each one's spectrum on night.WAVE."""
    tools, drawn, original = galaxy.Instruments.read(templates, Mock()), [], spectrum.calibration

    def recorded(rng):
        drawn.append(original(rng))
        return drawn[-1]

    spectrum.calibration = recorded
    seen = [tools.simulate(np.random.default_rng([SEED, number])) for number in range(count)]
    spectrum.calibration = original
    return seen, drawn


def true_fluxes(seen: list, calibration: list[np.ndarray], name: str) -> np.ndarray:
    """Flux of a line behind the Milky Way's dust and as calibrated [1e-17 erg/s/cm2]."""
    at = gas.INDEX[MOCK[name]]
    wave = gas.WAVE[at] * (1 + np.array([one.galaxy.z for one in seen]))
    dust = np.array([one.galaxy.mw_ebv for one in seen]) * np.interp(wave, night.WAVE, spectrum.MILKY_WAY)
    factor = np.array([np.interp(one, night.WAVE, row) for one, row in zip(wave, calibration)])
    return 1e17 * np.array([one.fibre.lines[at] for one in seen]) * 10 ** (-0.4 * dust) * factor


def native(seen: list) -> NativeBlock:
    """Simulated spectra in the window of native pixels."""
    flux, ivar, wdisp = np.zeros((3, len(seen), NATIVE_PIXELS))
    for row, one in enumerate(seen):
        pixels = one.spectrum.first - NATIVE_FIRST + np.arange(one.spectrum.flux.size)
        inside = (pixels >= 0) & (pixels < NATIVE_PIXELS)
        good = inside & (one.spectrum.ivar > 0) & (one.spectrum.and_mask & int(specfile.MASKED_BITS) == 0)
        flux[row, pixels[good]], ivar[row, pixels[good]] = one.spectrum.flux[good], one.spectrum.ivar[good]
        wdisp[row, pixels[inside]] = one.spectrum.wdisp[inside]
    return NativeBlock(flux, ivar, wdisp, np.zeros(len(seen), np.uint32))


# ------------------------------------------------------------------------------------------------- real


def real(folder: Path, templates: Path) -> dict:
    """Our fluxes, by pPXF's continuum and by the quick one, against SPZLINE's and pPXF's own."""
    paths = [path for path in files.find([folder]) if path.parent.name in FOLDERS]
    block = specfile.read_many(paths)
    keep = np.flatnonzero(
        [
            about is not None and not files.refusal(about, path) & ~int(files.TOLERATED)
            for about, path in zip(block.about, paths)
        ]
    )
    part = block.take(keep)
    ids = np.array([about.specobjid for about in part.about], np.uint64)
    z = np.array([about.z for about in part.about])
    spectra = table.spectra_of(preparing.smooth_spectra(part, SETTINGS.prepare), ids, z)
    quick = table.starlight_of(spectra, open_library(templates), SETTINGS)
    stars, gas_of_ppxf = fitted(spectra, templates)
    tables = {
        "ppxf": line_table(spectra, stars, SETTINGS.lines),
        "starlight": line_table(spectra, quick, SETTINGS.lines),
    }
    pipeline = pd.DataFrame([spzline(paths[k]) for k in keep])
    return {
        "spectra": len(keep),
        "pipeline": {
            "what": "our flux over LINEAREA of the file's own SPZLINE, by continuum subtracted",
            **{name: against(lines, pipeline) for name, lines in tables.items()},
        },
        "ppxf": {
            "what": "our flux, on pPXF's continuum, over pPXF's gas",
            **against(tables["ppxf"], gas_of_ppxf),
        },
    }


def fitted(spectra: Spectra, templates: Path) -> tuple[np.ndarray, pd.DataFrame]:
    """Starlight and line fluxes of pPXF's fits; NaN where there is none."""
    ppxf = SETTINGS.stellar.ppxf
    library = open_library(templates, ppxf.imf).cut(age_max=ppxf.age_max)
    stars, values = np.full(spectra.flux.shape, np.nan), []
    for row in range(len(spectra)):
        try:
            solution = populations.solved(spectra, row, library, SETTINGS)
        except Unfit:
            values.append({})
            continue
        stars[row] = populations.starlight(solution)
        values.append({key: value for key, value in solution.values.items() if key.startswith("flux_")})
    return stars, pd.DataFrame(values)


def spzline(path: Path) -> dict:
    """Fluxes and errors of the pipeline's own line table; a line it did not fit is left out."""
    with fits.open(path) as hdus:
        table = hdus["SPZLINE"].data if "SPZLINE" in hdus else hdus[3].data
        found = {}
        for name in EMISSION_LINES:
            row = table[np.argmin(np.abs(table["LINEWAVE"] - EMISSION_LINES[name].wave))]
            if row["LINEAREA_ERR"] > 0:
                found |= {
                    f"flux_{name}": float(row["LINEAREA"]),
                    f"flux_{name}_err": float(row["LINEAREA_ERR"]),
                }
    return found


def against(ours: pd.DataFrame, theirs: pd.DataFrame) -> dict:
    """Count, median ratio, its error and scatter by line, of lines above SEEN in both; strong: wider than STRONG.

    What is left of the stars' Balmer absorption tells in weak lines alone.
    """
    result = {}
    for name in EMISSION_LINES:
        flux, error = (ours[column].to_numpy(float) for column in (f"flux_{name}", f"flux_{name}_err"))
        other, spread = (theirs[column].to_numpy(float) for column in (f"flux_{name}", f"flux_{name}_err"))
        with np.errstate(invalid="ignore"):
            use = (flux > SEEN * error) & (other > SEEN * spread)
            ratio = flux[use] / other[use]
            strong = use & (ours[f"ew_{name}"].to_numpy(float) > STRONG)
        result[name] = {
            "count": int(use.sum()),
            "median_ratio": metrics.quantiles(ratio)["median"],
            "scatter": metrics.sigma_mad(ratio),
            "strong": int(strong.sum()),
            "median_ratio_of_strong": metrics.quantiles(flux[strong] / other[strong])["median"],
            "error_of_median": float(1.2533 * metrics.sigma_mad(ratio) / np.sqrt(max(use.sum(), 1))),
        }
    return result


# -------------------------------------------------------------------------------------------------- file


def processor() -> str:
    """Model of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")


def rounded(value):
    """Numbers to four digits; what is not finite is null."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, float):
        return float(f"{value:.4g}") if np.isfinite(value) else None
    return value


def main() -> None:
    """Compare and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=Path, help="folder of SDSS spec files")
    parser.add_argument("--templates", type=Path, default=Path("results/raw/templates/emiles.npz"))
    parser.add_argument("--count", type=int, default=400, help="simulated galaxies")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/lines.json"))
    args = parser.parse_args()
    old = json.loads(args.out.read_text()) if args.out.exists() else {}
    result = {
        "what": "emission-line fluxes against the truth of simulated galaxies, SDSS's SPZLINE and pPXF's gas",
        "date": date.today().isoformat(),
        "machine": {"cores": os.cpu_count(), "processor": processor(), "python": platform.python_version()},
        "versions": {name: version(name) for name in ("sanspec", "numpy", "astropy", "ppxf")},
        "truth": truth(args.templates, args.count),
        "real": real(args.spectra, args.templates) if args.spectra else old.get("real"),
    }
    args.out.write_text(json.dumps(rounded(result), indent=1) + "\n")


if __name__ == "__main__":
    main()
