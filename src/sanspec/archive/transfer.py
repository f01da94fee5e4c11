"""Fetch the objects of the manifest with a few threads and record what came of each; stopping loses nothing.

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

from sqlalchemy import Engine
from tqdm import tqdm

from sanspec.archive.sas import Source, Wanted
from sanspec.archive.session import Session
from sanspec.database import manifest
from sanspec.database.manifest import Outcome
from sanspec.errors import SanspecError
from sanspec.survey import packed

log = logging.getLogger(__name__)

PASSES = 3  # over the objects that failed; a 404 is final only when it comes up twice
_FLUSH = 1.0  # seconds between writes to the database
_WAITING = 4  # batches queued per thread
_HOPELESS = 40  # if none of the first so many objects arrives, the fault is not in the objects


class Transfer:
    """One run over the manifest in `engine`, into `folder`, with as many threads as `session` has connections.

    pack: spectra are packed plate by plate, as soon as no object of a plate is under way.
    """

    def __init__(self, engine: Engine, session: Session, folder: Path, pack: bool = False):
        self.engine, self.session, self.folder, self.pack = engine, session, folder, pack
        self._unrecorded: list[Outcome] = []
        self._under_way: Counter[str] = Counter()  # objects by plate
        self._recorded_at = time.monotonic()
        self._failures: list[Outcome] | None = None  # all so far, until the first object arrives

    def run(self, sources: Sequence[Source], states: Sequence[str]) -> Counter:
        """Fetch the objects in `states`, then the failed ones again; numbers of outcomes by state.

        Each further source is asked for all that the previous ones did not deliver.
        """
        total: Counter = Counter()
        for source in sources:
            for count in range(PASSES):
                done = self._one_pass(source, states, f"{source.name}, pass {count + 1}")
                total.update({name: done[name] for name in ("done", "adopted")})
                states = ("failed",)
                if not done["failed"]:
                    break
            states = ("failed", "missing")
        counts = manifest.count_downloads(self.engine)
        return total + Counter({name: counts[name] for name in ("failed", "missing")})

    def _one_pass(self, source: Source, states: Sequence[str], title: str) -> Counter:
        """Fetch every object in `states` once."""
        counts = manifest.count_downloads(self.engine)
        expected, tally = sum(counts[state] for state in states), Counter()
        if not expected:
            return tally
        self._failures = None if counts["done"] else []
        running: dict[Future, list[Wanted]] = {}
        threads = self.session.http.connections
        with progress(expected, title) as bar, ThreadPoolExecutor(threads) as pool:
            try:
                for batch in self._batches(states, source.batch):
                    running[pool.submit(source.fetch, batch, self.folder)] = batch
                    self._under_way.update(item.plate for item in batch)
                    while len(running) >= _WAITING * threads:
                        self._collect(running, tally, bar)
                while running:
                    self._collect(running, tally, bar)
            except BaseException:
                self.session.stop.set()
                for future in running:
                    future.cancel()
                raise
            finally:
                self._record()
        return tally

    def _batches(self, states: Sequence[str], size: int) -> Iterator[list[Wanted]]:
        """Objects of the manifest, `size` at a time."""
        blocks = manifest.read_downloads(self.engine, states)
        items = (Wanted(r.row, r.specobjid, r.objid, r.reason) for block in blocks for r in block)
        while batch := list(islice(items, size)):
            yield batch

    def _collect(self, running: dict[Future, list[Wanted]], tally: Counter, bar: tqdm) -> None:
        """Wait for a batch, take finished ones out of `running`, and record their outcomes from time to time."""
        finished, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in finished:
            batch = running.pop(future)
            for outcome in future.result():
                self._unrecorded.append(outcome)
                tally[outcome.state] += 1
                tally["adopted"] += outcome.source == "disk"
                self._check_hope(outcome)
                bar.update()
            self._under_way.subtract(item.plate for item in batch)
        bar.set_postfix({name: tally[name] for name in ("failed", "missing") if tally[name]}, refresh=False)
        if time.monotonic() - self._recorded_at > _FLUSH:
            self._record()

    def _check_hope(self, outcome: Outcome) -> None:
        """Raises SanspecError where nothing arrives at all; the objects then count as not yet tried."""
        if self._failures is None or outcome.state == "done":
            self._failures = None
            return
        self._failures.append(outcome)
        if len(self._failures) < _HOPELESS:
            return
        reason, _ = Counter(one.reason for one in self._failures).most_common(1)[0]
        self._unrecorded = [Outcome(one.row, "pending", attempts=one.attempts) for one in self._failures]
        raise SanspecError(
            f"none of the first {_HOPELESS} spectra arrived ({reason}): check acquire.services and the "
            "network, then run again"
        )

    def _record(self) -> None:
        """Write the new outcomes to the database, and pack plates of which no object is under way."""
        manifest.record_downloads(self.engine, self._unrecorded)
        self._unrecorded, self._recorded_at = [], time.monotonic()
        for plate in [plate for plate, count in self._under_way.items() if count == 0]:
            del self._under_way[plate]
            if self.pack:
                packed.pack_plate(self.folder / plate)


def progress(total: int, title: str, unit: str = "spectra") -> tqdm:
    """A progress bar with rate and time left, updated less often in a log file."""
    interval = 1 if sys.stderr.isatty() else 10
    return tqdm(total=total, desc=title, unit=unit, mininterval=interval, dynamic_ncols=True, smoothing=0.05)
