"""kill -9 at twenty random moments: nothing finished is lost, and no more than what was under way is fetched
again.
"""

import itertools
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from loopback_sky import make, write_settings
from sanspec.database import catalogue, manifest
from sanspec.loopback import survey
from sanspec.survey import sdss

KILLS, GALAXIES, CONNECTIONS = 20, 400, 4
# Imports once, then forks a child for each line on its input: starting Python twenty times takes a minute.
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


def finished(folder):
    """Spectra that stand under their own name."""
    return {path.name for path in (folder / "store" / "spectra").rglob("spec-*.fits")}


def wait_for(server, count, more):
    """Wait until the server has been asked `count` more times and a moment longer; 20 s at most."""
    begun, before = time.monotonic(), server.asked
    while server.asked < before + count and time.monotonic() - begun < 20:
        time.sleep(0.002)
    time.sleep(more)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """An acquisition killed twenty times and then left alone: its folder, its sky, all requests, what stood
    there when.
    """
    folder, sky = tmp_path_factory.mktemp("killed"), make(tmp_path_factory.mktemp("large"), GALAXIES)
    rng = random.Random(11)
    environment = os.environ | {"SANSPEC_SCISERVER_USER": "demo", "SANSPEC_SCISERVER_PASSWORD": "demo"}
    with survey.opened(sky, latency=0.02) as running, running.server:
        settings = write_settings(folder / "c.yaml", running.base, http={"connections": CONNECTIONS})
        nursery = subprocess.Popen(
            [sys.executable, "-c", NURSERY, str(folder), str(settings)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=(folder / "log").open("w"), text=True,
            env=environment,
        )  # fmt: skip
        moments, status = [], None
        for count in range(KILLS + 1):
            nursery.stdin.write("go\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            if count < KILLS:
                wait_for(running.server, rng.randint(1, 34), rng.uniform(0, 0.02))
                os.kill(child, signal.SIGKILL)
            status = int(nursery.stdout.readline())
            moments.append((time.time(), finished(folder)))
        nursery.stdin.close()
        nursery.wait(timeout=10)
        yield folder, sky, running.server.requests, moments, status, running


def test_the_last_run_ends_well_and_everything_is_there(killed):
    folder, sky, _, moments, status, _ = killed
    assert status == 0, (folder / "log").read_text()[-2000:]
    assert (
        len(moments[-1][1])
        == json.loads((folder / "raw" / "spectra.json").read_text())["states"]["done"]
        > 0.8 * GALAXIES
    )
    for path in (folder / "store" / "spectra").rglob("spec-*.fits"):
        ids = sdss.parse_file_name(path.name)
        assert path.read_bytes() == (sky / "spectra" / sdss.file_name(*ids)).read_bytes()
    assert (folder / "raw" / "sdss.npz").read_bytes() == (sky / "sdss.npz").read_bytes()
    assert not list((folder / "store").rglob("*.part*"))


def test_the_kills_fell_into_the_work(killed):
    _, _, _, moments, _, _ = killed
    growing = [len(after) - len(before) for (_, before), (_, after) in itertools.pairwise(moments)]
    assert sum(count > 0 for count in growing) >= 5, "several runs got on before they were killed"


def test_nothing_finished_is_lost(killed):
    _, _, _, moments, _, _ = killed
    for (_, before), (_, after) in itertools.pairwise(moments):
        assert before <= after


def test_nothing_finished_is_fetched_again(killed):
    _, _, requests, moments, _, _ = killed
    for moment, names in moments:
        later = {
            one["path"].rpartition("/")[2]
            for one in requests
            if one["time"] > moment and one["route"] == "spectrum"
        }
        assert not names & later


def test_no_more_than_what_was_under_way_is_fetched_again(killed):
    _, _, requests, moments, _, _ = killed
    counts = Counter(one["path"] for one in requests if one["route"] == "spectrum")
    again = sum(count - 1 for count in counts.values())
    assert again <= KILLS * CONNECTIONS and len(counts) == len(moments[-1][1])
    assert max(count for count in counts.values()) <= KILLS


def test_the_manifest_agrees_with_the_disk(killed):
    folder, _, _, moments, _, _ = killed
    with catalogue.database(f"sqlite:///{folder}/survey.db") as engine:
        assert manifest.count_downloads(engine)["done"] == len(moments[-1][1])
        rows = [row for block in manifest.read_checksums(engine) for row in block]
        assert len({row.specobjid for row in rows}) == len(rows) == len({row.sha256 for row in rows})


def test_one_job_was_enough(killed):
    running = killed[-1]
    made = [job for job in running.casjobs.jobs.values() if "INTO" in job.query]
    assert len(made) <= 2, "a job is submitted again only if it was killed before it was written down"
