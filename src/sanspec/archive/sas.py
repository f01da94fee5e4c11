"""Spectra from SAS, one spec-lite file per object, and the test that a file must pass before it is kept."""

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
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
        """Path below the folder of spectra, in a folder per plate."""
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


class Source(ABC):
    """A service that spectra come from, `batch` objects per request."""

    name: str
    batch: int

    def __init__(self, session: Session, settings: Acquire):
        self._session, self._settings = session, settings

    def fetch(self, wanted: Sequence[Wanted], folder: Path) -> list[Outcome]:
        """Fetch objects to `folder`, one outcome each; complete files that are there already are kept."""
        found = {item.row: outcome for item in wanted if (outcome := adopt(item, folder))}
        missing = [item for item in wanted if item.row not in found]
        return [*found.values(), *(self._fetch(missing, folder) if missing else ())]

    @abstractmethod
    def _fetch(self, wanted: Sequence[Wanted], folder: Path) -> list[Outcome]:
        """Fetch objects over the network, one outcome each."""

    def _refused(self, item: Wanted, fault: Refused) -> Outcome:
        """The outcome of a refusal. An object counts as missing after a second 404, since mirrors may lag behind."""
        attempts = int(found[1]) if (found := re.search(r"\((\d+) tries\)", str(fault))) else 1
        state, reason = "failed", str(fault).split(" (")[0]
        if isinstance(fault, download.Spoilt):
            state, attempts, reason = "missing", 3, f"damaged in the archive: {reason}"
        elif fault.status in (404, 410):
            twice = item.reason == NOT_FOUND
            state, attempts = "missing" if twice else "failed", 1
            reason = "not in the archive (HTTP 404 twice)" if twice else NOT_FOUND
        return Outcome(item.row, state, self.name, attempts, reason=reason)


class Sas(Source):
    """The Science Archive Server."""

    name, batch = "sas", 1

    def _fetch(self, wanted: Sequence[Wanted], folder: Path) -> list[Outcome]:
        """Fetch objects over the network, one outcome each."""
        return [self._fetch_one(item, folder) for item in wanted]

    def _fetch_one(self, item: Wanted, folder: Path) -> Outcome:
        """Fetch one object."""
        url = item.url(self._settings.services.spectra)
        try:
            received = download.fetch(self._session, url, folder / item.file, lambda path: check(path, item))
        except Refused as fault:
            return self._refused(item, fault)
        return Outcome(item.row, "done", self.name, received.tries, received.size, received.sha256)


def adopt(item: Wanted, folder: Path) -> Outcome | None:
    """The outcome of an object whose complete file is in `folder`, packed or not; None where there is none."""
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


# ------------------------------------------------------------------------------------------ completeness checks


def check(path: Path, item: Wanted) -> None:
    """Raises Damaged (with one of a few fixed reasons) where a file is not the complete spectrum of `item`."""
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
    if not len(about) or not {"plate", "mjd", "fiberid", "run2d"} <= set(about.dtype.names):
        raise Damaged("SPECOBJ does not name its object")
    row = about[0]
    try:
        run2d = sdss.run_number(bytes(row["run2d"]).decode("latin-1"))
        specobjid = int(sdss.pack(int(row["plate"]), int(row["mjd"]), int(row["fiberid"]), run2d))
    except ValueError:
        specobjid = 0
    if specobjid != item.specobjid:
        raise Damaged("file of another object")


def _tables(handle: int) -> tuple[np.ndarray, np.ndarray]:
    """COADD and SPECOBJ of a file that is complete to the end of its third extension. Raises Damaged."""
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
