"""Head and tail of every benchmark's record, the timing of fits, and the galaxies for the networks' benchmarks."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

COLUMNS = {"coarse": ("coarse_log_flux", "coarse_mask"), "fine": ("log_flux", "mask")}  # of spectra.h5
PACKAGES = ("sanspec", "numpy", "scipy", "numba", "ppxf")
SHARED = (
    "process CPU seconds of one thread, wall seconds beside; the machine was shared, so what is compared was run in "
    "turns, spectrum by spectrum, in one process"
)


class Timed(NamedTuple):
    """Result of a task, its process CPU seconds and its wall seconds."""

    result: Any
    cpu: float
    wall: float


def timed(task: Callable[[], Any]) -> Timed:
    """Time one execution of the task."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = task()
    return Timed(result, time.process_time() - cpu, time.perf_counter() - wall)


def about(what: str, simulated: bool) -> dict:
    """Head of a benchmark's record: subject, machine, versions, date, and whether its spectra are simulated."""
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
    """Tail of a network benchmark's record: machine, versions, date."""
    return {
        "machine": {"cpus": os.cpu_count(), "processor": processor(), "python": platform.python_version()},
        "versions": {name: importlib.metadata.version(name) for name in ("sanspec", "torch", "numpy")},
        "date": datetime.now(UTC).date().isoformat(),
    }


def processor() -> str:
    """Model of the CPU as given by Linux, else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def galaxies(spectra: Path, images: Path, rows, crop: int):
    """Galaxies at `rows` of the prepared files, as the networks take them; torch is imported here."""
    from sanspec import store
    from sanspec.nets import data
    from sanspec.products import samples

    with store.arrays(spectra) as file, store.arrays(images) as pictures:
        held = {"z": file["z"][:][rows]}
        for which, names in COLUMNS.items():
            held[which], held[f"{which}_mask"] = (samples.take(file[name], rows) for name in names)
        stamps = samples.take(pictures["images"], rows)
        return data.galaxies(file["specobjid"][:][rows], stamps, crop, **held)
