"""kill -9 at random moments: nothing finished is lost, and only what was under way is fetched again.

`benchmarks/acquire.py` kills twenty times, with a larger sky.
"""

import json

import pytest

from loopback import survey
from loopback_kill import kill_often
from loopback_sky import make
from sanspec.database import catalogue, manifest
from sanspec.survey import sdss

KILLS, GALAXIES = 8, 200


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """An acquisition killed eight times and then left to finish: its record, its sky, and the service."""
    folder, sky = tmp_path_factory.mktemp("killed"), make(tmp_path_factory.mktemp("large"), GALAXIES)
    with survey.opened(sky, latency=0.02) as running, running.server:
        yield kill_often(folder, running, KILLS, ahead=80, seed=76), sky, running


def test_the_last_run_ends_well_and_everything_is_there(killed):
    seen, sky, _ = killed
    assert seen.status == 0, (seen.folder / "log").read_text()[-2000:]
    report = json.loads((seen.folder / "raw" / "spectra.json").read_text())
    assert len(seen.moments[-1][1]) == report["states"]["done"] > 0.8 * GALAXIES
    for path in (seen.folder / "store" / "spectra").rglob("spec-*.fits"):
        ids = sdss.parse_file_name(path.name)
        assert path.read_bytes() == (sky / "spectra" / sdss.file_name(*ids)).read_bytes()
    assert (seen.folder / "raw" / "sdss.npz").read_bytes() == (sky / "sdss.npz").read_bytes()
    assert not list((seen.folder / "store").rglob("*.part*"))


def test_the_kills_fell_into_the_work(killed):
    seen, _, _ = killed
    assert seen.fell_into["cubes"] + seen.fell_into["query"] >= 1 and seen.fell_into["spectra"] >= 3
    growing = [len(after) - len(before) for before, after in seen.runs[:-1]]
    assert sum(count > 0 for count in growing) >= 3, "several runs got on before they were killed"
    assert len(seen.moments[-2][1]) < len(seen.moments[-1][1]), "the last run had something left to do"


def test_nothing_finished_is_lost(killed):
    seen, _, _ = killed
    assert seen.lost == 0


def test_nothing_finished_is_fetched_again(killed):
    seen, _, _ = killed
    assert seen.finished_again == 0


def test_no_more_than_what_was_under_way_is_fetched_again(killed):
    seen, _, _ = killed
    assert seen.fetched_again <= KILLS * seen.connections
    assert len(seen.asked) == len(seen.moments[-1][1])


def test_the_manifest_agrees_with_the_disk(killed):
    seen, _, _ = killed
    with catalogue.database(f"sqlite:///{seen.folder}/survey.db") as engine:
        assert manifest.count_downloads(engine)["done"] == len(seen.moments[-1][1])
        rows = [row for block in manifest.read_downloads(engine, ("done",)) for row in block]
        assert len({row.specobjid for row in rows}) == len(rows) == len({row.sha256 for row in rows})


def test_one_job_was_enough(killed):
    _, _, running = killed
    made = [job for job in running.casjobs.jobs.values() if "INTO" in job.query]
    assert len(made) <= 2, "a job is submitted again only if it was killed before it was written down"
