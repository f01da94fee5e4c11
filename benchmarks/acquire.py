"""Speed, memory and completeness of the acquisition of spectra, compared with one connection per file.

    python benchmarks/acquire.py [--spectra 2000] [--out benchmarks/acquire.json]

Both clients fetch from the loopback SDSS (a separate process on this machine, 50 ms added to each answer) and check
each file in the same way; they take turns, since the machine may be shared. `seconds` is the wall time of `sanspec
spectra` from start to end of the process, with 4 connections; `ratio` is that of spectra per second of wall time. In
`faults`, 5 % of the requests fail in every way that the loopback server knows: `lost` counts objects that neither
arrived nor have a reason, `duplicates` those that arrived complete more than once, `damaged` files that differ.
`kills`: the whole acquisition (cubes, query, spectra) is killed with SIGKILL at 20 random moments. `memory` is the peak
resident memory (VmHWM) for a quarter of the spectra, for all of them, and for all of them in a catalogue of the
survey's 270,621 objects that is read anew. The sky is simulated: only the traffic is real.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import requests
from sqlalchemy import update

from sanspec import config, store
from sanspec.archive import sas
from sanspec.archive.sas import Wanted
from sanspec.database import manifest
from sanspec.database.catalogue import Download, database, now, write_meta
from sanspec.stages.spectra import take_catalogue
from sanspec.survey import sdss

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from loopback import survey
from loopback_kill import kill_often
from loopback_sky import identity, make, settings

SERVER = Path(survey.__file__).parent
LATENCY, FAULTS, CONNECTIONS = 0.05, 0.05, 4
KILLS, AHEAD = 20, 400
SURVEY = 270_621  # objects of the paper's query
HTTP = {"rate": 1000.0, "backoff": 0.2, "read_timeout": 2.0, "connections": CONNECTIONS}


@contextmanager
def served(sky: Path, faults: float, log: Path):
    """Address of the loopback SDSS, running in a separate process."""
    command = [sys.executable, SERVER, "--sky", sky, "--port", 0, "--latency", LATENCY]
    command += ["--faults", faults, "--seed", 1, "--log", log, "--per-minute", 100000]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    try:
        yield next(word for word in line.split() if word.startswith("http"))
    finally:
        process.terminate()
        process.wait(timeout=10)


# ---------------------------------------------------------------------------------------------------- clients


def acquire(catalogue: Path, folder: Path, base: str) -> dict:
    """Run `sanspec spectra` for a catalogue: wall and CPU seconds, peak memory [MB], and its report."""
    folder.mkdir(exist_ok=True)
    (folder / "c.yaml").write_text(config.dump(settings(base, folder, http=HTTP)))
    command = [sys.executable, "-m", "sanspec", "spectra", "--config", folder / "c.yaml"]
    command += ["--catalogue", catalogue, "--out", folder / "spectra", "--report", folder / "spectra.json"]
    begun, before, peak = time.perf_counter(), children_seconds(), 0
    process = subprocess.Popen(list(map(str, command)), stderr=(folder / "log").open("w"))
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.02)
    seconds, cpu = time.perf_counter() - begun, children_seconds() - before
    if process.returncode:
        raise SystemExit((folder / "log").read_text())
    report = store.read_json(folder / "spectra.json")
    return {"seconds": seconds, "cpu": cpu, "peak": peak / 1024, "report": report}


def children_seconds() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def resident(pid: int) -> int:
    """Peak resident memory of a process so far [kB]."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def one_by_one(base: str, folder: Path, count: int) -> tuple[float, float]:
    """Wall and CPU seconds of a client that opens a connection per file, checks it and writes it."""
    template = settings(base, folder).acquire.services.spectra
    begun, cpu = time.perf_counter(), time.process_time()
    for number in range(count):
        ids = identity(number)
        item = Wanted(number + 1, ids["specobjid"], ids["objid"])
        path = folder / item.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(
            requests.get(item.url(template), timeout=10, headers={"Connection": "close"}).content
        )
        sas.check(path, item)
    return time.perf_counter() - begun, time.process_time() - cpu


# --------------------------------------------------------------------------------------------------- measures


def speed(sky: Path, folder: Path, base: str, spectra: int, sequential: int, rounds: int) -> dict:
    """Both clients in turn, `rounds` times."""
    theirs, ours = [], []
    for number in range(rounds):
        theirs.append(one_by_one(base, folder / f"sequential-{number}", sequential))
        ours.append(acquire(sky / "catalogue.csv", folder / f"ours-{number}", base))
    rate = rounds * sequential / sum(wall for wall, _ in theirs)
    rates = [spectra / one["seconds"] for one in ours]
    return {
        "ratio": round(sum(rates) / rounds / rate, 2),
        "seconds": round(max(one["seconds"] for one in ours), 1),
        "per_second": [round(one, 1) for one in rates],
        "sequential_per_second": [round(sequential / wall, 1) for wall, _ in theirs],
        "cpu_ms_per_spectrum": round(1000 * sum(one["cpu"] for one in ours) / spectra / rounds, 2),
        "sequential_cpu_ms_per_spectrum": round(
            1000 * sum(cpu for _, cpu in theirs) / sequential / rounds, 2
        ),
        "peak_mb": round(max(one["peak"] for one in ours), 1),
    }


def survey_scale(sky: Path, folder: Path, base: str) -> dict:
    """Fetch the sky's spectra with a catalogue as long as the survey's, all other objects being done."""
    folder.mkdir()
    lines = (sky / "catalogue.csv").read_text().splitlines()
    tail = lines[1].split(",", 2)[2]
    with (folder / "catalogue.csv").open("w") as file:
        file.write("\n".join(lines) + "\n")
        for number in range(SURVEY - len(lines) + 1):
            specobjid = sdss.pack(1000 + number // 640, 52000, number % 640 + 1, 26)
            file.write(f"{specobjid},{(1 << 60) + number},{tail}\n")
    with database(f"sqlite:///{folder}/survey.db") as engine:
        take_catalogue(engine, folder / "catalogue.csv")
        manifest.list_downloads(engine)
        with engine.begin() as connection:  # rows are in the order of specobjid: the sky's own come first
            connection.execute(update(Download).where(Download.row >= len(lines)).values(state="done"))
        write_meta(engine, "catalogue_sha256", "")  # so that the measured process reads the catalogue too
    done = acquire(folder / "catalogue.csv", folder, base)
    return {
        "objects": done["report"]["objects"],
        "fetched": done["report"]["fetched_now"],
        "peak_mb": round(done["peak"], 1),
        "seconds": round(done["seconds"], 1),
    }


def completeness(sky: Path, folder: Path, log: Path) -> dict:
    """The outcome of every object when requests fail."""
    with database(f"sqlite:///{folder}/survey.db") as engine:
        states, reasons = manifest.count_downloads(engine), manifest.count_reasons(engine)
    asked = [json.loads(line) for line in log.read_text().splitlines()]
    whole = Counter(one["path"] for one in asked if one["fault"] is None and one["status"] in (200, 206))
    total = sum(states.values())
    return {
        "objects": total,
        "arrived": states["done"],
        "listed": sum(reasons.values()),
        "reasons": reasons,
        "lost": total - states["done"] - sum(reasons.values()),
        "duplicates": sum(count > 1 for count in whole.values()),
        "damaged": damaged(sky, folder / "spectra"),
        "requests": len(asked),
        "failed_requests": dict(Counter(one["fault"] for one in asked if one["fault"])),
    }


def damaged(sky: Path, folder: Path) -> int:
    """Number of files that differ from those served."""
    pairs = (
        (path, sky / "spectra" / sdss.file_name(*sdss.parse_file_name(path.name)))
        for path in folder.rglob("*.fits")
    )
    return sum(path.read_bytes() != original.read_bytes() for path, original in pairs)


def killed(sky: Path, folder: Path) -> dict:
    """Run the whole acquisition, killed at random moments."""
    folder.mkdir()
    with survey.opened(sky, latency=0.02) as running, running.server:
        seen = kill_often(folder, running, KILLS, AHEAD, seed=45, connections=CONNECTIONS)
        jobs = sum("INTO" in job.query for job in running.casjobs.jobs.values())
    return {
        "kills": KILLS,
        "exit_status_of_the_last_run": seen.status,
        "fell_into": dict(seen.fell_into),
        "finished_at_each_kill": [len(names) for _, names in seen.moments[:-1]],
        "arrived": len(seen.moments[-1][1]),
        "finished_and_lost": seen.lost,
        "finished_and_fetched_again": seen.finished_again,
        "under_way_and_fetched_again": seen.fetched_again,
        "most_that_could_be_under_way": KILLS * CONNECTIONS,
        "query_jobs_submitted": jobs,
        "damaged": damaged(sky, folder / "store" / "spectra"),
    }


def machine() -> dict:
    """Cores, processor and load of this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )
    return {"cores": os.cpu_count(), "processor": model, "load": round(os.getloadavg()[0], 1)}


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spectra", type=int, default=2000)
    parser.add_argument("--sequential", type=int, default=150, help="files of the other client in each turn")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sky, quarter = make(folder / "sky", args.spectra), make(folder / "quarter", args.spectra // 4)
        with served(sky, 0, folder / "log") as base:
            fast = speed(sky, folder, base, args.spectra, args.sequential, args.rounds)
            few = acquire(quarter / "catalogue.csv", folder / "few", base)
            large = survey_scale(sky, folder / "large", base)
        with served(sky, FAULTS, folder / "faulty.log") as base:
            faulty = acquire(sky / "catalogue.csv", folder / "faulty", base)
        found = completeness(sky, folder / "faulty", folder / "faulty.log")
        kills = killed(sky, folder / "killed")
    memory = {"peak_mb": fast.pop("peak_mb"), "peak_mb_of_a_quarter": round(few["peak"], 1), "survey": large}
    numbers = {
        "what": "sanspec spectra over the loopback SDSS, compared with a client that opens a connection per file",
        "method": "both clients take turns in one run on a shared machine; ratio of wall times, and CPU times",
        "simulated": True,
        "spectra": args.spectra,
        "connections": CONNECTIONS,
        "latency_ms": 1000 * LATENCY,
        **fast,
        **{name: found[name] for name in ("lost", "duplicates", "damaged")},
        "faults": found | {"rate": FAULTS, "seconds": round(faulty["seconds"], 1)},
        "kills": kills,
        "memory": memory,
        "machine": machine(),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("sanspec", "requests", "urllib3", "sqlalchemy")},
        "date": now()[:10],
    }
    store.write_json(args.out, numbers)
    print(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
