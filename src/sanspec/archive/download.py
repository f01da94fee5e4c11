"""Download one file: into `.part`, continued by Range where the transfer broke off, checked, and only then renamed.

A file under its final name is complete and has passed its check. No file name is taken from the server.
"""

import errno
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import requests

from sanspec import store
from sanspec.archive.session import RETRIED, Refused, Session, Transient
from sanspec.errors import SanspecError
from sanspec.survey.fitsrows import Damaged

LARGE = 1 << 20  # bytes: a part larger than this is worth continuing in another process
_READ_ONLY = 0o444
_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EACCES: "no permission",
    errno.EROFS: "read-only",
}
_ALIKE = 3  # identical damaged copies in a row: the file is damaged at the service


class Cut(Damaged):
    """A file lacks its end, which may still arrive."""


class Passing(Damaged):
    """Not the file at all but, for example, an error page, which says nothing about the file."""


class Spoilt(Refused):
    """The file is damaged at the service: three downloads gave the same bytes."""


@dataclass(frozen=True)
class Received:
    """What arrived: bytes, SHA-256 (hexadecimal), number of tries, and bytes saved by resuming."""

    size: int
    sha256: str
    tries: int
    resumed: int


def fetch(
    session: Session,
    url: str,
    target: Path,
    check: Callable[[Path], None],
    progress: Callable[[int], None] = int,
) -> Received:
    """Fetch `url` to `target`, complete and checked, or raise and leave nothing under that name.

    check: called with the finished part; raises Cut where the end is missing (the rest is then requested), or Damaged
    where it is not what it should be (it is then discarded and fetched anew). progress: called with the bytes now in
    the part. Raises Refused where the service does not have the file or all tries have failed; SanspecError as
    Session does, or where the disk accepts no more.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    transfer = _Transfer(session, url, target, progress)
    part = transfer.part

    def once() -> None:
        """One try."""
        transfer.resume()
        try:
            check(part)
        except Damaged as fault:
            transfer.judge(fault)
            raise Transient(str(fault)) from None

    try:
        session.retry(once)
        size = part.stat().st_size
        if size > LARGE:
            with part.open("rb") as file:
                os.fsync(file.fileno())
        received = Received(size, store.digest(part), transfer.tries, transfer.resumed)
        part.chmod(_READ_ONLY)
        part.replace(target)
        transfer.notes.unlink(missing_ok=True)
    except OSError as fault:
        if fault.errno not in _DISK:
            raise
        raise SanspecError(
            f"cannot write {target}: {_DISK[fault.errno]}; free some space or change acquire.store, then run again"
        ) from None
    return received


class _Transfer:
    """One file being downloaded; its part outlives failed tries and, if large, the process."""

    def __init__(self, session: Session, url: str, target: Path, progress: Callable[[int], None]):
        self.session, self.url, self.progress = session, url, progress
        self.part = target.with_name(target.name + ".part")
        self.notes = target.with_name(target.name + ".part.json")
        self.tries = self.resumed = 0
        self.found: list[str] = []  # digests of parts that failed the check
        self.whole = False  # the server says that nothing is missing
        self.validator = self._noted()
        if self.validator is None:
            self.part.unlink(missing_ok=True)

    def _noted(self) -> str | None:
        """The ETag of a part left by another process; None where there is none for this address."""
        try:
            notes = json.loads(self.notes.read_text())
        except (OSError, ValueError):
            return None
        return notes.get("etag") if notes.get("url") == self.url else None

    def restart(self) -> None:
        """Discard what has arrived."""
        self.validator, self.whole = None, False
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def judge(self, fault: Damaged) -> None:
        """Keep or discard a part that failed its check. Raises Spoilt where it is the same each time."""
        if not isinstance(fault, Cut | Passing):
            self.found.append(store.digest(self.part))
            if self.found[-_ALIKE:] == [self.found[-1]] * _ALIKE:
                self.restart()
                raise Spoilt(str(fault))
        if self.whole or not isinstance(fault, Cut):
            self.restart()

    def resume(self) -> None:
        """Request the rest once. Raises Transient or Refused."""
        self.tries += 1
        have = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Accept-Encoding": "identity"}
        if have and self.validator:
            headers |= {"Range": f"bytes={have}-", "If-Range": self.validator}
        with self.session.open("GET", self.url, headers=headers) as response:
            if response.status_code == 416 and response.headers.get("Content-Range") == f"bytes */{have}":
                self.resumed, self.whole = self.resumed + have, True
            else:
                self._receive(response, self._start(response, have))

    def _start(self, response: requests.Response, have: int) -> int:
        """Position in the file at which the body starts, from the status and Content-Range."""
        status = response.status_code
        if status == 200:
            return 0
        if status == 206:
            found = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", ""))
            if found and int(found[1]) == have:
                return have
            self.restart()
            raise Transient("wrong Content-Range")
        if status == 416:
            self.restart()
            raise Transient("HTTP 416")
        if status in RETRIED:
            raise Transient(f"HTTP {status}")
        raise Refused(f"HTTP {status}", status)

    def _receive(self, response: requests.Response, start: int) -> None:
        """Write the body after the first `start` bytes of the part."""
        self.resumed += start
        etag = response.headers.get("ETag", "")
        self.validator = (
            etag if etag.startswith('"') else None
        )  # a weak one does not guarantee identical bytes
        announced = response.headers.get("Content-Length", "0")
        if self.validator and announced.isdecimal() and int(announced) > LARGE:
            self.notes.write_text(json.dumps({"url": self.url, "etag": self.validator}))
        with self.part.open("r+b" if start else "wb") as file:
            file.truncate(start)
            file.seek(start)
            for chunk in self.session.chunks(response):
                file.write(chunk)
                self.progress(file.tell())
