"""Read image cubes in the layout of Pasquet et al. (2019), block by block: the file of 54 GB exceeds memory.

The .npz file is a zip archive of two members: `cube` (gal, 64, 64, 5) float32 in nanomaggies, bands ugriz
last, and `labels`, a structured array with the field `specObjID`. A stored member is read at computed
positions (by pread, since mapped pages would count as memory in use), a compressed one is streamed once from
beginning to end.
"""

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt64
from numpy.lib import format as npy

from sanspec.errors import SanspecError

BANDS = "ugriz"
SIDE = 64  # pixels of `physics.constants.PIXEL_SCALE`
_LABEL_BLOCK = 4096  # labels read at a time
_LOCAL_HEADER = 30  # bytes of a zip member's header before its name and extra field


class Member:
    """One array of an .npz file, read in blocks of rows; `shape` and `dtype` are those of its header."""

    def __init__(self, path: Path, name: str):
        """Raises SanspecError where the file is no .npz, lacks the member or holds pickled objects."""
        self.path, self.name = Path(path), name
        try:
            self._archive = zipfile.ZipFile(path)
            self._open(self._archive)
        except FileNotFoundError:
            raise self.fault("no such file", "set survey.cubes to the .npz file of the image cubes") from None
        except (zipfile.BadZipFile, EOFError, ValueError, zlib.error, OSError) as fault:
            raise self.fault(f"not a whole .npz file ({fault})", "fetch it again") from None
        except KeyError:
            raise self.fault(f"no array {name!r} in it", "expected the arrays 'cube' and 'labels'") from None

    def _open(self, archive: zipfile.ZipFile) -> None:
        """Read the array's header; keep a stream for a compressed member, a position for a stored one."""
        info = archive.getinfo(f"{self.name}.npy")
        self._stream = archive.open(info)
        version = npy.read_magic(self._stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        self.shape, fortran, self.dtype = read(self._stream)
        if fortran or self.dtype.hasobject or not self.shape:
            raise ValueError(f"array {self.name!r} is in Fortran order, of Python objects or a scalar")
        self.row_bytes = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        self.compressed = info.compress_type != zipfile.ZIP_STORED
        self._row, self._handle = 0, -1
        if not self.compressed:
            self._handle = os.open(self.path, os.O_RDONLY)
            local = os.pread(self._handle, _LOCAL_HEADER, info.header_offset)
            names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
            self._begin = info.header_offset + _LOCAL_HEADER + names + self._stream.tell()

    def __len__(self) -> int:
        return self.shape[0]

    def __enter__(self):
        return self

    def __exit__(self, *fault) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._archive.close()
        if self._handle >= 0:
            os.close(self._handle)

    def read(self, first: int, count: int) -> np.ndarray:
        """Rows [first, first + count). Raises ValueError for a compressed member unless rows are read in order."""
        data = self._inflate(first, count) if self.compressed else self._pread(first, count)
        if len(data) < count * self.row_bytes:
            row = first + len(data) // self.row_bytes
            raise self.fault(f"array {self.name!r} ends inside row {row}", "fetch it again")
        return np.frombuffer(data, dtype=self.dtype).reshape(count, *self.shape[1:])

    def _pread(self, first: int, count: int) -> bytes:
        """Bytes of rows of a stored member."""
        return os.pread(self._handle, count * self.row_bytes, self._begin + first * self.row_bytes)

    def _inflate(self, first: int, count: int) -> bytes:
        """Bytes of rows of a compressed member; the rows before them are read and dropped."""
        if first < self._row:
            raise ValueError(f"row {first} of a compressed array lies before row {self._row}, already passed")
        try:
            for _ in range(first - self._row):
                self._stream.read(self.row_bytes)
            data = self._stream.read(count * self.row_bytes)
        except (zlib.error, zipfile.BadZipFile, EOFError) as fault:
            raise self.fault(f"damaged near row {first} ({fault})", "fetch it again") from None
        self._row = first + count
        return data

    def take(self, rows: Int[np.ndarray, " gal"]) -> np.ndarray:
        """The given rows, in strictly ascending order; contiguous rows are read together."""
        result = np.empty((len(rows), *self.shape[1:]), dtype=self.dtype)
        cuts = np.flatnonzero(np.diff(rows) != 1) + 1
        for run in np.split(np.arange(len(rows)), cuts) if len(rows) else []:
            result[run] = self.read(int(rows[run[0]]), len(run))
        return result

    def fault(self, what: str, remedy: str) -> SanspecError:
        """An error about this file, for the user."""
        return SanspecError(f"cube file {self.path}: {what}; {remedy}")


def open_cubes(path: Path) -> Member:
    """The image cubes of a file; the caller closes it. Raises SanspecError for another shape or type."""
    member = Member(path, "cube")
    if member.shape[1:] != (SIDE, SIDE, len(BANDS)) or member.dtype != np.dtype("<f4"):
        member.close()
        what = f"array 'cube' has shape {member.shape} and type {member.dtype}"
        expected = f"(gal, {SIDE}, {SIDE}, {len(BANDS)}) float32, nanomaggies, bands {BANDS} last"
        raise member.fault(what, f"expected {expected}")
    return member


def read_ids(path: Path) -> UInt64[np.ndarray, " gal"]:
    """specobjid of every cube, exact. Raises SanspecError where the labels do not hold them as integers."""
    with Member(path, "labels") as labels, open_cubes(path) as cubes:
        if len(labels) != len(cubes):
            raise labels.fault(f"{len(labels)} labels for {len(cubes)} cubes", "fetch it again")
        fields = {name.lower(): name for name in labels.dtype.names or ()}
        if "specobjid" not in fields:
            known = ", ".join(fields) or "none"
            raise labels.fault("array 'labels' lacks the field 'specObjID'", f"it has: {known}")
        name = fields["specobjid"]
        kind = labels.dtype[name]
        if kind.kind not in "iuSU" or (kind.kind in "iu" and kind.itemsize != 8):
            what = f"labels field {name!r} is of type {kind}, which rounds ids"
            raise labels.fault(what, "expected 64-bit integers or text")
        starts = range(0, len(labels), _LABEL_BLOCK)
        blocks = (labels.read(first, min(_LABEL_BLOCK, len(labels) - first))[name] for first in starts)
        try:
            return np.concatenate([np.zeros(0, np.uint64), *(block.astype(np.uint64) for block in blocks)])
        except ValueError:
            raise labels.fault(
                f"labels field {name!r} holds text that is no integer", "fetch it again"
            ) from None
