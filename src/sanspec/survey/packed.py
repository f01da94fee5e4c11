"""Spectrum files packed by plate into HDF5, bit for bit: PPPP.h5 instead of the folder PPPP.

Pixels are stored by column with shuffled bytes and gzip, headers and the other extensions as they are; a
file comes out with the bytes that went in. 77 real spec-lite files of 172.8 kB take 72.6 kB each, so that the
paper's 270,621 need 19.6 GB instead of 46.8 GB.
"""

import hashlib
import os
from pathlib import Path

import h5py
import numpy as np

from sanspec import store
from sanspec.errors import SanspecError
from sanspec.survey import fitsrows

_GZIP = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
_COMPACT = {"libver": ("v110", "v110")}  # HDF5's own headers take 20 kB a spectrum less than by default


def plate_file(path: Path) -> Path:
    """The packed file that holds, or would hold, the spectrum at `path` (…/PPPP/spec-….fits -> …/PPPP.h5)."""
    return path.parent.parent / f"{path.parent.name}.h5"


def digest(path: Path) -> str:
    """SHA-256 of a spectrum, packed or not; empty where it is missing or damaged."""
    try:
        return hashlib.sha256(read_bytes(path)).hexdigest()
    except SanspecError:
        return ""


def read_bytes(path: Path) -> bytes:
    """The bytes of a spectrum file, packed or not. Raises SanspecError where there is none."""
    if path.exists():
        return path.read_bytes()
    try:
        with h5py.File(plate_file(path), "r") as file:
            return _restored(file[path.name])
    except (OSError, KeyError) as fault:
        raise SanspecError(
            f"no spectrum {path}, packed or not ({type(fault).__name__}); fetch it again"
        ) from None


def names(path: Path) -> list[str]:
    """Names of the spectra in a packed file."""
    with store.arrays(path) as file:
        return sorted(file)


def exists(path: Path) -> bool:
    """Whether a spectrum is here, packed or not."""
    if path.exists():
        return True
    if not plate_file(path).exists():
        return False
    with store.arrays(plate_file(path)) as file:
        return path.name in file


def pack_plate(folder: Path) -> None:
    """Pack the spectra in a plate's folder next to those packed before, and drop the FITS files.

    A file is removed only when it has been read back bit for bit, the folder only when it is empty. Raises
    SanspecError where a file does not come back as it was.
    """
    files = {path.name: path for path in sorted(folder.glob("spec-*.fits"))}
    target = folder.with_suffix(".h5")
    if files:
        with store.atomic(target) as temporary, h5py.File(temporary, "w", **_COMPACT) as file:
            if target.exists():
                with store.arrays(target) as before:
                    for name in set(before) - set(files):
                        before.copy(before[name], file)
            for path in files.values():
                _put(file, path)
        with h5py.File(target, "r") as file:
            for name, path in files.items():
                if _restored(file[name]) != path.read_bytes():
                    raise SanspecError(f"{target} does not give back {name} as it was: is the disk sound?")
        for path in files.values():
            path.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def count_folder(folder: Path) -> dict[str, int]:
    """Number and bytes of the packed plates in a folder of spectra."""
    files = list(folder.glob("*.h5"))
    return {"plates": len(files), "bytes": sum(path.stat().st_size for path in files)}


def _put(file: h5py.File, path: Path) -> None:
    """One spectrum file as a group: its pixel table by column, the bytes before and after it."""
    content = path.read_bytes()
    with path.open("rb") as handle:
        layout, position = next(iter(fitsrows.tables(handle.fileno(), 1)))
        rows = fitsrows.read_rows(handle.fileno(), layout, position)
    group = file.create_group(path.name)
    group.attrs["sha256"] = hashlib.sha256(content).hexdigest()
    for name in rows.dtype.names:
        group.create_dataset(name, data=np.ascontiguousarray(rows[name]), **_GZIP)
    end = position + rows.nbytes
    for name, part in (("head", content[:position]), ("tail", content[end:])):
        group.create_dataset(f"_{name}", data=np.frombuffer(part, np.uint8), **_GZIP)
    group.attrs["columns"] = list(rows.dtype.names)


def _restored(group: h5py.Group) -> bytes:
    """The bytes of a spectrum file."""
    columns = list(group.attrs["columns"])
    rows = np.empty(group[columns[0]].shape, dtype=[(name, group[name].dtype) for name in columns])
    for name in columns:
        rows[name] = group[name][:]
    return group["_head"][:].tobytes() + rows.tobytes() + group["_tail"][:].tobytes()


def open_handle(path: Path) -> int:
    """A file descriptor on a spectrum, packed or not, for reading by position; the caller closes it.

    Raises OSError where there is no such file, Damaged where its packed form cannot be read.
    """
    if path.exists() or not plate_file(path).exists():
        return os.open(path, os.O_RDONLY)
    try:
        content = read_bytes(path)
    except SanspecError as fault:
        raise fitsrows.Damaged(str(fault)) from None
    handle = os.memfd_create(path.name)
    os.write(handle, content)
    return handle
