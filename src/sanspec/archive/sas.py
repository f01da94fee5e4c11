"""Spectra from SAS, one spec-lite file an object; what a file must be before it gets its name."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sanspec.archive import download
from sanspec.archive.session import Refused, Session
from sanspec.config import Acquire
from sanspec.database.manifest import Outcome
from sanspec.errors import SanspecError
from sanspec.survey import fitsrows, packed, sdss
from sanspec.survey.fitsrows import Damaged

_BLOCK = 2880
_EXTENSIONS = 3  # COADD, SPECOBJ, SPZLINE
_PIXELS = {"flux", "loglam", "ivar", "and_mask", "wdisp"}
_DIMENSIONS = re.compile(rb"TDIM(\d+) *= '\(([\d, ]*)\)")
NOT_FOUND = "HTTP 404"


@dataclass(frozen=True)
class Wanted:
    """One object of the manifest: its row, ids, and the reason why it did not arrive before."""

    row: int
    specobjid: int
    objid: int
    reason: str = ""

    @property
    def ids(self) -> dict[str, int]:
        """plate, mjd, fiberid, and run2d as a number."""
        return {name: int(value) for name, value in sdss.unpack(self.specobjid).items()}

    @property
    def file(self) -> str:
        """Path below the folder of spectra: a folder a plate, of 1,000 files at most."""
        ids = self.ids
        return sdss.file_name(ids["plate"], ids["mjd"], ids["fiberid"])

    @property
    def plate(self) -> str:
        """Name of the folder of the object's plate."""
        return self.file.partition("/")[0]

    def url(self, template: str) -> str:
        """Address of the file."""
        ids = self.ids
        return template.format(**ids | {"run2d": sdss.run_name(ids["run2d"])})


class Sas:
    """The Science Archive Server, as a source of spectra."""

    name, batch = "sas", 1

    def __init__(self, session: Session, settings: Acquire):
        self._session, self._template = session, settings.services.spectra

    def fetch(self, wanted: Sequence[Wanted], folder: Path) -> Iterator[Outcome]:
        """Fetch objects to `folder`, one outcome each; what stands there whole is taken over."""
        for item in wanted:
            yield adopt(item, folder) or self._fetch(item, folder)

    def _fetch(self, item: Wanted, folder: Path) -> Outcome:
        """One object over the network."""
        url = item.url(self._template)
        try:
            received = download.fetch(self._session, url, folder / item.file, lambda path: check(path, item))
        except Refused as fault:
            return refused(item, fault, self.name)
        return Outcome(item.row, "done", self.name, received.tries, received.size, received.sha256)


def refused(item: Wanted, fault: Refused, source: str) -> Outcome:
    """The outcome of a refusal; a 404 counts when it has come up twice, since mirrors lag."""
    attempts = int(found[1]) if (found := re.search(r"\((\d+) tries\)", str(fault))) else 1
    reason = str(fault).split(" (")[0]
    if isinstance(fault, download.Spoilt):
        return Outcome(item.row, "missing", source, 3, reason=f"damaged in the archive: {reason}")
    if fault.status in (404, 410):
        if item.reason == NOT_FOUND:
            return Outcome(item.row, "missing", source, 1, reason="not in the archive (HTTP 404 twice)")
        return Outcome(item.row, "failed", source, 1, reason=NOT_FOUND)
    return Outcome(item.row, "failed", source, attempts, reason=reason)


def adopt(item: Wanted, folder: Path) -> Outcome | None:
    """The outcome of an object that stands in `folder` already, packed or not; None where it does not."""
    path = folder / item.file
    try:
        if not packed.exists(path):
            return None
        check(path, item)
    except (Damaged, SanspecError):
        path.unlink(missing_ok=True)
        return None
    content = packed.read_bytes(path)
    return Outcome(item.row, "done", "disk", 0, len(content), hashlib.sha256(content).hexdigest())


# ---------------------------------------------------------------------------------------------- what is whole


def check(path: Path, item: Wanted) -> None:
    """Raises Damaged (in a few stable words) where a file is not the whole spectrum of `item`."""
    handle = packed.open_handle(path)
    try:
        if os.pread(handle, 200, 0).lstrip().startswith(b"<"):
            raise download.Passing("HTML page instead of FITS")
        pixels, about = _tables(handle)
    finally:
        os.close(handle)
    if missing := _PIXELS - set(pixels.dtype.names):
        raise Damaged(f"COADD lacks {', '.join(sorted(missing))}")
    if not len(pixels) or not np.isfinite(pixels["flux"]).any():
        raise Damaged("no finite flux")
    if identity(about) != item.specobjid:
        raise Damaged("file of another object")


def _tables(handle: int) -> tuple[np.ndarray, np.ndarray]:
    """COADD and SPECOBJ of a file that is whole to the end of its third extension. Raises Damaged."""
    size, end, rows = os.fstat(handle).st_size, 0, []
    for layout, position in fitsrows.tables(handle, _EXTENSIONS):
        _check_dimensions(os.pread(handle, position - end, end))
        end = position + -(-layout.size // _BLOCK) * _BLOCK
        if end > size:
            raise Damaged("truncated: the file ends inside a table")
        if len(rows) < 2:
            rows.append(fitsrows.read_rows(handle, layout, position))
    if size % _BLOCK:
        raise Damaged("truncated: not a whole number of FITS blocks")
    return rows[0], rows[1]


def _check_dimensions(header: bytes) -> None:
    """Raises Damaged where a TDIM card contradicts its column's format (FITS 4.0, section 7.3.2)."""
    for number, axes in _DIMENSIONS.findall(header):
        form = re.search(rb"TFORM" + number + rb" *= '(\d*)", header)
        product = int(np.prod([int(axis) for axis in axes.split(b",") if axis.strip()], dtype=np.int64))
        if form is None or product != int(form[1] or 1):
            raise Damaged("damaged header: TDIM contradicts TFORM")


def identity(about: np.ndarray) -> int:
    """specobjid of a SPECOBJ row, made from its plate, mjd, fiberid and run2d; 0 where it tells none."""
    if not len(about) or not {"plate", "mjd", "fiberid", "run2d"} <= set(about.dtype.names):
        raise Damaged("SPECOBJ does not name its object")
    row = about[0]
    try:
        run2d = sdss.run_number(bytes(row["run2d"]).decode("latin-1"))
        return int(sdss.pack(int(row["plate"]), int(row["mjd"]), int(row["fiberid"]), run2d))
    except ValueError:
        return 0
