"""The stages by hand: query, spectra, cubes, status, and the loopback server; what each leaves and says."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from conftest import ROOT
from loopback import survey
from loopback.__main__ import main as serve
from loopback_sky import COUNT, SECRET, identity, settings, write_settings
from sanspec import store
from sanspec.__main__ import main
from sanspec.archive.session import Session
from sanspec.database import query
from sanspec.survey import csvfile, specfile

pytest_plugins = "loopback_fixtures"


@pytest.fixture
def stage(loopback, tmp_path):
    """Run a stage over the loopback SDSS; its exit status."""

    def run(name, *words, **changes):
        config = write_settings(tmp_path / "c.yaml", loopback.base, **changes)
        return main([name, "--config", str(config), *map(str, words)])

    return run


@pytest.fixture
def asked(stage, tmp_path, sky, account):
    """A catalogue asked for."""
    words = [
        "--cubes",
        sky / "sdss.npz",
        "--out",
        tmp_path / "catalogue.csv",
        "--report",
        tmp_path / "query.json",
    ]
    assert stage("query", *words) == 0
    return tmp_path / "catalogue.csv"


def fetch(stage, tmp_path, *words, **changes):
    files = ["--catalogue", tmp_path / "catalogue.csv", "--out", tmp_path / "raw" / "spectra"]
    return stage("spectra", *files, "--report", tmp_path / "spectra.json", *words, **changes)


# ------------------------------------------------------------------------------------------------------ query


def test_the_catalogue_is_what_match_reads(asked, tmp_path, sky):
    table = csvfile.read_catalogue(asked)
    numbers = store.read_json(tmp_path / "query.json")
    known = {identity(n)["specobjid"]: identity(n)["objid"] for n in range(COUNT)}
    assert len(table) == numbers["rows"] == numbers["forms"]["corrected"] > 50
    assert all(known[int(key)] == int(objid) for key, objid in zip(table["specobjid"], table["objid"]))
    assert asked.read_text().splitlines()[0].split(",") == list(query.NAMES)
    assert numbers["forms"]["only_as_printed"] > 0 and numbers["forms"]["only_corrected"] > 0
    assert numbers["service"] == "casjobs" and numbers["asked_for"] == COUNT


def test_the_two_forms_hold_what_they_say(stage, tmp_path, sky, account, asked):
    corrected = csvfile.read_catalogue(asked)["flags_r"].astype("uint64")
    words = ["--cubes", sky / "sdss.npz", "--out", tmp_path / "printed.csv", "--report", tmp_path / "p.json"]
    assert stage("query", *words, form="as_printed") == 0
    printed = csvfile.read_catalogue(tmp_path / "printed.csv")["flags_r"].astype("uint64")
    forms = store.read_json(tmp_path / "p.json")["forms"]
    assert (len(printed), len(corrected)) == (forms["as_printed"], forms["corrected"])
    assert not (printed & query.INTERP_CENTER).any() and (corrected & query.INTERP_CENTER).any()
    assert (printed & query.BAD_COUNTS_ERROR).any() and not (corrected & query.BAD_COUNTS_ERROR).any()


def test_the_query_can_be_looked_at(stage, capsys):
    assert stage("query", "--show", "as_printed") == 0
    text = capsys.readouterr().out
    assert "INTO mydb.spectraGeneration" in text and "(flags_r & 0x100000000000) = 0" in text


@pytest.mark.parametrize(
    ("words", "changes", "said"),
    [
        ([], {}, "--out and --report are needed"),
        (["--out", "o.csv", "--report", "r.json"], {}, "--cubes FILE is needed"),
        (["--cubes", "none.npz", "--out", "o.csv", "--report", "r.json"], {}, "no such file"),
    ],
)
def test_missing_arguments_are_one_line(stage, capsys, words, changes, said):
    assert stage("query", *words, **changes) == 2
    assert said in capsys.readouterr().err


def test_a_query_without_rows_is_one_line(loopback, tmp_path, sky, capsys):
    config = settings(loopback.base, tmp_path, service="skyserver").model_dump(mode="json")
    config["acquire"] |= {"z_min": 0.5, "z_max": 0.6}
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    words = ["--cubes", sky / "sdss.npz", "--out", tmp_path / "o.csv", "--report", tmp_path / "r.json"]
    assert main(["query", "--config", str(tmp_path / "c.yaml"), *map(str, words)]) == 2
    assert (
        "the query has no rows for 0.5 <= z <= 0.6" in capsys.readouterr().err
        and not (tmp_path / "o.csv").exists()
    )


def test_without_a_cube_file_every_object_is_asked_for(stage, tmp_path):
    words = ["--out", tmp_path / "all.csv", "--report", tmp_path / "all.json"]
    assert stage("query", *words, sample="all", service="skyserver") == 0
    assert len(csvfile.read_catalogue(tmp_path / "all.csv")) > 50


# ---------------------------------------------------------------------------------------------------- spectra


def test_spectra_stand_where_match_looks(stage, asked, tmp_path):
    assert fetch(stage, tmp_path) == 0
    numbers = store.read_json(tmp_path / "spectra.json")
    files = specfile.find(tmp_path / "raw" / "spectra")
    assert len(files) == numbers["objects"] == numbers["states"]["done"] == numbers["fetched_now"]
    assert numbers["bytes"] == 172_800 * len(files) and numbers["requests"] == len(files)
    assert (tmp_path / "raw" / "spectra").is_symlink()


def test_the_manifest_may_live_in_postgresql(stage, tmp_path, sky, account, postgres, loopback, capsys):
    words = [
        "--cubes",
        sky / "sdss.npz",
        "--out",
        tmp_path / "catalogue.csv",
        "--report",
        tmp_path / "q.json",
    ]
    assert stage("query", *words, database=postgres) == 0 and fetch(stage, tmp_path, database=postgres) == 0
    numbers = store.read_json(tmp_path / "spectra.json")
    assert numbers["states"]["done"] == numbers["objects"] > 50 and not (tmp_path / "survey.db").exists()
    before = len(loopback.server.requests)
    assert fetch(stage, tmp_path, database=postgres) == 0 and len(loopback.server.requests) == before
    assert stage("status", "--verify", database=postgres) == 0
    said = capsys.readouterr().out
    assert f"{numbers['objects']} of {numbers['objects']}" in said and "0 to be fetched anew" in said


def test_a_deleted_product_costs_no_traffic(stage, asked, tmp_path, loopback):
    """What Snakemake does before it runs a rule again: delete the products, here a link and a report."""
    fetch(stage, tmp_path)
    before = len(loopback.server.requests)
    (tmp_path / "raw" / "spectra").unlink()
    (tmp_path / "spectra.json").unlink()
    assert fetch(stage, tmp_path) == 0 and len(loopback.server.requests) == before
    (tmp_path / "survey.db").unlink()
    (tmp_path / "spectra.json").unlink()
    assert fetch(stage, tmp_path) == 0 and len(loopback.server.requests) == before, (
        "not even with the database lost"
    )
    assert store.read_json(tmp_path / "spectra.json")["taken_over"] > 50


def test_too_many_failures_stop_the_chain(stage, asked, tmp_path, loopback, capsys):
    loopback.faults.add("spectrum", "html", times=9999, key="-0266-")
    assert fetch(stage, tmp_path, http={"attempts": 2}) == 2
    said = capsys.readouterr().err
    assert "did not arrive (most often: HTML page instead of FITS): run again" in said
    loopback.faults.script.clear()
    assert fetch(stage, tmp_path) == 0


def test_a_survey_of_which_nothing_arrives_stops_the_chain(stage, tmp_path, sky, loopback, capsys):
    rows = (sky / "catalogue.csv").read_text().splitlines()[:6]
    (tmp_path / "catalogue.csv").write_text("\n".join(rows) + "\n")
    loopback.faults.add("spectrum", "404", times=999)
    assert fetch(stage, tmp_path) == 2
    assert (
        "none of 5 spectra arrived (most often: not in the archive (HTTP 404 twice)"
        in capsys.readouterr().err
    )
    loopback.faults.script.clear()
    assert fetch(stage, tmp_path, "--again") == 0


def test_a_few_missing_do_not(stage, asked, tmp_path, loopback):
    name = f"spec-{identity(0)['plate']:04d}-{identity(0)['mjd']}-{identity(0)['fiberid']:04d}"
    loopback.faults.add("spectrum", "404", times=99, key=name)
    assert fetch(stage, tmp_path) == 0
    assert store.read_json(tmp_path / "spectra.json")["reasons"] == {"not in the archive (HTTP 404 twice)": 1}
    loopback.faults.script.clear()
    before = len(loopback.server.requests)
    assert fetch(stage, tmp_path) == 0 and len(loopback.server.requests) == before
    assert fetch(stage, tmp_path, "--again") == 0 and len(loopback.server.requests) == before + 1


def test_a_stop_by_hand_keeps_what_came(stage, asked, tmp_path, monkeypatch, capsys):
    from sanspec.archive.transfer import Transfer

    collect, seen = Transfer._collect, []

    def stop(self, *more):
        collect(self, *more)
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Transfer, "_collect", stop)
    assert fetch(stage, tmp_path, http={"connections": 1}) == 2
    assert "stopped by hand" in capsys.readouterr().err
    monkeypatch.undo()
    assert fetch(stage, tmp_path) == 0


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace("845", "8.45E+17,", 1), "cut short|rounded|whole number"),
        (lambda text: text.splitlines()[0] + "\n", "has no rows"),
        (lambda text: "<html>503</html>", "HTML page"),
        (lambda text: text.replace(",z,", ",z,z,", 1), "twice: z"),
    ],
)
def test_a_bad_catalogue_is_one_line(stage, asked, tmp_path, capsys, spoil, said):
    asked.write_text(spoil(asked.read_text()))
    assert fetch(stage, tmp_path) == 2
    assert re.search(said, capsys.readouterr().err)


def test_no_catalogue_is_one_line(stage, tmp_path, capsys):
    assert fetch(stage, tmp_path) == 2
    assert "sanspec query" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- cubes, status


def test_the_cube_file_is_linked(stage, tmp_path, sky):
    words = ["--out", tmp_path / "raw" / "sdss.npz", "--report", tmp_path / "cubes.json"]
    assert stage("cubes", *words) == 0
    assert (tmp_path / "raw" / "sdss.npz").is_symlink() and store.read_json(tmp_path / "cubes.json")[
        "cubes"
    ] == COUNT
    assert stage("cubes", *words, cubes=str(sky / "sdss.npz")) == 0
    assert (tmp_path / "raw" / "sdss.npz").resolve() == sky / "sdss.npz", "a local one is not copied"


def test_status_tells_what_is_here_and_why_not(stage, asked, tmp_path, loopback, capsys):
    name = f"spec-{identity(0)['plate']:04d}-{identity(0)['mjd']}-{identity(0)['fiberid']:04d}"
    loopback.faults.add("spectrum", "404", times=99, key=name)
    stage("status")
    assert "0 of 0" in capsys.readouterr().out
    fetch(stage, tmp_path)
    stage("status")
    said = capsys.readouterr().out
    assert (
        "1 missing" in said
        and "HTTP 404 twice" in said
        and "finished" in said
        and "cubes      not here" in said
    )
    stage("status", "--list", "missing")
    assert capsys.readouterr().out.split()[0] == str(identity(0)["specobjid"])


def test_status_of_nothing_makes_no_database(stage, tmp_path, capsys):
    assert stage("status") == 0 and "nothing has been fetched yet" in capsys.readouterr().out
    assert not (tmp_path / "survey.db").exists()


def test_verify_finds_what_has_changed_on_disk(stage, asked, tmp_path, loopback, capsys):
    fetch(stage, tmp_path)
    capsys.readouterr()
    files = sorted((tmp_path / "store" / "spectra").rglob("*.fits"))
    files[0].chmod(0o644)
    files[0].write_bytes(files[0].read_bytes()[:-1] + b"\1")
    files[1].unlink()
    stage("status", "--verify")
    assert "2 to be fetched anew" in capsys.readouterr().out
    before = len(loopback.server.requests)
    assert fetch(stage, tmp_path) == 0 and len(loopback.server.requests) == before + 2


def test_packed_spectra_are_verified_too(stage, asked, tmp_path, capsys):
    assert fetch(stage, tmp_path, pack=True) == 0
    numbers = store.read_json(tmp_path / "spectra.json")
    assert numbers["packed"]["plates"] == 3 and numbers["packed"]["bytes"] < numbers["bytes"]
    stage("status", "--verify")
    assert "0 to be fetched anew" in capsys.readouterr().out


# -------------------------------------------------------------------------------------------- loopback server


@pytest.fixture
def server(sky, tmp_path):
    """`python tests/loopback` in a process of its own: its address and its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(ROOT / "tests" / "loopback"), "--sky", str(sky), "--port", str(port)]
    command += ["--per-minute", "100000", "--log", str(tmp_path / "requests.jsonl")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert "serving" in process.stderr.readline()
    yield f"http://127.0.0.1:{port}", tmp_path / "requests.jsonl"
    process.terminate()
    process.wait(timeout=10)


def test_a_user_can_start_the_server(server):
    base, log = server
    page = requests.get(f"{base}/cubes/sdss.npz", headers={"Range": "bytes=4-"}, timeout=10)
    assert page.status_code == 206 and requests.get(f"{base}/nothing", timeout=5).status_code == 404
    for _ in range(100):
        if log.exists() and log.read_text().count("\n") == 2:
            break
        time.sleep(0.02)
    assert [json.loads(line)["status"] for line in log.read_text().splitlines()] == [206, 404]


def test_the_overlay_names_the_services_of_the_server(sky):
    import yaml

    overlay = yaml.safe_load((ROOT / "config" / "loopback.yaml").read_text())
    assert overlay["acquire"]["services"] == survey.services("http://127.0.0.1:8642")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sky", "nowhere"], "make a sky first"),
        (["--sky", "SKY", "--faults", "1.5"], "allowed: from 0 to below 1"),
        (["--sky", "SKY", "--port", "TAKEN"], "choose another with --port"),
    ],
)
def test_a_server_that_cannot_start_is_one_line(sky, capsys, words, said):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        real = [{"SKY": str(sky), "TAKEN": port}.get(word, word) for word in words]
        assert serve(real) == 2
    assert said in capsys.readouterr().err


def test_real_files_are_served_too(real_data, sky, tmp_path):
    """Spectra of the user's own beside the simulated ones, known to SQL and to SAS."""
    folder = real_data / "spectra" / "window_005_015"
    with survey.opened(sky, (folder,)) as running, running.server:
        acquire = settings(running.base, tmp_path).acquire
        from sanspec.archive.sas import Sas, Wanted

        about = specfile.read(folder / "spec-0266-51630-0168.fits").about
        with Session(acquire.http) as session:
            outcome = next(
                iter(Sas(session, acquire).fetch([Wanted(1, about.specobjid, about.objid)], tmp_path))
            )
        assert outcome.state == "done" and outcome.bytes == 172_800
        rows = running.database.run(f"SELECT z FROM SpecObj WHERE specObjID = {about.specobjid}").rows
        assert rows and abs(rows[0][0] - about.z) < 1e-6


# ---------------------------------------------------------------------------------------------------- secrets


def test_no_credential_shows_while_a_process_works(server, sky, tmp_path):
    """In the process list, the logs (the server's too), the database, the products: nowhere."""
    base, log = server
    config = write_settings(tmp_path / "c.yaml", base, poll=0.3)
    words = ["--cubes", sky / "sdss.npz", "--out", tmp_path / "o.csv", "--report", tmp_path / "r.json"]
    environment = os.environ | {"SANSPEC_SCISERVER_USER": "demo", "SANSPEC_SCISERVER_PASSWORD": "demo"}
    environment["SANSPEC_SCISERVER_PASSWORD"] = SECRET
    for password, status in ((SECRET, 2), ("demo", 0)):
        environment["SANSPEC_SCISERVER_PASSWORD"] = password
        command = [sys.executable, "-m", "sanspec", "query", "--config", str(config), *map(str, words)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        shown = b""
        while process.poll() is None:
            shown += Path(f"/proc/{process.pid}/cmdline").read_bytes()
            time.sleep(0.05)
        said = process.stdout.read()
        assert process.returncode == status, said
        assert b"query" in shown and SECRET.encode() not in shown and SECRET not in said
        assert f"={password}" not in log.read_text() and SECRET not in log.read_text()
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()
