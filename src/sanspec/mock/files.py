"""Write the files of the simulated sky: the cube file one cube at a time, the catalogue, a folder as a whole."""

import errno
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from sanspec.errors import SanspecError
from sanspec.mock import catalogue, image, stars

CUBE = (image.SIZE, image.SIZE, len(stars.BANDS))
_FAULTS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EACCES: "no permission",
    errno.EROFS: "read-only",
    errno.ENOTDIR: "not a folder",
}


@contextmanager
def cube_file(path: Path, count: int) -> Iterator[Callable[[np.ndarray, np.ndarray], None]]:
    """An uncompressed npz with `cube` (gal, y, x, band) and `labels`, filled through the function it yields.

    The layout is that of Pasquet et al. 2019; one cube is in memory at a time. Raises ValueError when the
    number of cubes is not `count`.
    """
    labels, filled = np.zeros(count, catalogue.LABELS), 0

    def add(cube: np.ndarray, label: np.ndarray) -> None:
        """One more cube (y, x, band) and its label."""
        nonlocal filled
        labels[filled] = label
        member.write(np.ascontiguousarray(cube, "<f4").tobytes())
        filled += 1

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        with archive.open("cube.npy", "w", force_zip64=True) as member:
            layout = {"descr": "<f4", "fortran_order": False, "shape": (count, *CUBE)}
            np.lib.format.write_array_header_1_0(member, layout)
            yield add
        with archive.open("labels.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, labels, allow_pickle=False)
    if filled != count:
        raise ValueError(f"{filled} cubes written where {count} were announced")


def write_catalogue(path: Path, rows: list[dict], seed: int) -> None:
    """Write the rows in random order as CasJobs writes CSV: real with 7 digits, float with 15, ids in full."""

    def text(value) -> str:
        if isinstance(value, np.float32):
            return f"{value:.7g}"
        return f"{value:.15g}" if isinstance(value, float) else str(value)

    order = np.random.default_rng([seed, 0, 6]).permutation(len(rows))
    lines = [",".join(rows[0])] + [",".join(map(text, rows[i].values())) for i in order]
    path.write_text("\n".join(lines) + "\n")


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A temporary folder to fill; when the block ends well its members move to `out`, otherwise none does.

    Other files in `out` stay. Raises SanspecError when the disk is full or the folder cannot be written.
    """
    temporary = None
    try:
        out.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        yield temporary
        for member in sorted(temporary.iterdir()):
            place = out / member.name
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
            member.replace(place)
    except OSError as fault:
        if fault.errno not in _FAULTS:
            raise
        raise SanspecError(
            f"cannot write {out}: {_FAULTS[fault.errno]}; free some space or change --out, then rerun"
        ) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
