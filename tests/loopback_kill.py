"""Run an acquisition over the loopback SDSS that is killed (SIGKILL) at random moments, and record what it did.

`tests/test_acquire_kill.py` kills a few times, `benchmarks/acquire.py` twenty times.
"""

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from loopback.survey import Survey
from loopback_sky import write_settings

# Imports once, then forks a child per input line: starting Python twenty times would take a minute.
NURSERY = """
import os, sys
from sanspec.__main__ import main
from sanspec.stages import cubes, query, spectra
folder, settings = sys.argv[1:]
steps = {
    "sdss.npz": ["cubes", "--out", "@/sdss.npz", "--report", "@/cubes.json"],
    "catalogue.csv": [
        "query", "--cubes", "@/sdss.npz", "--out", "@/catalogue.csv", "--report", "@/query.json"
    ],
    "done": [
        "spectra", "--catalogue", "@/catalogue.csv", "--out", "@/spectra", "--report", "@/spectra.json"
    ],
}
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        for product, (name, *words) in steps.items():
            if not os.path.exists(f"{folder}/raw/{product}"):
                own = [word.replace("@", f"{folder}/raw") for word in words]
                code = main([name, "--config", settings, *own])
                if code:
                    os._exit(code)
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@dataclass
class Killed:
    """The record: after each run the time and the spectra under their final names, and at the end all requests."""

    folder: Path
    connections: int
    moments: list[tuple[float, set[str]]] = field(default_factory=list)
    fell_into: Counter = field(default_factory=Counter)  # number of kills by the stage that was running
    requests: list[dict] = field(default_factory=list)
    status: int | None = None

    @property
    def runs(self) -> list[tuple[set[str], set[str]]]:
        """The spectra before and after each run."""
        return list(itertools.pairwise([set(), *(names for _, names in self.moments)]))

    @property
    def lost(self) -> int:
        """Number of finished spectra lost by a kill."""
        return sum(len(before - after) for before, after in self.runs)

    @property
    def finished_again(self) -> int:
        """Number of requests for spectra that were finished already."""
        asked = [(one["time"], _name(one)) for one in self.requests if one["route"] == "spectrum"]
        return sum(when > moment and name in names for moment, names in self.moments for when, name in asked)

    @property
    def asked(self) -> Counter:
        """Number of requests for each spectrum."""
        return Counter(_name(one) for one in self.requests if one["route"] == "spectrum")

    @property
    def fetched_again(self) -> int:
        """Number of requests beyond the first for each spectrum: those under way at a kill."""
        return sum(self.asked.values()) - len(self.asked)


def _name(request: dict) -> str:
    """File name in a request."""
    return request["path"].rpartition("/")[2]


def kill_often(
    folder: Path, running: Survey, kills: int, ahead: int, seed: int, connections: int = 4
) -> Killed:
    """Acquire from `running` to `folder`, killed `kills` times and then left to finish.

    Each kill comes 1 to `ahead` requests after the start, uniform in the logarithm, so that some hit the cubes and the
    query.
    """
    seen, rng = Killed(folder, connections), random.Random(seed)
    settings = write_settings(folder / "c.yaml", running.base, http={"connections": connections})
    environment = os.environ | {"SANSPEC_SCISERVER_USER": "demo", "SANSPEC_SCISERVER_PASSWORD": "demo"}
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-c", NURSERY, str(folder), str(settings)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log, "text": True}
        nursery = subprocess.Popen(command, env=environment, **pipes)
        for count in range(kills + 1):
            nursery.stdin.write("go\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            if count < kills:
                _wait_for(running.server, round(ahead ** rng.random()), rng.uniform(0, 0.02))
                os.kill(child, signal.SIGKILL)
                seen.fell_into[_stage(folder / "raw")] += 1
            seen.status = int(nursery.stdout.readline())
            seen.moments.append((time.time(), finished(folder)))
        nursery.stdin.close()
        nursery.wait(timeout=10)
    seen.requests = running.server.requests
    return seen


def finished(folder: Path) -> set[str]:
    """Spectra under their final names."""
    return {path.name for path in (folder / "store" / "spectra").rglob("spec-*.fits")}


def _stage(raw: Path) -> str:
    """The first stage that has no product yet."""
    if not (raw / "sdss.npz").exists():
        return "cubes"
    return "spectra" if (raw / "catalogue.csv").exists() else "query"


def _wait_for(server, count: int, more: float) -> None:
    """Wait for `count` more requests to the server and then `more` seconds; 20 s at most."""
    begun, before = time.monotonic(), server.asked
    while server.asked < before + count and time.monotonic() - begun < 20:
        time.sleep(0.002)
    time.sleep(more)
