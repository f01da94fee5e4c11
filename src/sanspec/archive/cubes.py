"""The cube file of Pasquet et al. (2019): a local one is used as it is, a remote one is downloaded and checked."""

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
from sanspec.archive.download import Cut
from sanspec.archive.session import Refused, Session
from sanspec.config import Acquire
from sanspec.errors import SanspecError
from sanspec.survey import cubes
from sanspec.survey.fitsrows import Damaged

log = logging.getLogger(__name__)

NAME = "sdss.npz"


def obtain(session: Session, settings: Acquire, progress: Callable[[int], None] = int) -> tuple[Path, dict]:
    """The cube file, and what is known of it (`bytes`, `sha256`, `compared`, `cubes`, `resumed`).

    Raises SanspecError where there is none, or where layout or checksum differ.
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
    count, size = len(cubes.read_ids(path)), path.stat().st_size
    log.info("reading %s, %.2f GB, for its checksum", path, size / 1e9)
    digest, expected = store.digest(path), settings.cubes_sha256
    if expected not in (None, digest):
        raise SanspecError(
            f"cube file {path} has sha256 {digest}, not {expected} as acquire.cubes_sha256 says: "
            "remove it and fetch it again, or correct the setting"
        )
    compared = expected is not None
    return path, {"bytes": size, "sha256": digest, "compared": compared, "cubes": count, "resumed": resumed}


def _fetch(session: Session, url: str, path: Path, progress: Callable[[int], None]) -> int:
    """Download the file, if the disk has room for it; the bytes that earlier runs had fetched already."""
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        answer = session.call("HEAD", url, headers={"Accept-Encoding": "identity"})
        size = answer.headers.get("Content-Length", "")
        free = shutil.disk_usage(path.parent).free
        needed = int(size) if answer.status == 200 and size.isdecimal() else 0
        needed -= part.stat().st_size if part.exists() else 0
        if needed > free:
            raise SanspecError(
                f"{path.parent} has {free / 1e9:.1f} GB left, but the cube file needs {needed / 1e9:.1f} GB more: "
                "name a larger disk in acquire.store"
            )
        return download.fetch(session, url, path, _check_zip, progress).resumed
    except Refused as fault:
        raise fault.explain(f"the cube file at {url}") from None


def _check_zip(path: Path) -> None:
    """Raises Cut or Damaged where a file is not a complete zip archive."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\3\4":
            raise Damaged("not an .npz file")
    if not zipfile.is_zipfile(path):  # the archive's table of contents is at its end
        raise Cut("truncated .npz file")


def read_pairs(path: Path) -> tuple[UInt64[np.ndarray, "gal id"], tuple[str, ...]]:
    """The ids to ask for, each once, in ascending order, and the names of their columns.

    (specObjID, objID) where the labels hold objID, else (specObjID,), and the catalogue's own match is used.
    """
    ids, first = np.unique(cubes.read_ids(path), return_index=True)
    with cubes.Member(path, "labels") as labels:
        name = next((name for name in labels.dtype.names if name.lower() == "objid"), None)
        if name is not None and labels.dtype[name].kind in "iu" and labels.dtype[name].itemsize == 8:
            objid = labels.read(0, len(labels))[name].astype(np.uint64)  # 0.2 GB for all 659,857 galaxies
            if objid.any():
                return np.stack([ids, objid[first]], axis=1), ("specObjID", "objID")
    return ids[:, None], ("specObjID",)


@contextmanager
def writer(path: Path, labels: np.ndarray) -> Iterator[Callable[[np.ndarray], None]]:
    """An .npz file of the published layout with `labels`, to which the yielded function appends cubes one by one."""
    with store.atomic(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        with archive.open("labels.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, labels, allow_pickle=False)
        with archive.open("cube.npy", "w", force_zip64=True) as member:
            shape = (len(labels), cubes.SIDE, cubes.SIDE, len(cubes.BANDS))
            header = {"descr": "<f4", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            yield lambda cube: member.write(np.ascontiguousarray(cube, "<f4").tobytes()) and None
