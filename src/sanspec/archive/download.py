"""A file over HTTP: into `.part`, taken up again by Range where it broke off, checked, and only then named.

What stands under its own name is whole and has passed its check; nothing that a server says becomes a path.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from sanspec.archive.session import RETRIED, Refused, Session, Transient
from sanspec.errors import SanspecError
from sanspec.survey.fitsrows import Damaged

KEEP_VALIDATOR = 1 << 20  # a part larger than this [byte] is worth resuming in another process
_READ_ONLY = 0o444
_DISK = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the quota is used up",
    errno.EACCES: "no permission",
    errno.EROFS: "read-only",
}
_ALIKE = 3  # equal damaged files in a row that prove the damage to be the service's


class Cut(Damaged):
    """A file ends before its time: the rest may still be had."""


class Passing(Damaged):
    """What came is no file at all, such as an error page: it says nothing about the file."""


class Spoilt(Refused):
    """The service's own file is damaged: it came thrice with the same bytes."""


@dataclass(frozen=True)
class Received:
    """What arrived: bytes, SHA-256 (hexadecimal), tries made, and bytes spared by resuming."""

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
    """Fetch `url` to `target`, whole and checked, or raise and leave nothing under that name.

    check: called with the finished part; raises Cut where its end is missing (then the rest is asked for),
    Damaged where it is not what it should be (then it is thrown away and fetched anew). progress: called
    with the bytes now in the part. Raises Refused where the service does not have it or the tries are used
    up; SanspecError as Session does.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    transfer = _Transfer(session, url, target, progress)

    def once() -> None:
        """One try."""
        transfer.go_on()
        try:
            check(transfer.part)
        except Damaged as fault:
            transfer.judge(fault)
            raise Transient(str(fault)) from None

    with _disk(target):
        session.retry(once)
        received = Received(
            transfer.part.stat().st_size, digest(transfer.part), transfer.tries, transfer.resumed
        )
        transfer.part.chmod(_READ_ONLY)
        transfer.part.replace(target)
        transfer.notes.unlink(missing_ok=True)
    return received


@contextmanager
def _disk(target: Path) -> Iterator[None]:
    """A disk that takes no more is the user's fault, not the object's."""
    try:
        yield
    except OSError as fault:
        if fault.errno not in _DISK:
            raise
        raise SanspecError(
            f"cannot write {target}: {_DISK[fault.errno]}; free some space or change "
            "acquire.store, then run again"
        ) from None


class _Transfer:
    """One file on its way; survives broken tries, and for large files the process."""

    def __init__(self, session: Session, url: str, target: Path, progress: Callable[[int], None]):
        self.session, self.url, self.progress = session, url, progress
        self.part = target.with_name(target.name + ".part")
        self.notes = target.with_name(target.name + ".part.json")
        self.tries = self.resumed = 0
        self.found: list[str] = []  # digests of what failed its check
        self.whole = False  # the server says that there is no more
        self.validator = self._noted()
        if self.validator is None:
            self.part.unlink(missing_ok=True)

    def _noted(self) -> str | None:
        """The ETag that a part left by another process belongs to."""
        try:
            notes = json.loads(self.notes.read_text())
        except (OSError, ValueError):
            return None
        return notes.get("etag") if notes.get("url") == self.url else None

    def restart(self) -> None:
        """Forget what has arrived."""
        self.validator, self.whole = None, False
        self.part.unlink(missing_ok=True)
        self.notes.unlink(missing_ok=True)

    def judge(self, fault: Damaged) -> None:
        """Decide what becomes of a part that failed its check. Raises Spoilt where it is always the same."""
        if not isinstance(fault, Cut | Passing):
            self.found.append(digest(self.part))
            if self.found[-_ALIKE:] == [self.found[-1]] * _ALIKE:
                self.restart()
                raise Spoilt(str(fault))
        if self.whole or not isinstance(fault, Cut):
            self.restart()

    def go_on(self) -> None:
        """One try to get the rest. Raises Transient or Refused."""
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
        """Position from which the body continues the part, as the status and Content-Range say."""
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
        """Write the body behind the first `start` bytes of the part."""
        self.resumed += start
        etag = response.headers.get("ETag", "")
        self.validator = etag if etag.startswith('"') else None  # a weak one does not vouch for bytes
        announced = response.headers.get("Content-Length", "0")
        if self.validator and announced.isdecimal() and int(announced) > KEEP_VALIDATOR:
            self.notes.write_text(json.dumps({"url": self.url, "etag": self.validator}))
        with self.part.open("r+b" if start else "wb") as file:
            file.truncate(start)
            file.seek(start)
            for chunk in self.session.chunks(response):
                file.write(chunk)
                self.progress(file.tell())


def digest(path: Path) -> str:
    """SHA-256 of a file; its bytes are forced to disk first where it is large."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > KEEP_VALIDATOR:
            os.fsync(file.fileno())
        return hashlib.file_digest(file, "sha256").hexdigest()
