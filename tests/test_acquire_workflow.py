"""The rules: the real chain resolves, and over HTTP with faults it gives the same products as without."""

import json
import os
import re
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from loopback import survey
from loopback_sky import SECRET, settings, write_settings
from sanspec import config
from sanspec.__main__ import main
from sanspec.archive import sas

pytest_plugins = "loopback_fixtures"

BIN = Path(sys.executable).parent
TARGETS = ("sdss_inspect", "sdss_spectra")


def snakemake(folder, *options, **environment):
    (folder / "config.yaml").exists() or (folder / "config.yaml").write_text(config.dump(config.Config()))
    command = ["snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder, *options]
    variables = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=folder, env=variables)


@pytest.mark.parametrize("overlay", ["sdss", "loopback"])
def test_the_chain_resolves_from_query_to_figures(tmp_path, overlay):
    done = snakemake(tmp_path, "--dry-run", "--configfile", ROOT / "config" / f"{overlay}.yaml")
    planned = done.stdout + done.stderr
    assert done.returncode == 0, planned
    for rule in (
        "sdss_cubes",
        "sdss_query",
        "sdss_spectra",
        "sdss_inspect",
        "match",
        "prepare",
        "generate",
        "figure_fig06",
        "check",
    ):
        assert re.search(rf"^{rule}\s+1\b", planned, re.M), rule
    assert not re.search(r"^mock\s", planned, re.M)


def test_the_embedded_sky_asks_for_nothing_of_this(tmp_path):
    done = snakemake(tmp_path, "--dry-run")
    assert done.returncode == 0 and "sdss_" not in done.stdout + done.stderr


def test_the_rules_are_lint_clean(tmp_path):
    done = snakemake(tmp_path, "--lint", "--configfile", ROOT / "config" / "sdss.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_windows_of_query_and_match_must_agree(tmp_path):
    options = ["--configfile", ROOT / "config" / "sdss.yaml", "--config", "match={z_max: 0.3}"]
    done = snakemake(tmp_path, "--dry-run", *options)
    assert done.returncode != 0 and "reaches beyond what is asked of SDSS" in done.stderr


def products(raw):
    """The inputs of the chain, as bytes by name: catalogue, spectra, cubes."""
    found = {name: (raw / name).read_bytes() for name in ("catalogue.csv", "sdss.npz")}
    spectra = raw / "spectra"
    return found | {
        str(path.relative_to(spectra)): path.read_bytes() for path in sorted(spectra.rglob("*.fits"))
    }


def by_hand(base, folder):
    """The same stages without Snakemake."""
    folder.mkdir()
    raw = folder / "raw"
    own = ["--config", str(write_settings(folder / "c.yaml", base))]
    cubes, catalogue = raw / "sdss.npz", raw / "catalogue.csv"
    steps = [
        ["cubes", "--out", cubes, "--report", raw / "cubes.json"],
        ["query", "--cubes", cubes, "--out", catalogue, "--report", raw / "query.json"],
        ["spectra", "--catalogue", catalogue, "--out", raw / "spectra", "--report", raw / "spectra.json"],
    ]
    for name, *words in steps:
        assert main([name, *own, *map(str, words)]) == 0
    return products(raw)


@pytest.fixture
def clean(sky, tmp_path, account):
    """The products of a run in which nothing fails."""
    with survey.opened(sky, users={"demo": SECRET}) as running, running.server:
        found = by_hand(running.base, tmp_path / "clean")
        assert not any(one["fault"] for one in running.server.requests)
    assert len(found) > 50
    return found


@pytest.fixture
def faulty(sky, tmp_path):
    """`python tests/loopback` with 15 % of the requests failing, and an overlay that points to it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, ROOT / "tests" / "loopback", "--sky", sky, "--port", port]
    command += ["--faults", 0.15, "--seed", 207, "--log", tmp_path / "requests.jsonl"]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    assert "serving" in process.stderr.readline()
    own = settings(f"http://127.0.0.1:{port}", tmp_path)
    acquire = own.model_dump(mode="json")["acquire"]
    acquire |= {"store": "results/raw/sdss/store", "database": "sqlite:///results/raw/sdss/survey.db"}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"acquire": acquire | {"poll": 0.05}}))
    yield tmp_path / "own.yaml", tmp_path / "requests.jsonl"
    process.terminate()
    process.wait(timeout=10)


def test_with_faults_the_workflow_ends_as_without(faulty, clean, tmp_path):
    overlay, log = faulty
    options = ["--cores", "1", "--configfile", ROOT / "config" / "loopback.yaml", overlay, "--"]
    secrets = {"SANSPEC_SCISERVER_USER": "demo", "SANSPEC_SCISERVER_PASSWORD": "demo"}
    done = snakemake(tmp_path, *options, *TARGETS, **secrets)
    assert done.returncode == 0, done.stdout + done.stderr
    raw = tmp_path / "results" / "raw" / "sdss"
    assert products(raw) == clean
    failed = [one for one in map(json.loads, log.read_text().splitlines()) if one["fault"]]
    kinds, routes = Counter(one["fault"] for one in failed), {one["route"] for one in failed}
    assert len(kinds) >= 8 and sum(kinds.values()) >= 12, kinds  # about: a resumed file draws anew
    assert {"cubes", "spectrum"} < routes and routes & {"query", "status", "tables", "submit"}
    report = json.loads((raw / "spectra.json").read_text())
    assert report["states"]["done"] == report["objects"] and len(report["retries"]) >= 5
    assert json.loads((raw / "inspection.json").read_text())["holds_orientation"]
    for path in (raw / "catalogue.csv", raw / "spectra.json", raw / "query.json"):
        assert path.stat().st_mode & 0o222 == 0, "protected"
    again = snakemake(tmp_path, "--dry-run", *options, *TARGETS, **secrets)
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.parametrize("kind", ["other_object", "short"])
def test_a_client_that_does_not_look_ends_otherwise(loopback, clean, tmp_path, monkeypatch, kind):
    """The comparison above can fail: a run that accepts whatever arrives gives other products."""
    monkeypatch.setattr(sas, "check", lambda path, item: None)
    loopback.faults.add("spectrum", kind)
    found = by_hand(loopback.base, tmp_path / kind)
    assert found.keys() == clean.keys() and sum(found[name] != clean[name] for name in clean) == 1
