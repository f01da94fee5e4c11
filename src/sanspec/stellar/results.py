"""The layout of stellar population tables, the same for both codes.

One row per spectrum, with the key `specobjid` and `kind` (observed or predicted). Every quantity of `QUANTITIES` has
four columns: `x`, the value of the single fit; `x_err`, its 1 sigma error as the code itself states it (NaN where it
states none); `x_boot` and `x_std`, mean and standard deviation over the bootstrap draws (NaN without draws).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sanspec.errors import SanspecError
from sanspec.store import read_table, write_table

KINDS = ("observed", "predicted")


@dataclass(frozen=True)
class Quantity:
    """One quantity of a table: name, unit as astropy spells it, description."""

    name: str
    unit: str
    description: str


QUANTITIES = (
    Quantity("v", "km/s", "stellar velocity relative to the redshift `z` of the fit"),
    Quantity("vdisp", "km/s", "stellar velocity dispersion, instrumental resolution removed"),
    Quantity("log_age_light", "dex(yr)", "light-weighted mean of log10(age / yr)"),
    Quantity("log_age_mass", "dex(yr)", "mass-weighted mean of log10(age / yr)"),
    Quantity("metal_light", "dex", "light-weighted mean of [M/H]"),
    Quantity("metal_mass", "dex", "mass-weighted mean of [M/H]"),
    Quantity("ebv_stars", "mag", "colour excess E(B-V) of the stars"),
    Quantity("ebv_gas", "mag", "colour excess E(B-V) of the gas"),
    Quantity(
        "ml", "Msun / Lsun", "mass in stars and remnants over rest-frame luminosity in SDSS r without dust"
    ),
    Quantity("log_mass", "dex(Msun)", "mass in stars and remnants inside the fibre"),
    Quantity("log_mass_formed", "dex(Msun)", "mass formed over the history of the stars inside the fibre"),
)

_BALMER = ("h_delta", "h_gamma", "h_beta")
LINES = (*_BALMER, "o_iii_5007", "o_i_6300", "h_alpha", "n_ii_6583", "s_ii_6716", "s_ii_6731")

FACTS = (
    Quantity("z", "", "redshift at which the spectrum was fitted"),
    Quantity("snr", "", "median flux over the noise of the fit, per pixel of the fit"),
    Quantity("chi2", "", "chi2 per degree of freedom of the single fit"),
    Quantity("n_pix", "", "pixels fitted"),
    Quantity("n_draws", "", "bootstrap draws made"),
    Quantity("n_refit", "", "draws of the fast bootstrap that were refitted in full"),
    Quantity("seconds", "s", "process CPU seconds spent on the spectrum"),
)

_COUNTS = dict.fromkeys(("n_pix", "n_draws", "n_refit"), np.int32)
_INTEGERS = _COUNTS | {"warn": np.uint32, "specobjid": np.uint64}


def columns() -> dict[str, str]:
    """Every column of a table in order, with its unit."""
    units = {"specobjid": "", "kind": "", "z": ""}
    for quantity in QUANTITIES:
        units |= {f"{quantity.name}{suffix}": quantity.unit for suffix in ("", "_err", "_boot", "_std")}
    for line in LINES:
        for name, unit in ((f"flux_{line}", "1e-17 erg / (s cm2)"), (f"ew_{line}", "Angstrom")):
            units |= {name: unit, f"{name}_err": unit}
    units |= {fact.name: fact.unit for fact in FACTS if fact.name != "z"}
    return units | {"warn": ""}


def row(specobjid: int, kind: str, warn: int = 0, **values: float) -> dict:
    """One row with the given values by column; every other number is NaN, every other count 0.

    Raises KeyError on a name that is no column.
    """
    known = columns()
    if unknown := set(values) - set(known):
        raise KeyError(f"no columns of a stellar population table: {sorted(unknown)}")
    blank = {name: 0 if name in _INTEGERS else np.nan for name in known}
    return blank | values | {"specobjid": int(specobjid), "kind": kind, "warn": int(warn)}


def from_draws(draws: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Columns `x_boot` and `x_std` of quantities given as (draw) arrays: mean and standard deviation, NaN left out."""
    found = {}
    for name, values in draws.items():
        values = np.asarray(values, float)
        values = values[np.isfinite(values)]
        found[f"{name}_boot"] = float(values.mean()) if len(values) else np.nan
        found[f"{name}_std"] = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    return found


def assemble(rows: Iterable[Mapping]) -> pd.DataFrame:
    """Rows made by `row` as a table with the types of the layout."""
    known = columns()
    table = pd.DataFrame(list(rows), columns=list(known))
    types = {name: _INTEGERS.get(name, np.float64) for name in known if name != "kind"}
    return table.astype(types | {"kind": str})


def write(path: Path, table: pd.DataFrame, meta: Mapping) -> None:
    """Write a table of this layout; `meta` must state the `code`, the `library`, its `imf` and its `limits`."""
    if missing := {"code", "library", "imf", "limits"} - set(meta):
        raise KeyError(f"a stellar population table must state {sorted(missing)}")
    write_table(path, table, {name: unit for name, unit in columns().items() if unit}, meta)


def read(path: Path) -> pd.DataFrame:
    """A table of this layout. Raises SanspecError when it has another."""
    table = read_table(path)
    if absent := [name for name in columns() if name not in table.columns]:
        raise SanspecError(f"{path} lacks {absent[0]}: not a stellar population table of this version; rerun")
    return table


def merge(paths: Iterable[Path]) -> pd.DataFrame:
    """Shards as one table in the order of (specobjid, kind); `attrs` are those of the first shard.

    Raises SanspecError when two shards hold the same spectrum or were made with different settings.
    """
    shards = [read(path) for path in paths]
    own = {"created", "shard"}
    headers = [{k: v for k, v in shard.attrs["meta"].items() if k not in own} for shard in shards]
    if any(other != headers[0] for other in headers):
        raise SanspecError("shards were made with different settings or templates: delete them and rerun")
    table = pd.concat(shards, ignore_index=True).sort_values(["specobjid", "kind"], ignore_index=True)
    if table.duplicated(["specobjid", "kind"]).any():
        raise SanspecError("shards overlap: two of them hold the same spectrum; delete them and rerun")
    table.attrs = {"units": shards[0].attrs["units"], "meta": headers[0]}
    return table


def pairs(table: pd.DataFrame) -> pd.DataFrame:
    """One row per object that has both kinds: columns of the layout with `_observed` and `_predicted` appended."""
    sides = [
        table[table["kind"] == kind].drop(columns="kind").set_index("specobjid").add_suffix(f"_{kind}")
        for kind in KINDS
    ]
    return sides[0].join(sides[1], how="inner").copy().reset_index()
