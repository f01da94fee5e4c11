"""The manifest worked through: a few threads fetch, one writes down what came of it; a stop loses nothing.

Memory does not grow with the survey: objects are read from the manifest a few at a time.
"""

import logging
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine
from tqdm import tqdm

from sanspec.archive.sas import Wanted
from sanspec.archive.session import Session
from sanspec.database import manifest
from sanspec.database.manifest import Outcome
from sanspec.errors import SanspecError
from sanspec.survey import packed

log = logging.getLogger(__name__)

_FLUSH = 1.0  # seconds between notes in the database
_WAITING = 4  # batches queued for each thread
_HOPELESS = 40  # objects of which none arrives at the very first: the fault is not theirs


class Source(Protocol):
    """Where spectra come from."""

    name: str
    batch: int

    def fetch(self, wanted: Sequence[Wanted], folder: Path) -> Iterator[Outcome]:
        """Fetch objects to `folder`, one outcome each."""


class Transfer:
    """One run over the manifest in `engine`, into `folder`, with the threads that `session` allows.

    pack: spectra are packed plate by plate as soon as a plate's objects are through.
    """

    def __init__(self, engine: Engine, session: Session, folder: Path, pack: bool = False):
        self.engine, self.session, self.folder, self.pack = engine, session, folder, pack
        self._held: list[Outcome] = []
        self._open: Counter[str] = Counter()
        self._noted = time.monotonic()
        self._barren: list[Outcome] | None = None  # what did not arrive, until anything has

    def run(self, sources: Sequence[Source], passes: int, states: Sequence[str]) -> Counter:
        """Work through the objects in `states`, then the failed ones again; outcomes by state.

        A further source is asked for all that the one before did not give.
        """
        total: Counter = Counter()
        for source in sources:
            for count in range(passes):
                done = self._one_pass(source, states, f"{source.name}, pass {count + 1}")
                total.update({name: done[name] for name in ("done", "adopted")})
                states = ("failed",)
                if not done["failed"]:
                    break
            states = ("failed", "missing")
        counts = manifest.count_downloads(self.engine)
        return total + Counter({name: counts[name] for name in ("failed", "missing")})

    def _one_pass(self, source: Source, states: Sequence[str], title: str) -> Counter:
        """Every object in `states` once."""
        counts = manifest.count_downloads(self.engine)
        expected, tally = sum(counts[state] for state in states), Counter()
        if not expected:
            return tally
        self._barren = None if counts["done"] else []
        running: dict[Future, list[Wanted]] = {}
        most = _WAITING * self.session.http.connections
        with progress(expected, title) as bar, ThreadPoolExecutor(self.session.http.connections) as pool:
            try:
                for batch in self._batches(states, source.batch):
                    running[pool.submit(_fetch, source, batch, self.folder)] = batch
                    self._open.update(item.plate for item in batch)
                    while len(running) >= most:
                        self._collect(running, tally, bar)
                while running:
                    self._collect(running, tally, bar)
            except BaseException:
                self.session.stop.set()
                for future in running:
                    future.cancel()
                raise
            finally:
                self._note()
        return tally

    def _batches(self, states: Sequence[str], size: int) -> Iterator[list[Wanted]]:
        """Objects of the manifest, `size` at a time."""
        blocks = manifest.read_downloads(self.engine, states)
        items = (Wanted(r.row, r.specobjid, r.objid, r.reason) for block in blocks for r in block)
        while batch := list(islice(items, size)):
            yield batch

    def _collect(self, running: dict[Future, list[Wanted]], tally: Counter, bar: tqdm) -> None:
        """Wait for a batch, take what is finished out of `running`, write it down now and then."""
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            batch = running.pop(future)
            for outcome in future.result():
                self._held.append(outcome)
                tally[outcome.state] += 1
                tally["adopted"] += outcome.source == "disk"
                self._watch(outcome)
                bar.update()
            self._open.subtract(item.plate for item in batch)
        bar.set_postfix({name: tally[name] for name in ("failed", "missing") if tally[name]}, refresh=False)
        if time.monotonic() - self._noted > _FLUSH:
            self._note()

    def _watch(self, outcome: Outcome) -> None:
        """Raises SanspecError where nothing arrives at all; the objects then count as not tried."""
        if self._barren is None or outcome.state == "done":
            self._barren = None
            return
        self._barren.append(outcome)
        if len(self._barren) < _HOPELESS:
            return
        reason, _ = Counter(one.reason for one in self._barren).most_common(1)[0]
        self._held = [Outcome(one.row, "pending", attempts=one.attempts) for one in self._barren]
        raise SanspecError(
            f"none of the first {_HOPELESS} spectra arrived ({reason}): check acquire.services and the "
            "network, then run again"
        )

    def _note(self) -> None:
        """Write down what has come in; pack plates of which nothing is under way."""
        manifest.record_downloads(self.engine, self._held)
        self._held, self._noted = [], time.monotonic()
        idle = [plate for plate, count in self._open.items() if count == 0]
        for plate in idle:
            del self._open[plate]
            if self.pack:
                packed.pack_plate(self.folder / plate)


def _fetch(source: Source, batch: Sequence[Wanted], folder: Path) -> list[Outcome]:
    """A batch, in a thread."""
    return list(source.fetch(batch, folder))


def progress(total: int, title: str, unit: str = "spectra") -> tqdm:
    """A bar of counts, rate and time left; quieter where it goes to a file."""
    interval = 1 if sys.stderr.isatty() else 10
    return tqdm(total=total, desc=title, unit=unit, mininterval=interval, dynamic_ncols=True, smoothing=0.05)
