"""Speed, memory and completeness of the acquisition of spectra, against a client that opens a connection per
file.

python benchmarks/acquire.py [--spectra 2000] [--out benchmarks/acquire.json]

Both fetch from the loopback SDSS (a process of its own on this machine, 50 ms added to each answer) and
check each file the same way. `seconds` is the wall time of `sanspec spectra`, start of the process to its
end, 4 connections; `ratio` is of spectra per second. With `faults` 5 % of the requests fail in every way
the loopback server knows: `lost` counts objects neither here nor listed with a reason, `duplicates` those
that came whole more than once, `damaged` files that differ. `memory` is the peak resident memory (VmHWM)
of the process for a quarter of the objects and for all. A simulated sky: only the traffic is real.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import requests

import sanspec
from sanspec import config, store
from sanspec.archive import sas
from sanspec.archive.sas import Wanted
from sanspec.database import manifest
from sanspec.database.catalogue import database
from sanspec.survey import sdss

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from loopback_sky import identity, make, settings

LATENCY, FAULTS, CONNECTIONS = 0.05, 0.05, 4
HTTP = {"rate": 1000.0, "backoff": 0.2, "read_timeout": 2.0, "connections": CONNECTIONS}


@contextmanager
def served(sky: Path, faults: float, log: Path):
    """The loopback SDSS in a process of its own: its address."""
    command = [sys.executable, "-m", "sanspec", "serve-mock", "--sky", sky, "--port", 0, "--latency", LATENCY]
    command += ["--faults", faults, "--seed", 1, "--log", log, "--per-minute", 100000]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    try:
        yield next(word for word in line.split() if word.startswith("http"))
    finally:
        process.terminate()
        process.wait(timeout=10)


def acquire(sky: Path, folder: Path, base: str) -> dict:
    """`sanspec spectra` over the whole catalogue: wall seconds, peak memory [MB], its report."""
    folder.mkdir()
    (folder / "c.yaml").write_text(config.dump(settings(base, folder, http=HTTP)))
    command = [
        sys.executable,
        "-m",
        "sanspec",
        "spectra",
        "--config",
        folder / "c.yaml",
        "--out",
        folder / "spectra",
    ]
    command += ["--catalogue", sky / "catalogue.csv", "--report", folder / "spectra.json"]
    begun, peak = time.perf_counter(), 0
    process = subprocess.Popen(list(map(str, command)), stderr=(folder / "log").open("w"))
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.02)
    seconds = time.perf_counter() - begun
    if process.returncode:
        raise SystemExit((folder / "log").read_text())
    return {"seconds": seconds, "peak": peak / 1024, "report": store.read_json(folder / "spectra.json")}


def resident(pid: int) -> int:
    """Peak resident memory of a process so far [kB]."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def one_by_one(base: str, folder: Path, count: int) -> float:
    """Spectra per second of a client that opens a connection per file, checks it and writes it."""
    template = settings(base, folder).acquire.services.spectra
    begun = time.perf_counter()
    for number in range(count):
        ids = identity(number)
        item = Wanted(number + 1, ids["specobjid"], ids["objid"])
        path = folder / item.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            requests.get(item.url(template), timeout=10, headers={"Connection": "close"}).content
        )
        sas.check(path, item)
    return count / (time.perf_counter() - begun)


def completeness(sky: Path, folder: Path, log: Path) -> dict:
    """What came of every object when requests failed."""
    with database(f"sqlite:///{folder}/survey.db") as engine:
        states, reasons = manifest.count_downloads(engine), manifest.count_reasons(engine)
    asked = [json.loads(line) for line in log.read_text().splitlines()]
    whole = Counter(one["path"] for one in asked if one["fault"] is None and one["status"] in (200, 206))
    damaged = 0
    for path in (folder / "spectra").rglob("*.fits"):
        original = sky / "spectra" / sdss.file_name(*sdss.parse_file_name(path.name))
        damaged += path.read_bytes() != original.read_bytes()
    total = sum(states.values())
    return {
        "objects": total,
        "arrived": states["done"],
        "listed": sum(reasons.values()),
        "lost": total - states["done"] - sum(reasons.values()),
        "duplicates": sum(count > 1 for count in whole.values()),
        "damaged": damaged,
        "requests": len(asked),
        "failed_requests": dict(Counter(one["fault"] for one in asked if one["fault"])),
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spectra", type=int, default=2000)
    parser.add_argument("--sequential", type=int, default=400, help="files that the other client fetches")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/acquire.json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sky = make(folder / "sky", args.spectra)
        quarter = make(folder / "quarter", args.spectra // 4)
        with served(sky, 0, folder / "log") as base:
            rate = one_by_one(base, folder / "sequential", min(args.sequential, args.spectra))
            ours = acquire(sky, folder / "ours", base)
            few = acquire(quarter, folder / "few", base)
        with served(sky, FAULTS, folder / "faulty.log") as base:
            faulty = acquire(sky, folder / "faulty", base)
        found = completeness(sky, folder / "faulty", folder / "faulty.log")
    speed = args.spectra / ours["seconds"]
    numbers = {
        "spectra": args.spectra,
        "connections": CONNECTIONS,
        "latency_ms": 1000 * LATENCY,
        "seconds": round(ours["seconds"], 1),
        "per_second": round(speed, 1),
        "sequential_per_second": round(rate, 1),
        "ratio": round(speed / rate, 2),
        "lost": found["lost"],
        "duplicates": found["duplicates"],
        "damaged": found["damaged"],
        "faults": found | {"rate": FAULTS, "seconds": round(faulty["seconds"], 1)},
        "memory": {"peak_mb": round(ours["peak"], 1), "peak_mb_of_a_quarter": round(few["peak"], 1)},
        "machine": {"cores": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()},
        "sanspec": sanspec.__version__,
    }
    store.write_json(args.out, numbers)
    print(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
