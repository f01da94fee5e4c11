"""The measurements on spectrum files: one row for every file, measured or not, and the columns of the table."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, UInt64

from sanspec import store
from sanspec.classes import diagnostics, spectralclass
from sanspec.config import Config
from sanspec.features import absorption, lick, linetable, starlight
from sanspec.measuring import files, populations
from sanspec.products import prepared, samples
from sanspec.products.members import OBSERVED
from sanspec.redshift.eigenfit import Eigenspectra
from sanspec.redshift.redshifts import measure_redshifts
from sanspec.scores import metrics
from sanspec.spectra import grid, preparing
from sanspec.spectra.spectra import Spectra
from sanspec.stellar.library import Library
from sanspec.survey import specfile

BLOCK = 64  # files measured at a time
Z_STEP = 0.05  # range of redshifts that shares one bank of populations: its resolution is at rest
# Unit and meaning of the columns
OF_FILE = {
    "ra": ("deg", "right ascension of the fibre"),
    "dec": ("deg", "declination of the fibre"),
    "z_pipeline": ("", "redshift in the file"),
    "dz": ("", "z - z_pipeline"),
    "warn": ("", "bits of sanspec.errors.Warn"),
    "reason": ("", "the same in words"),
}
REDSHIFT = {
    "z": ("", "redshift, measured without that of the file"),
    "z_err": ("", "its error"),
    "delta_chi2": ("", "chi2 of the second redshift less that of the first"),
    "snr": ("", "median signal-to-noise ratio of the native pixels"),
    "lsf": ("Angstrom", "median FWHM of the line-spread function of the smoothed spectrum"),
}
CLASSES = {
    "class": ("", "passive, star-forming or active (Doorenbos et al. 2024, section 5.7); empty: not known"),
    "region": (
        "",
        "in the [N II] diagram: Kauffmann et al. 2003, Kewley et al. 2001, Schawinski et al. 2007",
    ),
    "whan": ("", "class by the width of Halpha: Cid Fernandes et al. 2011"),
    "log_n_ii_h_alpha": ("", "log10 [N II] 6583 / Halpha"),
    "log_o_iii_h_beta": ("", "log10 [O III] 5007 / Hbeta"),
    "p_passive": ("", "probability of the class passive, given the error budget of the settings"),
    "p_star_forming": ("", "the same of star-forming"),
    "p_active": ("", "the same of active"),
}
WORDS = {"class": diagnostics.CLASSES, "region": diagnostics.REGIONS, "whan": diagnostics.WHAN}


@dataclass(frozen=True)
class Tools:
    """What files are measured with: eigenspectra; populations for quick continua, a library for pPXF, or None."""

    eigenspectra: Eigenspectra
    populations: Library | None = None
    library: Library | None = None

    def columns(self) -> dict[str, tuple[str, str]]:
        """Unit and meaning of every measured column, in order."""
        found = dict(REDSHIFT)
        indices = {
            name: (index.unit, f"{index.kind} index, {index.source}")
            for name, index in absorption.definitions().items()
        }
        for name, (unit, text) in (indices | {"mgfe": ("Angstrom", "[MgFe]', Thomas et al. 2003")}).items():
            found |= {name: (unit, text), f"{name}_err": (unit, f"1-sigma error of {name}")}
        found["hbeta_on_fit"] = "Angstrom", "Hbeta of the stellar continuum, which has no emission"
        return found | linetable.columns() | CLASSES | (populations.COLUMNS if self.library else {})


def measure_files(
    paths: Sequence[Path],
    tools: Tools,
    settings: Config,
    progress: Callable[[Iterable], Iterable] = iter,
) -> pd.DataFrame:
    """One row for every file; a file that cannot be measured affects no other row.

    Columns: `file`, what the file says of itself, those of the tools, `dz`, `warn`, `reason`. progress: wraps the loop
    over blocks of files.
    """
    blocks = [paths[start : start + BLOCK] for start in range(0, len(paths), BLOCK)]
    return pd.concat([measure_block(block, tools, settings) for block in progress(blocks)], ignore_index=True)


def measure_block(paths: Sequence[Path], tools: Tools, settings: Config) -> pd.DataFrame:
    """`measure_files` for as many files as are held at a time."""
    native = specfile.read_many(paths)
    table = files.identities(paths, native.about)
    warn = native.warn | np.array(list(map(files.refusal, native.about, paths)), np.uint32)
    accepted = np.flatnonzero(warn & ~np.uint32(files.TOLERATED) == 0)
    columns, values = list(tools.columns()), pd.DataFrame(columns=list(tools.columns()), index=[])
    if len(accepted):
        values, bits = measure_native(native.take(accepted), tools, settings)
        warn[accepted] |= bits
    values = values[columns].set_axis(accepted).reindex(range(len(table)))
    shown = {
        name: column.fillna("").astype(str) if name in WORDS else column.astype(float)
        for name, column in values.items()
    }
    table = pd.concat([table, pd.DataFrame(shown)], axis=1)
    reasons = [files.explain(*one, native.faults.get(i)) for i, one in enumerate(zip(warn, native.about))]
    return table.assign(dz=table["z"] - table["z_pipeline"], warn=warn, reason=reasons)


def measure_native(
    native: specfile.FileBlock, tools: Tools, settings: Config
) -> tuple[pd.DataFrame, np.ndarray]:
    """Columns of the tools and WARN bits of galaxies, after the smoothing and resampling of prepared spectra."""
    smoothed = preparing.smooth_spectra(native, settings.prepare)
    ids = np.array([about.specobjid for about in native.about], np.uint64)
    spectra = spectra_of(smoothed, ids, np.full(len(ids), np.nan))
    limits = {"z_min": settings.measure.z_min, "z_max": settings.measure.z_max}
    scan, inflation = settings.redshift.model_copy(update=limits), spectra.noise_inflation()
    found = measure_redshifts(
        spectra.flux, spectra.ivar, tools.eigenspectra, scan, inflation=inflation
    ).reset_index(drop=True)
    spectra = replace(spectra, z=found["z"].to_numpy(float))
    features, bits = measure_features(spectra, tools, settings)
    lsf = [metrics.quantiles(row)["median"] for row in smoothed.lsf]
    values = pd.concat(
        [found[["z", "z_err", "delta_chi2"]].assign(snr=smoothed.snr, lsf=lsf), features], axis=1
    )
    return values, smoothed.warn | found["warn"].to_numpy() | bits


def spectra_of(
    smoothed: preparing.SmoothedBlock, specobjid: UInt64[np.ndarray, " gal"], z: Float[np.ndarray, " gal"]
) -> Spectra:
    """A smoothed block at redshifts `z` (NaN: none), in units of 1e-17 erg/s/cm2/Angstrom."""
    coarse = grid.coarse_wave()
    lsf = np.array([np.interp(grid.WAVE, coarse, row) for row in smoothed.lsf]).reshape(smoothed.flux.shape)
    data = smoothed.flux, smoothed.ivar, smoothed.correlation, lsf
    return Spectra(OBSERVED, specobjid, z, *data, np.ones(len(z)), smoothed.warn)


def measure_features(spectra: Spectra, tools: Tools, settings: Config) -> tuple[pd.DataFrame, np.ndarray]:
    """Indices, lines, classes and, with a library, populations of spectra at their redshifts; WARN bits."""
    found = absorption.indices_of(spectra, settings.lick)
    found["mgfe"] = lick.mgfe(found)
    indices = {}
    for name, one in found.items():
        indices |= {name: one.value, f"{name}_err": one.error}
    warn, parts = np.bitwise_or.reduce([one.warn for one in found.values()]), []
    if tools.library is not None:
        fits, stars, bits = populations.populations_of(spectra, tools.library, settings)
        parts, warn = [fits], warn | bits
    else:
        stars = starlight_of(spectra, tools.populations, settings)
    indices["hbeta_on_fit"] = absorption.hbeta_on_fit(stars, spectra.z, spectra.lsf, settings.lick).value
    lines = linetable.line_table(spectra, stars, settings.lines)
    classes, bits = classes_of(lines, settings)
    return pd.concat(
        [pd.DataFrame(indices), *parts, lines[list(linetable.columns())], classes], axis=1
    ), warn | bits


def starlight_of(spectra: Spectra, library: Library | None, settings: Config) -> Float[np.ndarray, "gal pix"]:
    """Quick stellar continua of spectra; NaN without populations or redshift."""
    result = np.full(spectra.flux.shape, np.nan)
    steps = np.floor(spectra.z / Z_STEP)
    for step in np.unique(steps[np.isfinite(steps)]) if library is not None else ():
        bank = starlight.bank(library, settings.prepare.fwhm / (1 + Z_STEP * (step + 0.5)))
        for row in np.flatnonzero(steps == step):
            result[row], _ = starlight.continuum(spectra.flux[row], spectra.ivar[row], spectra.z[row], bank)
    return result


def classes_of(lines: pd.DataFrame, settings: Config) -> tuple[pd.DataFrame, np.ndarray]:
    """Columns CLASSES, classes and regions in words, and WARN bits."""
    found = spectralclass.columns(lines, settings.classify, settings.classify.seed)
    words = {
        name: [names[place] if place >= 0 else "" for place in found[name]] for name, names in WORDS.items()
    }
    return found.assign(**words)[list(CLASSES)].reset_index(drop=True), found["warn"].to_numpy()


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
