"""The measurements on spectrum files: who is measured, who is refused and why, one row for every file."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sanspec import store
from sanspec.config import Config
from sanspec.errors import SanspecError, Warn
from sanspec.features import indices
from sanspec.features.lines import INDICES
from sanspec.products import prepared, samples
from sanspec.redshift import redshifts
from sanspec.redshift.eigenfit import Templates
from sanspec.scores import metrics
from sanspec.spectra import preparing
from sanspec.survey import specfile

BLOCK = 64  # files measured at a time
SUFFIXES = (".fits", ".fit")
TOLERATED = (
    Warn.BAD_PLATE
)  # said, but measured: SPECPRIMARY 0 is no fault of the spectrum, and bad plates vary
UNITS = {"lsf": "Angstrom", "ra": "deg", "dec": "deg"}
IDENTITY = ("specobjid", "plate", "mjd", "fiberid", "run2d", "ra", "dec")
WORDS = {
    Warn.WRONG_OBJECT: "the ids inside the file contradict each other or its name",
    Warn.NOT_SDSS: "not from the SDSS spectrograph (BOSS or eBOSS)",
    Warn.NOT_GALAXY: "the pipeline's class is {kind}, not GALAXY",
    Warn.ZWARNING: "the pipeline's ZWARNING is {zwarning}, not 0",
    Warn.BAD_PLATE: "PLATEQUALITY is {quality} and SPECPRIMARY {primary}: mind it",
    Warn.SKY_FIBRE: "a sky fibre",
    Warn.SHORT_COVERAGE: "good pixels do not reach both ends of 4000-8499 A",
    Warn.NO_SIGNAL: "no good pixel",
    Warn.MASKED_PIXELS: "many pixels are masked",
    Warn.LSF_BROAD: "the resolution is poorer than the target",
    Warn.NO_REDSHIFT: "no redshift within the range could be measured",
    Warn.AMBIGUOUS_REDSHIFT: "a second redshift fits almost as well",
    Warn.NO_INDEX: "no Dn4000: its windows leave 4000-8499 A or are masked",
}


def find(arguments: Sequence[Path]) -> list[Path]:
    """Spectrum files named one by one, in order, and all below the folders among them; none twice.

    Raises SanspecError for a folder without any.
    """
    found: dict[Path, None] = {}
    for argument in map(Path, arguments):
        inside = [argument]
        if argument.is_dir():
            inside = sorted(path for path in argument.rglob("*") if path.suffix.lower() in SUFFIXES)
            if not inside:
                raise SanspecError(
                    f"no {' or '.join(SUFFIXES)} file in the folder {argument}: give files or another folder"
                )
        found |= dict.fromkeys(inside)
    return list(found)


def measure(
    paths: Sequence[Path],
    templates: Templates,
    settings: Config,
    progress: Callable[[Iterable], Iterable] = iter,
) -> pd.DataFrame:
    """One row for every file; a file that cannot be measured costs its own row alone.

    Columns: `file`, what the file says of itself, `z` (blind), `z_err`, `delta_chi2`, `z_pipeline`, `dz` =
    z - z_pipeline, `dn4000`, `dn4000_err`, `d4000`, `d4000_err`, `snr` (median per native pixel), `lsf`
    (median FWHM of the smoothed spectrum), `warn`, `reason`. progress: wraps the loop over blocks of files.
    """
    blocks = [paths[start : start + BLOCK] for start in range(0, len(paths), BLOCK)]
    return pd.concat(
        [measure_block(block, templates, settings) for block in progress(blocks)], ignore_index=True
    )


def measure_block(paths: Sequence[Path], templates: Templates, settings: Config) -> pd.DataFrame:
    """`measure` for as many files as are held at a time."""
    native = specfile.read_many(paths)
    table = identities(paths, native.about)
    warn = native.warn | np.array(
        [refusal(about, path) for about, path in zip(native.about, paths)], np.uint32
    )
    accepted = np.flatnonzero(warn & ~np.uint32(TOLERATED) == 0)
    values = pd.DataFrame(np.nan, index=table.index, columns=VALUES)
    if len(accepted):
        rows = {name: getattr(native, name)[accepted] for name in ("flux", "ivar", "wdisp", "warn")}
        block = specfile.NativeBlock(**rows, about=[native.about[i] for i in accepted], first=native.first)
        measured, bits = measure_native(block, templates, settings)
        values.loc[accepted] = measured.to_numpy()
        warn[accepted] |= bits
    table = pd.concat([table, values], axis=1)
    table["dz"] = table["z"] - table["z_pipeline"]
    table["warn"] = warn
    table["reason"] = [
        explain(w, about, native.faults.get(i)) for i, (w, about) in enumerate(zip(warn, native.about))
    ]
    return table


VALUES = ["z", "z_err", "delta_chi2", *(name + end for name in INDICES for end in ("", "_err")), "snr", "lsf"]


def measure_native(
    native: specfile.NativeBlock, templates: Templates, settings: Config
) -> tuple[pd.DataFrame, np.ndarray]:
    """VALUES and WARN bits of galaxies, after the survey's own smoothing and resampling."""
    smoothed = preparing.smooth_spectra(native, settings.prepare)
    scan = redshifts.Scan.of(settings.redshift, z_min=settings.measure.z_min, z_max=settings.measure.z_max)
    inflation = samples.inflation_of(smoothed.correlation, smoothed.ivar)
    found = redshifts.measure(smoothed.flux, smoothed.ivar, templates, scan, inflation=inflation)
    values, warn = found[["z", "z_err", "delta_chi2"]].copy(), smoothed.warn | found["warn"].to_numpy()
    for name, index in INDICES.items():
        result = indices.measure(
            index, smoothed.flux, values["z"].to_numpy(), smoothed.ivar, smoothed.correlation
        )
        values[name], values[f"{name}_err"] = result.value, result.error
        warn |= result.warn if name == "dn4000" else np.uint32(0)
    values["snr"] = smoothed.snr
    values["lsf"] = [metrics.quantiles(row)["median"] for row in smoothed.lsf]
    return values[VALUES], warn


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


# ------------------------------------------------------------------------------------------ files and words


def identities(paths: Sequence[Path], about: Sequence[specfile.SpecObj | None]) -> pd.DataFrame:
    """What each file says of its object; 0, NaN or "" where it says nothing."""
    table = pd.DataFrame({"file": [str(path) for path in paths]})
    for name in (*IDENTITY, "z", "z_err"):
        absent = {"run2d": "", "ra": np.nan, "dec": np.nan, "z": np.nan, "z_err": np.nan}.get(name, 0)
        values = [absent if one is None else getattr(one, name) for one in about]
        column = {"z": "z_pipeline", "z_err": "z_pipeline_err"}.get(name, name)
        table[column] = np.array(values, np.uint64) if name == "specobjid" else values
    return table


def refusal(about: specfile.SpecObj | None, path: Path) -> int:
    """WARN bits for which a file is not measured; 0 for a galaxy of the survey and for an unreadable file."""
    if about is None:
        return 0
    return int(specfile.refuse(about)) | (int(Warn.WRONG_OBJECT) if specfile.misnamed(about, path) else 0)


def explain(warn: int, about: specfile.SpecObj | None, fault: str | None) -> str:
    """The WARN bits of a file in words, parted by semicolons."""
    if about is None:
        return f"unreadable: {fault}"
    said = {"kind": about.kind, "zwarning": about.zwarning}
    said |= {"quality": about.platequality or "unknown", "primary": about.specprimary}
    return "; ".join(
        WORDS.get(bit, bit.name.lower().replace("_", " ")).format(**said) for bit in Warn if int(warn) & bit
    )
