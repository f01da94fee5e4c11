"""The measurements on spectrum files: one row for every file, whatever becomes of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sanspec import store
from sanspec.config import Config
from sanspec.measuring import features, files, populations
from sanspec.products import prepared, samples
from sanspec.redshift.eigenfit import Eigenspectra
from sanspec.redshift.redshifts import measure_redshifts
from sanspec.scores import metrics
from sanspec.spectra import preparing
from sanspec.stellar.library import Library
from sanspec.survey import specfile

BLOCK = 64  # files measured at a time
REDSHIFT = {
    "z": ("", "redshift found blind"),
    "z_err": ("", "its error"),
    "delta_chi2": ("", "chi2 of the second redshift less that of the first"),
    "snr": ("", "median signal to noise of the native pixels"),
    "lsf": ("Angstrom", "median FWHM of the smoothed spectrum's line spread"),
}
OF_FILE = {
    "ra": ("deg", "right ascension of the fibre"),
    "dec": ("deg", "declination of the fibre"),
    "z_pipeline": ("", "redshift the file states"),
    "dz": ("", "z - z_pipeline"),
    "warn": ("", "bits of sanspec.errors.Warn"),
    "reason": ("", "the same in words"),
}


@dataclass(frozen=True)
class Tools:
    """What files are measured with: eigenspectra; populations of quick continua, and a library for pPXF, or None."""

    eigenspectra: Eigenspectra
    populations: Library | None = None
    library: Library | None = None


def columns(tools: Tools) -> dict[str, tuple[str, str]]:
    """Unit and meaning of every column measured."""
    return REDSHIFT | features.columns() | (populations.COLUMNS if tools.library else {})


def units(tools: Tools) -> dict[str, str]:
    """Unit of every column that has one."""
    return {name: unit for name, (unit, _) in (OF_FILE | columns(tools)).items() if unit}


def meanings(tools: Tools) -> dict[str, str]:
    """What every column holds."""
    return {name: text for name, (_, text) in (OF_FILE | columns(tools)).items()}


def measure(
    paths: Sequence[Path],
    tools: Tools,
    settings: Config,
    progress: Callable[[Iterable], Iterable] = iter,
) -> pd.DataFrame:
    """One row for every file; a file that cannot be measured costs its own row alone.

    Columns: `file`, what the file says of itself, `columns`, `dz`, `warn`, `reason`. progress: wraps the loop
    over blocks of files.
    """
    blocks = [paths[start : start + BLOCK] for start in range(0, len(paths), BLOCK)]
    return pd.concat([measure_block(block, tools, settings) for block in progress(blocks)], ignore_index=True)


def measure_block(paths: Sequence[Path], tools: Tools, settings: Config) -> pd.DataFrame:
    """`measure` for as many files as are held at a time."""
    native = specfile.read_many(paths)
    table = files.identities(paths, native.about)
    warn = native.warn | np.array(
        [files.refusal(about, path) for about, path in zip(native.about, paths)], np.uint32
    )
    accepted = np.flatnonzero(warn & ~np.uint32(files.TOLERATED) == 0)
    values = pd.DataFrame(columns=list(columns(tools)), index=[])
    if len(accepted):
        values, bits = measure_native(native.take(accepted), tools, settings)
        warn[accepted] |= bits
    table = pd.concat([table, whole(values, accepted, len(table))], axis=1)
    table["dz"] = table["z"] - table["z_pipeline"]
    table["warn"] = warn
    table["reason"] = [
        files.explain(w, about, native.faults.get(i)) for i, (w, about) in enumerate(zip(warn, native.about))
    ]
    return table


def whole(values: pd.DataFrame, accepted: np.ndarray, count: int) -> pd.DataFrame:
    """The values at their rows among `count`, NaN or "" in the others."""
    spread = values.set_axis(accepted).reindex(range(count))
    text = list(features.WORDS)
    numbers = spread.drop(columns=text).astype(float)
    return pd.concat([numbers, spread[text].fillna("").astype(str)], axis=1)[list(values.columns)]


def measure_native(
    native: specfile.FileBlock, tools: Tools, settings: Config
) -> tuple[pd.DataFrame, np.ndarray]:
    """`columns` and WARN bits of galaxies, after the survey's own smoothing and resampling."""
    smoothed = preparing.smooth_spectra(native, settings.prepare)
    limits = {"z_min": settings.measure.z_min, "z_max": settings.measure.z_max}
    scan = settings.redshift.model_copy(update=limits)
    inflation = samples.inflation_of(smoothed.correlation, smoothed.ivar)
    found = measure_redshifts(
        smoothed.flux, smoothed.ivar, tools.eigenspectra, scan, inflation=inflation
    ).reset_index(drop=True)
    ids = np.array([about.specobjid for about in native.about], np.uint64)
    spectra = features.spectra_of(smoothed, ids, found["z"].to_numpy(float))
    shown, bits = measure_features(spectra, tools, settings)
    facts = {"snr": smoothed.snr, "lsf": [metrics.quantiles(row)["median"] for row in smoothed.lsf]}
    values = pd.concat([found[["z", "z_err", "delta_chi2"]].assign(**facts), shown], axis=1)
    return values[list(columns(tools))], smoothed.warn | found["warn"].to_numpy() | bits


def measure_features(
    spectra: features.Spectra, tools: Tools, settings: Config
) -> tuple[pd.DataFrame, np.ndarray]:
    """Indices, lines, classes and, with a library, populations of spectra at their redshifts; WARN bits."""
    table, warn = features.absorption_of(spectra, settings)
    stars, parts = None, [table]
    if tools.library is not None:
        fits, stars, bits = populations.populations_of(spectra, tools.library, settings)
        parts, warn = [*parts, fits], warn | bits
    if stars is None:
        stars = features.starlight_of(spectra, tools.populations, settings)
    table["hbeta_on_fit"] = features.hbeta_on_fit(spectra, stars, settings)
    lines = features.lines_of(spectra, stars, settings)
    classes, bits = features.classes_of(lines, settings)
    return pd.concat(
        [*parts, lines.drop(columns=["specobjid", "kind", "z", "warn"]), classes], axis=1
    ), warn | bits


def write_spectra(path: Path, table: pd.DataFrame, settings: Config, made: Mapping) -> None:
    """The spectra with a redshift, prepared at it, in the layout of prepared/spectra.h5; split is test."""
    found = table[np.isfinite(table["z"])].reset_index(drop=True)
    with store.create(path, made) as file:
        prepared.lay_out_spectra(file, found, preparing.noise_lags(settings.prepare))
        for rows in prepared.blocks(len(found), BLOCK):
            part = found.iloc[rows]
            native = specfile.read_many([Path(name) for name in part["file"]])
            block = preparing.prepare_spectra(native, part["z"].to_numpy(), settings.prepare)
            prepared.write_block(file, rows, block, correlation=True)
            file["warn"][rows] = block.warn | part["warn"].to_numpy()
        file["split"][:] = samples.SPLITS["test"]
