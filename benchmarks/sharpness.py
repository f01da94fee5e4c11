"""Sharpness of narrow features in drawn spectra, from mean rest-frame spectra of draws and of observations.

    python benchmarks/sharpness.py --config FILE --spectra FILE --images FILE --nets FOLDER --predicted FILE
        [--before FILE] [--out benchmarks/sharpness.json]

The spectra of all galaxies of the test split are averaged in the rest frame, 4050-6300 A, in steps of 30 km/s;
structure broader than 1800 km/s is subtracted. `blur` [km/s] is the standard deviation of the Gaussian that turns the
mean of the observed spectra into that of the draws, and `contrast` the factor on the result. Observed spectra,
interpolated coarse spectra and fine draws given the true coarse spectra are at the true redshift; generated draws at
the redshift drawn with them. `--before`: the record of an earlier version for the same galaxies, to be included.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from measuring import made
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import minimize_scalar

from sanspec import config, store
from sanspec.nets import build, data, validation
from sanspec.physics.constants import C_KMS
from sanspec.products import samples
from sanspec.spectra import grid

STEP = 1e-4  # of ln(wavelength)
VELOCITY = STEP * C_KMS  # km/s per step
REST = np.arange(np.log(4050.0), np.log(6300.0), STEP)
KINDS = ("coarse_interpolated", "fine_from_true_coarse", "generated")
WIDE = 60  # steps: standard deviation of the Gaussian that gives the subtracted continuum


def stacked(log_flux: np.ndarray, z: np.ndarray, wave: np.ndarray = grid.WAVE) -> np.ndarray:
    """Mean log spectrum in the rest frame minus its continuum."""
    rows = [np.interp(REST, np.log(wave / (1 + q)), row) for row, q in zip(log_flux, z)]
    mean = np.mean(rows, axis=0)
    return mean - gaussian_filter1d(mean, WIDE)


def compared(sharp: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """The blur and the contrast that turn `sharp` into `drawn`."""

    def fit(blur: float) -> tuple[float, float]:
        soft = gaussian_filter1d(sharp, blur / VELOCITY)
        contrast = (soft @ drawn) / (soft @ soft)
        return contrast, float(((drawn - contrast * soft) ** 2).sum())

    best = minimize_scalar(lambda blur: fit(blur)[1], bounds=(1.0, 800.0), method="bounded").x
    return {"blur": float(best), "contrast": float(fit(best)[0])}


def main() -> None:
    """Read, draw, stack, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("config", "spectra", "images", "nets", "predicted"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = config.load(args.config)
    model, _ = build.load(args.nets / "diff_fine.safetensors", "diff_fine", settings.train)
    with store.arrays(args.spectra) as file, store.arrays(args.images) as pictures:
        rows = samples.split_rows(file, "test")
        z, ids = file["z"][:][rows], file["specobjid"][:][rows]
        fine, coarse = (samples.take(file[name], rows) for name in ("log_flux", "coarse_log_flux"))
        galaxies = data.galaxies(
            ids, samples.take(pictures["images"], rows), settings.train.crop, z=z, coarse=coarse
        )
    with store.arrays(args.predicted) as file:
        if not np.array_equal(file["specobjid"][:], ids):
            raise SystemExit(
                f"{args.predicted} holds other galaxies than {args.spectra}: give those of one run"
            )
        place = int(np.flatnonzero(~file["selected"][0])[0])
        generated, parent = file["draws_fine"][:, place], file["parent"][:, place]
        z_drawn = np.take_along_axis(file["z_draws"][:], parent[:, None], 1)[:, 0]
    true = validation.drawn(model, settings.generate.fine, galaxies, 1, "sharpness")[:, 0]
    sharp = stacked(fine, z)
    stacks = stacked(coarse, z, grid.coarse_wave()), stacked(true, z), stacked(generated, z_drawn)
    result = {
        "what": "blur [km/s] and contrast of narrow features in mean rest-frame spectra, against observed spectra",
        **{name: compared(sharp, stack) for name, stack in zip(KINDS, stacks)},
        "before": {name: store.read_json(args.before)[name] for name in KINDS} if args.before else None,
        "galaxies": len(ids),
        "simulated": settings.survey.simulated,
    } | made()
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
