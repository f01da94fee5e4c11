"""Spectrum files of a user's own: which files there are, the objects in them, and why some are refused, in words."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sanspec.errors import SanspecError, Warn
from sanspec.survey import specfile

SUFFIXES = (".fits", ".fit")
TOLERATED = Warn.BAD_PLATE  # measured all the same: many such spectra are good
IDENTITY = ("specobjid", "plate", "mjd", "fiberid", "run2d", "ra", "dec")
WORDS = {
    Warn.WRONG_OBJECT: "the ids inside the file contradict each other or its name",
    Warn.NOT_SDSS: "not from the SDSS spectrograph (BOSS or eBOSS)",
    Warn.NOT_GALAXY: "the pipeline's class is {kind}, not GALAXY",
    Warn.ZWARNING: "the pipeline's ZWARNING is {zwarning}, not 0",
    Warn.BAD_PLATE: "PLATEQUALITY is {quality} and SPECPRIMARY {primary}: the spectrum may be poor",
    Warn.SKY_FIBRE: "a sky fibre",
    Warn.SHORT_COVERAGE: "good pixels do not reach both ends of 4000-8499 A",
    Warn.NO_SIGNAL: "no good pixel",
    Warn.MASKED_PIXELS: "many pixels are masked",
    Warn.LSF_BROAD: "the resolution is poorer than the target",
    Warn.NO_REDSHIFT: "no redshift within the range could be measured",
    Warn.AMBIGUOUS_REDSHIFT: "a second redshift fits almost as well",
    Warn.NO_INDEX: "an index has no value: a window leaves 4000-8499 A or is masked, or no continuum is left",
    Warn.NO_LINE: "a line on which the class rests was not measured: outside, masked or too broad",
    Warn.NO_CLASS: "no class: a line that would decide it is unknown",
    Warn.NOT_FITTED: "no populations could be fitted",
    Warn.AT_BOUND: "a parameter of a fit lies at its bound",
    Warn.LOW_SNR: "signal to noise below what the tests of the population fit cover",
}


def find(arguments: Sequence[Path]) -> list[Path]:
    """Spectrum files: those given, in order, and all below the folders given, each once.

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


def identities(paths: Sequence[Path], about: Sequence[specfile.SpecObj | None]) -> pd.DataFrame:
    """Identity and redshift of the object of each file, from its header; 0, NaN or "" where absent."""
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
    return int(about.refusal) | (int(Warn.WRONG_OBJECT) if about.misnamed(path) else 0)


def explain(warn: int, about: specfile.SpecObj | None, fault: str | None) -> str:
    """The WARN bits of a file in words, separated by semicolons."""
    if about is None:
        return f"unreadable: {fault}"
    facts = {"kind": about.kind, "zwarning": about.zwarning}
    facts |= {"quality": about.platequality or "unknown", "primary": about.specprimary}
    return "; ".join(
        WORDS.get(bit, bit.name.lower().replace("_", " ")).format(**facts) for bit in Warn if int(warn) & bit
    )
