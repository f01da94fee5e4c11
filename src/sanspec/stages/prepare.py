"""Smooth, resample and normalise spectra; split the sample; statistics of the training split."""

import argparse
import logging
from contextlib import ExitStack

import h5py
import numpy as np
import pandas as pd
from tqdm import tqdm

from sanspec import config, options, store
from sanspec.errors import Warn, reasons
from sanspec.products import prepared
from sanspec.spectra import preparing
from sanspec.survey import cubes, cutouts, sdss, specfile, splits

log = logging.getLogger(__name__)
_MAGNITUDES_AGREE = 0.5  # fiberMag_r against the images [mag]


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
        prepared.lay_out_spectra(spectra, table, stored_lags(settings.prepare))
        prepared.lay_out_images(images, table)
        noise, magnitude = fill(spectra, images, table, members, settings)
        assign_splits(table, settings.prepare)
        finish(spectra, table, settings)
        numbers = prepared.image_statistics(images, table["split"].to_numpy(), noise, settings.prepare.chunk)
    numbers |= {"counts": counts(table), "fibre_magnitude": compare_magnitudes(table, magnitude)}
    store.write_json(args.statistics, numbers | {"provenance": meta})
    store.write_table(args.table, table, meta=meta)


def stored_lags(settings: config.Prepare) -> int:
    """Lags of the noise correlation to store; 0 where none is asked for."""
    return 0 if settings.covariance == "none" else preparing.noise_lags(settings)


def fill(
    spectra: h5py.File, images: h5py.File, table: pd.DataFrame, members: cubes.Member, settings: config.Config
) -> tuple[np.ndarray, np.ndarray]:
    """Write every spectrum and image, add to the table's warn; sky noise (gal, band), r magnitude (gal)."""
    noise = np.zeros((len(table), len(cubes.BANDS)), dtype=np.float32)
    magnitude = np.full(len(table), np.nan)
    warn = table["warn"].to_numpy(dtype=np.uint32, copy=True)
    with tqdm(total=len(table), desc="spectra", mininterval=1) as bar:
        for rows in prepared.blocks(len(table), settings.prepare.chunk):
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


def assign_splits(table: pd.DataFrame, settings: config.Prepare) -> None:
    """Add `split` and `morphology` to the table."""
    usable = (table["warn"].to_numpy() & np.uint32(preparing.UNUSABLE)) == 0
    part = table[usable]
    groups = splits.sky_groups(part["ra"].to_numpy(), part["dec"].to_numpy(), settings.separation)
    split = np.full(len(table), splits.UNUSED, dtype=np.int8)
    split[usable] = splits.assign(part["specobjid"].to_numpy(), groups, settings.test, settings.valid)
    table["split"] = split
    table["morphology"] = morphology(table)


def morphology(table: pd.DataFrame) -> np.ndarray:
    """elliptical, spiral or uncertain by Galaxy Zoo 1 (Lintott et al. 2011: a debiased vote above 0.8)."""
    if {"spiral", "elliptical"} <= set(table.columns):
        spiral, elliptical = table["spiral"] == 1, table["elliptical"] == 1
    elif {"p_cs_debiased", "p_el_debiased"} <= set(table.columns):
        spiral, elliptical = table["p_cs_debiased"] > 0.8, table["p_el_debiased"] > 0.8
    else:
        log.warning("the catalogue has no Galaxy Zoo column: every morphology is uncertain")
        return np.full(len(table), "uncertain")
    return np.select([elliptical, spiral], ["elliptical", "spiral"], "uncertain")


def finish(spectra: h5py.File, table: pd.DataFrame, settings: config.Config) -> None:
    """Write what is known at the end: warn, split, training statistics, correlation of the test split."""
    spectra["warn"][:] = table["warn"].to_numpy()
    spectra["split"][:] = table["split"].to_numpy()
    prepared.write_spectra_statistics(spectra, table["split"].to_numpy(), settings.prepare.chunk)
    if settings.prepare.covariance == "test":
        test = np.flatnonzero(table["split"] == splits.TEST)
        for rows in prepared.blocks(len(test), settings.prepare.chunk):
            spectra["correlation"][test[rows]] = prepare(table.iloc[test[rows]], settings).correlation


def compare_magnitudes(table: pd.DataFrame, magnitude: np.ndarray) -> dict[str, float]:
    """fiberMag_r minus the same from the images: a wrong unit, centre or order of the cubes shows here."""
    if "fibermag_r" not in table:
        return {}
    offset = table["fibermag_r"].to_numpy() - magnitude
    middle = float(np.nanmedian(offset))
    scatter = float(1.4826 * np.nanmedian(np.abs(offset - middle)))
    if not (abs(middle) < _MAGNITUDES_AGREE and scatter < _MAGNITUDES_AGREE):
        log.warning(
            "fiberMag_r differs from the images by %.2f mag, scatter %.2f: nanomaggies, centred, in order?",
            middle,
            scatter,
        )
    return {"catalogue_minus_image": middle, "scatter": scatter}


def counts(table: pd.DataFrame) -> dict[str, int]:
    """Objects in each split and with each Warn bit, logged."""
    names = {splits.TRAIN: "train", splits.VALID: "valid", splits.TEST: "test", splits.UNUSED: "unused"}
    number = {name: int((table["split"] == value).sum()) for value, name in names.items()}
    flags = pd.Series([name for bits in table["warn"] for name in reasons(bits)], dtype=str).value_counts()
    log.info("%s", ", ".join(f"{name} {count}" for name, count in number.items()))
    for name, count in flags.items():
        log.info("  flagged: %-20s %d", name, count)
    return number | {"flagged": {name: int(count) for name, count in flags.items()}}
