"""A small run of galaxies of known class, made of E-MILES populations, lines and noise, for the stages of features.

Passive, star-forming and active galaxies in turn. A predicted spectrum is the observed one without noise at a redshift
of its own; the last test galaxy has none.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

import toy
from populations import read_library
from sanspec import store
from sanspec.errors import Warn
from sanspec.features import starlight
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA
from sanspec.spectra import grid
from sanspec.stellar import models, results

FWHM, SNR, SHIFT, TRAIN, TEST = 10 / 3, 40.0, 0.004, 66, 18
CLASSES = ("passive", "star-forming", "active")
WIDTHS = {  # equivalent widths [Angstrom]: Hbeta, [O III] 5007, Halpha, [N II] 6583
    "passive": (0.0, 0.0, 0.3, 0.2),
    "star-forming": (6.0, 3.0, 25.0, 8.0),
    "active": (2.0, 6.0, 8.0, 8.0),
}
LINES = ((4862.683, 0), (5008.240, 1), (4960.295, 1), (6564.608, 2), (6585.270, 3), (6549.860, 3))
RATIOS = (1, 1, 0.336, 1, 1, 0.327)
AGES = {"passive": 12.0, "star-forming": 0.5, "active": 5.0}


def spectra(kinds: list[str], z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Noiseless spectra of mean 1 near 6925 A at rest, and their starlight (gal, pix)."""
    bank = starlight.bank(read_library(), FWHM / 1.1)
    ages = np.array(starlight.AGES)
    stars = []
    for kind, redshift in zip(kinds, z):
        row = int(np.argmin(np.abs(ages - AGES[kind]))) * len(starlight.METALS) + 2
        rest = grid.WAVE / (1 + redshift)
        one = np.interp(rest, bank.wave, bank.templates[starlight.MIDDLE, row])
        stars.append(one / one[np.abs(rest - 6925) < 25].mean())
    stars = np.array(stars)
    return stars + np.array([lines(*one) for one in zip(kinds, z, stars)]), stars


def lines(kind: str, z: float, stars: np.ndarray) -> np.ndarray:
    """Emission lines of 80 km/s."""
    rest, total = grid.WAVE / (1 + z), np.zeros(grid.WAVE.size)
    for (wave, which), ratio in zip(LINES, RATIOS):
        width = np.hypot(FWHM / 1.1 / FWHM_PER_SIGMA, 80 / C_KMS * wave)
        level = np.interp(wave + 70, rest, stars) * WIDTHS[kind][which] * ratio
        total += level / (np.sqrt(2 * np.pi) * width) * np.exp(-0.5 * ((rest - wave) / width) ** 2)
    return total


def make(folder: Path, seed: int = 0) -> SimpleNamespace:
    """All files that the stages of features read; their paths, kinds and redshifts."""
    rng, count = np.random.default_rng(seed), TRAIN + TEST
    kinds = [CLASSES[k % 3] for k in range(count)]
    z = rng.uniform(0.06, 0.085, count)  # where no line meets a night-sky line
    clean, stars = spectra(kinds, z)
    flux = clean * (1 + rng.normal(size=clean.shape) / SNR)
    split = np.repeat([0, 2], [TRAIN, TEST]).astype(np.int8)
    ids = np.uint64(845594848269461504) + np.arange(count, dtype=np.uint64)
    run = SimpleNamespace(folder=folder, ids=ids, z=z, kinds=np.array(kinds), split=split, test=split == 2)
    write_prepared(run, flux, SNR**2 / clean**2, rng)
    write_generated(run, spectra(list(run.kinds[run.test]), z[run.test] + SHIFT)[0])
    write_fits(run, stars)
    return run


def write_prepared(run: SimpleNamespace, flux: np.ndarray, ivar: np.ndarray, rng) -> None:
    """spectra.h5, images.h5, statistics.json, objects.parquet."""
    prepared, coarse = run.folder / "prepared", grid.coarse_wave()
    with store.create(prepared / "spectra.h5", {}) as file:
        for name, data in {
            "specobjid": run.ids,
            "split": run.split,
            "z": run.z,
            "norm": np.full(len(run.z), 10.0),
            "warn": np.zeros(len(run.z), np.uint32),
        }.items():
            store.put(file, name, data, "gal")
        store.put(file, "flux", flux.astype(np.float32), "gal pix")
        store.put(file, "ivar", ivar.astype(np.float32), "gal pix")
        store.put(file, "correlation", np.zeros((len(run.z), 1, flux.shape[1]), np.float16), "gal lag pix")
        store.put(file, "lsf", np.full((len(run.z), coarse.size), FWHM), "gal coarse")
        store.put(file, "lsf_median", np.full(grid.WAVE.size, FWHM), "pix", "Angstrom")
        store.put(file, "coarse_wave", coarse, "coarse")
        store.put(file, "wave", grid.WAVE, "pix")
    stamps = toy.images(np.full(len(run.z), 0.5), run.z, rng)
    stamps[run.kinds == "active", :3] *= 0.3  # red, as the photometry below
    with store.create(prepared / "images.h5", {}) as file:
        store.put(file, "specobjid", run.ids, "gal")
        store.put(file, "images", stamps, "gal band y x", "nmgy")
    store.write_json(prepared / "statistics.json", toy.statistics(stamps[~run.test]))
    store.write_table(prepared / "objects.parquet", catalogue(run, rng))


def catalogue(run: SimpleNamespace, rng) -> pd.DataFrame:
    """Photometry: active galaxies are redder in g-r."""
    table = pd.DataFrame({"specobjid": run.ids, "z": run.z, "split": run.split})
    red = np.where(run.kinds == "active", 0.9, 0.4) + rng.normal(0, 0.03, len(run.z))
    for band, colour in zip("ugriz", (1.5 + red, red, 0 * red, -0.3 + 0 * red, -0.5 + 0 * red)):
        table[f"modelmag_{band}"], table[f"extinction_{band}"] = 17.0 + colour, 0.05
    morphology = [("elliptical", "spiral", "uncertain")[CLASSES.index(kind)] for kind in run.kinds]
    return table.assign(fibermag_r=18.0, morphology=morphology)


def write_generated(run: SimpleNamespace, predicted: np.ndarray) -> None:
    """predicted.h5, baselines.h5 (the nearest image's galaxy is the next one's), redshift.ecsv."""
    ids, z = run.ids[run.test], run.z[run.test]
    predicted[-1], other = np.nan, np.roll(predicted, 1, axis=0)
    with store.create(run.folder / "generated" / "predicted.h5", {}) as file:
        store.put(file, "specobjid", ids, "gal")
        store.put(file, "lsf", np.full(grid.WAVE.size, FWHM), "pix", "Angstrom")
        for name in ("flux", "mean", "medoid"):
            store.put(file, name, predicted.astype(np.float32), "gal pix")
    table = pd.DataFrame({"specobjid": ids, "z_spec": z})
    shifted = np.where(np.arange(len(z)) < len(z) - 1, z + SHIFT, np.nan)
    for kind in ("predicted", "predicted_mean", "predicted_medoid"):
        table[f"z_{kind}"] = shifted
    with store.create(run.folder / "generated" / "baselines.h5", {}) as file:
        store.put(file, "specobjid", ids, "gal")
        for kind in ("nearest_image", "nearest_colour", "nearest_contrastive", "regression"):
            group = file.create_group(kind)
            store.put(group, "flux", other.astype(np.float32), "gal pix")
            store.put(group, "z", np.roll(z, 1), "gal")
            table[f"z_{kind}"] = np.roll(shifted, 1)
    store.write_table(run.folder / "tables" / "redshift.ecsv", table)


def write_fits(run: SimpleNamespace, stars: np.ndarray) -> None:
    """ppxf.parquet and ppxf_models.h5 as perfect fits would be; predicted ones 300 km/s off their redshift."""
    rows, fits, used = [], [], np.ones(grid.WAVE.size, bool)
    z_fit = run.z[run.test] + SHIFT
    moved = (1 + z_fit) * np.exp(300 / C_KMS) - 1
    light = spectra(list(run.kinds[run.test]), moved)[1]
    for number, key in enumerate(run.ids[run.test]):
        last = number == TEST - 1
        age = np.log10(AGES[run.kinds[run.test][number]]) + 9
        shared = {"vdisp": 120.0 + number, "vdisp_err": 5.0, "log_age_light": age, "ebv_stars": 0.01 * number}
        bits = int(Warn.NO_REDSHIFT if last else Warn(0))
        rows.append(results.row(key, "observed", z=run.z[run.test][number], v=0.0, **shared))
        rows.append(results.row(key, "predicted", bits, z=z_fit[number], v=300.0, **shared))
        own = stars[run.test][number]
        fits.append(models.FittedSpectrum(int(key), "observed", run.z[run.test][number], own, 0 * own, used))
        fits.append(models.FittedSpectrum(int(key), "predicted", z_fit[number], light[number], 0 * own, used))
    about = {"code": "test", "library": "E-MILES", "imf": "1.30", "limits": {}}
    results.write(run.folder / "tables" / "ppxf.parquet", results.assemble(rows), about)
    models.write(run.folder / "tables" / "ppxf_models.h5", fits, {})
