"""What every benchmark says of itself, and how those of the fits take time: process CPU seconds, wall beside."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

PACKAGES = ("sanspec", "numpy", "scipy", "numba", "ppxf")
SHARED = (
    "process CPU seconds of one thread, wall seconds beside; the machine was shared, so what is compared was run in "
    "turns, spectrum by spectrum, in one process"
)


class Timed(NamedTuple):
    """What a task gave, its process CPU seconds and its wall seconds."""

    result: Any
    cpu: float
    wall: float


def timed(task: Callable[[], Any]) -> Timed:
    """The task, done once."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = task()
    return Timed(result, time.process_time() - cpu, time.perf_counter() - wall)


def about(what: str, simulated: bool) -> dict:
    """Head of a benchmark's file: what it is, machine, versions, date; `simulated` where its spectra are."""
    return {
        "what": what,
        **({"simulated": True} if simulated else {}),
        "seconds": SHARED,
        "machine": {
            "cores": os.cpu_count(),
            "processor": processor(),
            "load": round(os.getloadavg()[0], 1),
            "threads": os.environ.get("OMP_NUM_THREADS"),
        },
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in PACKAGES},
        "date": datetime.now(UTC).date().isoformat(),
    }


def made() -> dict:
    """Tail of a network benchmark's file: machine, versions, date."""
    return {
        "machine": {"cpus": os.cpu_count(), "processor": processor(), "python": platform.python_version()},
        "versions": {name: importlib.metadata.version(name) for name in ("sanspec", "torch", "numpy")},
        "date": datetime.now(UTC).date().isoformat(),
    }


def processor() -> str:
    """Model of the CPU as Linux tells it, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
