"""The cube file of Pasquet et al. (2019): a local one as it is, or fetched with Range resume and checksum."""

import logging
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt64

from sanspec import store
from sanspec.archive import download
from sanspec.archive.casjobs import as_user_fault
from sanspec.archive.download import Cut
from sanspec.archive.session import Refused, Session
from sanspec.config import Acquire
from sanspec.errors import SanspecError
from sanspec.survey import cubes
from sanspec.survey.fitsrows import Damaged

log = logging.getLogger(__name__)

NAME = "sdss.npz"
_LABELS = 20_000  # labels read at a time


def obtain(session: Session, settings: Acquire, progress: Callable[[int], None] = int) -> tuple[Path, dict]:
    """The cube file and what is known of it (`bytes`, `sha256`, `compared`, `cubes`, `resumed`).

    Raises SanspecError where there is none, it is not the layout, or its checksum is another.
    """
    if settings.cubes is not None:
        path, resumed = settings.cubes, 0
    elif settings.services.cubes is not None:
        path = settings.store / NAME
        resumed = 0 if path.exists() else _fetch(session, settings.services.cubes, path, progress)
    else:
        raise SanspecError(
            "no cube file: name a local one in acquire.cubes, or its address in acquire.services.cubes "
            "(https://deepdip.iap.fr, item 60ef1e05be2b8ebb048d951d, 54 GB)"
        )
    count = _check_layout(path)
    log.info("reading %s, %.2f GB, for its checksum", path, path.stat().st_size / 1e9)
    digest = store.digest(path)
    if settings.cubes_sha256 not in (None, digest):
        raise SanspecError(
            f"cube file {path} has sha256 {digest}, not {settings.cubes_sha256} as acquire.cubes_sha256 "
            "says: remove it and fetch it again, or correct the setting"
        )
    compared = settings.cubes_sha256 is not None
    size = path.stat().st_size
    return path, {"bytes": size, "sha256": digest, "compared": compared, "cubes": count, "resumed": resumed}


def _fetch(session: Session, url: str, path: Path, progress: Callable[[int], None]) -> int:
    """Download the file; bytes that earlier runs had fetched already."""
    try:
        _check_room(session, url, path)
        return download.fetch(session, url, path, _check_zip, progress).resumed
    except Refused as fault:
        raise as_user_fault(fault, f"the cube file at {url}") from None


def _check_room(session: Session, url: str, path: Path) -> None:
    """Raises SanspecError where the disk has no room for what is still to come."""
    answer = session.call("HEAD", url, headers={"Accept-Encoding": "identity"})
    size = answer.headers.get("Content-Length", "")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    have = part.stat().st_size if part.exists() else 0
    free = shutil.disk_usage(path.parent).free
    if answer.status == 200 and size.isdecimal() and int(size) - have > free:
        raise SanspecError(
            f"{path.parent} has {free / 1e9:.1f} GB left, the cube file needs "
            f"{(int(size) - have) / 1e9:.1f} GB more: name a larger disk in acquire.store"
        )


def _check_zip(path: Path) -> None:
    """Raises Cut or Damaged where a file is not a whole zip archive."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\3\4":
            raise Damaged("not an .npz file")
    if not zipfile.is_zipfile(path):  # the archive's table of contents is its end
        raise Cut("truncated .npz file")


def _check_layout(path: Path) -> int:
    """Number of cubes. Raises SanspecError where shape, type or ids are not as published."""
    with cubes.open_cubes(path) as member:
        count = len(member)
    if len(cubes.read_ids(path)) != count:
        raise SanspecError(f"cube file {path}: as many labels as cubes are needed")
    return count


def read_pairs(path: Path) -> tuple[UInt64[np.ndarray, "gal id"], tuple[str, ...]]:
    """The ids to ask for, each once, in ascending order, and the names of their columns.

    (specObjID, objID) where the labels hold objID, else (specObjID,): then the catalogue's own match is used.
    """
    specobjid = cubes.read_ids(path)
    with cubes.Member(path, "labels") as labels:
        field = next((name for name in labels.dtype.names if name.lower() == "objid"), None)
        wide = field is not None and labels.dtype[field].kind in "iu" and labels.dtype[field].itemsize == 8
        objid = _column(labels, field) if wide else np.zeros(0, np.uint64)
    ids, first = np.unique(specobjid, return_index=True)
    if not objid.any():
        return ids[:, None], ("specObjID",)
    return np.stack([ids, objid[first]], axis=1), ("specObjID", "objID")


def _column(labels: cubes.Member, name: str) -> UInt64[np.ndarray, " gal"]:
    """One field of the labels, read in blocks: all 64 fields of 659,857 galaxies are 0.2 GB."""
    starts = range(0, len(labels), _LABELS)
    parts = (labels.read(first, min(_LABELS, len(labels) - first))[name] for first in starts)
    return np.concatenate([np.zeros(0, np.uint64), *(part.astype(np.uint64) for part in parts)])


@contextmanager
def writer(path: Path, labels: np.ndarray) -> Iterator[Callable[[np.ndarray], None]]:
    """An .npz of the published layout for `labels`, filled by the function given, cube after cube."""
    with store.atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("labels.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, labels, allow_pickle=False)
        with archive.open("cube.npy", "w", force_zip64=True) as member:
            shape = (len(labels), cubes.SIDE, cubes.SIDE, len(cubes.BANDS))
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            yield lambda cube: member.write(np.ascontiguousarray(cube, "<f4").tobytes()) and None
