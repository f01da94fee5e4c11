"""Smooth, resample and normalise spectra; split the sample; statistics of the training split."""

import argparse
import logging
from contextlib import ExitStack

import h5py
import numpy as np
import pandas as pd
from tqdm import tqdm

from sanspec import config, options, store
from sanspec.errors import Warn
from sanspec.products import prepared
from sanspec.spectra import preparing
from sanspec.survey import csvfile, cubes, cutouts, inspection, matching, sdss, specfile, splits

log = logging.getLogger(__name__)
CHUNK = 256  # objects in memory at a time


FILES = options.files(
    "config",
    objects="matched objects (.parquet)",
    spectra="prepared spectra to write (.h5)",
    images="prepared images to write (.h5)",
    statistics="image statistics to write (.json)",
    table="objects, split and warn to write (.parquet)",
)


def run(args: argparse.Namespace) -> None:
    """Prepare the matched objects."""
    settings = config.load(args.config)
    table = store.read_table(args.objects)
    meta = store.provenance("prepare", settings.prepare.model_dump(mode="json"), survey=settings.survey.name)
    with ExitStack() as stack:
        members = stack.enter_context(cubes.open_cubes(settings.survey.cubes))
        spectra = stack.enter_context(store.create(args.spectra, meta))
        images = stack.enter_context(store.create(args.images, meta))
        lags = 0 if settings.prepare.covariance == "none" else preparing.noise_lags(settings.prepare)
        prepared.lay_out_spectra(spectra, table, lags)
        prepared.lay_out_images(images, table)
        noise, magnitude = fill(spectra, images, table, members, settings)
        table["split"] = splits.of_objects(table, settings.prepare)
        table["morphology"] = csvfile.morphology(table)
        finish(spectra, table, settings)
        numbers = prepared.image_statistics(images, table["split"].to_numpy(), noise, CHUNK)
    counts = {name: int((table["split"] == value).sum()) for name, value in splits.NAMES.items()}
    log.info("%s", ", ".join(f"{name} {count}" for name, count in counts.items()))
    flags = matching.count_reasons(table["warn"])
    for name, count in flags.itertuples(index=False):
        log.info("  flagged: %-20s %d", name, count)
    numbers["counts"] = counts | {"flagged": dict(zip(flags["reason"], flags["count"]))}
    numbers["fibre_magnitude"] = inspection.compare_magnitudes(table, magnitude)
    store.write_json(args.statistics, numbers | {"provenance": meta})
    store.write_table(args.table, table, meta=meta)


def fill(
    spectra: h5py.File, images: h5py.File, table: pd.DataFrame, members: cubes.Member, settings: config.Config
) -> tuple[np.ndarray, np.ndarray]:
    """Write every spectrum and image and add to the table's warn.

    Returns the sky noise (gal, band) [nanomaggies per pixel] and the fibre magnitude in r (gal) of the images.
    """
    noise = np.zeros((len(table), len(cubes.BANDS)), dtype=np.float32)
    magnitude = np.full(len(table), np.nan)
    warn = table["warn"].to_numpy(dtype=np.uint32, copy=True)
    with tqdm(total=len(table), desc="spectra", mininterval=1) as bar:
        for rows in prepared.blocks(len(table), CHUNK):
            part = table.iloc[rows]
            block = prepare(part, settings)
            prepared.write_block(spectra, rows, block, settings.prepare.covariance == "all")
            planes = cutouts.to_planes(members.take(part["row"].to_numpy()))
            bad = cutouts.is_bad(planes)
            planes[bad] = np.nan_to_num(planes[bad], nan=0.0, posinf=0.0, neginf=0.0)
            images["images"][rows] = planes
            warn[rows] |= block.warn | preparing.bits(bad, Warn.BAD_IMAGE)
            noise[rows] = cutouts.sky_noise(planes)
            magnitude[rows] = cutouts.fibre_magnitude(planes[:, cubes.BANDS.index("r")])
            bar.update(len(part))
    table["warn"] = warn
    return noise, magnitude


def prepare(part: pd.DataFrame, settings: config.Config) -> preparing.PreparedBlock:
    """The prepared spectra of some rows of the matched table."""
    masked = sum(sdss.PixMask[name] for name in settings.prepare.mask_bits)
    native = specfile.read_many([settings.survey.spectra / file for file in part["file"]], masked)
    for row, fault in native.faults.items():
        log.warning("%s: %s", part["file"].iloc[row], fault)
    return preparing.prepare_spectra(native, part["z"].to_numpy(dtype=float), settings.prepare)


def finish(spectra: h5py.File, table: pd.DataFrame, settings: config.Config) -> None:
    """Write what needs all objects: warn, split, training statistics, noise correlation of the test split."""
    spectra["warn"][:] = table["warn"].to_numpy()
    spectra["split"][:] = table["split"].to_numpy()
    prepared.write_spectra_statistics(spectra, table["split"].to_numpy(), CHUNK)
    if settings.prepare.covariance == "test":
        test = np.flatnonzero(table["split"] == splits.TEST)
        for rows in prepared.blocks(len(test), CHUNK):
            spectra["correlation"][test[rows]] = prepare(table.iloc[test[rows]], settings).correlation
