"""Files of the embedded sky: a cube file filled one by one, the CSV, a folder that appears whole."""

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
    """An uncompressed npz with `cube` (gal, y, x, band) and `labels`, filled by the function handed out.

    The layout is that of Pasquet et al. 2019; no more than one cube is held. Raises ValueError when not
    exactly `count` cubes came.
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
    """The rows as CasJobs' CSV, in an order of their own."""
    order = np.random.default_rng([seed, 0, 6]).permutation(len(rows))
    lines = [",".join(rows[0])] + [",".join(map(catalogue.text, rows[i].values())) for i in order]
    path.write_text("\n".join(lines) + "\n")


@contextmanager
def appearing(out: Path) -> Iterator[Path]:
    """A folder to fill; when the block ends well its members take their places in `out`, else none does.

    What else stands in `out` stays. Raises SanspecError when the disk is full or cannot be written.
    """
    temporary = None
    try:
        out.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        yield temporary
        for member in sorted(temporary.iterdir()):
            _remove(out / member.name)
            member.replace(out / member.name)
    except OSError as fault:
        if fault.errno not in _FAULTS:
            raise
        raise SanspecError(
            f"cannot write {out}: {_FAULTS[fault.errno]}; free some space or change --out, then rerun"
        ) from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _remove(path: Path) -> None:
    """Make way for a new file or folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
