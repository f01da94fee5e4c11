"""The only reader and writer of arrays and tables: units, shapes, provenance, atomic writes.

Tables are `.ecsv` (units, meta; TOPCAT) or `.parquet` (pandas, TOPCAT); arrays are HDF5, every dataset with the
attributes `unit`, `axes` and `description`; numbers are JSON. A file appears whole or not at all.
"""

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import h5py
import numpy as np
import pandas as pd
from astropy.table import Table
from astropy.units import Unit

from sanspec import __version__
from sanspec.errors import SanspecError

_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EACCES: "no permission",
    errno.EROFS: "read-only",
}


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`: renamed to `path` if the block succeeds, removed if it fails.

    Raises SanspecError (one line) when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as fault:
        if reason := _disk_fault(fault):
            raise SanspecError(
                f"cannot write {path}: {reason}; free some space or change folder, then rerun"
            ) from None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _disk_fault(fault: OSError) -> str | None:
    """What is wrong with the disk; None for any other fault. h5py states the errno in its message only."""
    if fault.errno is not None:
        return _DISK.get(fault.errno)
    return next((reason for code, reason in _DISK.items() if f"errno = {code}" in str(fault)), None)


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def provenance(stage: str, settings: Mapping | None = None, **facts: Any) -> dict:
    """The header of a product: the stage that made it, version, UTC time, settings, further facts."""
    made = {
        "stage": stage,
        "sanspec": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return made | ({"settings": dict(settings)} if settings is not None else {}) | facts


# ---------------------------------------------------------------------------------------------------------- numbers


def write_json(path: Path, numbers: Any) -> None:
    """Write JSON, keys in the order given; NaN and infinities become null."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(_jsonable(numbers), indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises SanspecError when it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text())
    except OSError as fault:
        raise SanspecError(f"cannot read {path}: {fault.strerror}; run the rule that makes it") from None
    except json.JSONDecodeError as fault:
        raise SanspecError(
            f"{path} is not JSON (line {fault.lineno}): delete it and rerun the rule that makes it"
        ) from None


def _jsonable(value: Any) -> Any:
    """A value as JSON holds it: numpy converted, paths as text, non-finite floats as null."""
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, np.generic):
        return _jsonable(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    return value


# ----------------------------------------------------------------------------------------------------------- tables


def write_table(
    path: Path, table: pd.DataFrame, units: Mapping[str, str] | None = None, meta: Mapping | None = None
) -> None:
    """Write a table as ECSV or Parquet (by suffix), with units by column name and `meta` in the header."""
    units, meta = dict(units or {}), _jsonable(dict(meta or {}))
    missing = set(units) - set(table.columns)
    if missing:
        raise KeyError(f"units given for columns that {path} does not have: {sorted(missing)}")
    with atomic(path) as temporary:
        if Path(path).suffix == ".parquet":
            frame = table.copy(deep=False)
            frame.attrs = {"units": units, "meta": meta}
            frame.to_parquet(temporary, index=False)
        else:
            columns = Table({name: _column(table[name]) for name in table.columns}, meta=meta)
            for name, unit in units.items():
                columns[name].unit = Unit(unit)
            columns.write(temporary, format="ascii.ecsv", overwrite=True)


def _column(series: pd.Series) -> np.ndarray:
    """A pandas column as astropy expects it: text as str, everything else unchanged."""
    return (
        series.to_numpy(dtype=str)
        if series.dtype == object or pd.api.types.is_string_dtype(series)
        else series.to_numpy()
    )


def read_table(path: Path) -> pd.DataFrame:
    """A table written by `write_table`; `attrs` holds its `units` and `meta`. Raises SanspecError when unreadable."""
    path = Path(path)
    if not path.exists():
        raise SanspecError(f"no table {path}: run the rule that makes it")
    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        columns = Table.read(path, format="ascii.ecsv")
    except (OSError, ValueError) as fault:
        raise SanspecError(
            f"{path} is not a readable {path.suffix[1:]} table ({fault}): delete it and rerun"
        ) from None
    frame = columns.to_pandas()
    text = [name for name in columns.colnames if columns[name].dtype.kind == "U"]
    frame[text] = frame[text].fillna("")  # ECSV reads an empty string as missing
    frame.attrs = {
        "units": {c: str(columns[c].unit) for c in columns.colnames if columns[c].unit},
        "meta": dict(columns.meta),
    }
    return frame


# ----------------------------------------------------------------------------------------------------------- arrays


@contextmanager
def create(path: Path, meta: Mapping) -> Iterator[h5py.File]:
    """A new HDF5 file to fill with `put`; it appears at `path` when the block succeeds."""
    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["provenance"] = json.dumps(_jsonable(dict(meta)))
        yield file


def put(
    group: h5py.Group,
    name: str,
    data: np.ndarray | None,
    axes: str,
    unit: str = "",
    description: str = "",
    shape: tuple[int, ...] | None = None,
    dtype: Any = None,
    rows: int = 1,
) -> h5py.Dataset:
    """Create a dataset with its unit, axes ("gal pix") and description.

    Give `data`, or `shape` and `dtype` to fill it later in blocks of `rows` objects; it is then chunked by block.
    """
    if data is None:
        chunks = (min(rows, shape[0]), *shape[1:]) if shape[0] else None
        dataset = group.create_dataset(name, shape=shape, dtype=dtype, chunks=chunks)
    else:
        dataset = group.create_dataset(name, data=data)
    if len(axes.split()) != dataset.ndim:
        raise ValueError(f"{name}: axes {axes!r} do not match shape {dataset.shape}")
    Unit(unit)  # raises on an unknown unit
    dataset.attrs.update(unit=unit, axes=axes, description=description)
    return dataset


@contextmanager
def arrays(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file open for reading. Raises SanspecError when it is missing or damaged."""
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise SanspecError(f"no file {path}: run the rule that makes it") from None
    except OSError as fault:
        raise SanspecError(
            f"{path} is not a complete HDF5 file ({fault}): delete it and rerun the rule that makes it"
        ) from None
    with file:
        yield file


def meta(file: h5py.File) -> dict:
    """The provenance of an HDF5 file."""
    return json.loads(file.attrs["provenance"])
