"""Spectrum files of a user's own: which there are, whose they are, which are refused and why, in words."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sanspec.errors import SanspecError, Warn
from sanspec.survey import specfile

SUFFIXES = (".fits", ".fit")
TOLERATED = (
    Warn.BAD_PLATE
)  # said, but measured: SPECPRIMARY 0 is no fault of the spectrum, and bad plates vary
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
    Warn.NO_INDEX: "an index has no value: a window leaves 4000-8499 A or is masked, or no continuum is left",
    Warn.NO_LINE: "a line on which the class rests was not measured: outside, masked or too broad",
    Warn.NO_CLASS: "no class: a line that would decide it is not known",
    Warn.NOT_FITTED: "no populations could be fitted",
    Warn.AT_BOUND: "a parameter of a fit stands at its bound",
    Warn.LOW_SNR: "signal to noise below what the tests of the population fit cover",
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
    return int(about.refusal) | (int(Warn.WRONG_OBJECT) if about.misnamed(path) else 0)


def explain(warn: int, about: specfile.SpecObj | None, fault: str | None) -> str:
    """The WARN bits of a file in words, parted by semicolons."""
    if about is None:
        return f"unreadable: {fault}"
    said = {"kind": about.kind, "zwarning": about.zwarning}
    said |= {"quality": about.platequality or "unknown", "primary": about.specprimary}
    return "; ".join(
        WORDS.get(bit, bit.name.lower().replace("_", " ")).format(**said) for bit in Warn if int(warn) & bit
    )
