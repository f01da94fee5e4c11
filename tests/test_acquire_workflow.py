"""The rules: the real chain resolves, and over HTTP with faults it ends as it does without any."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from loopback_sky import SECRET, settings, write_settings
from sanspec import config
from sanspec.__main__ import main
from sanspec.loopback import survey

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
    """What the chain takes on: catalogue, spectra, cubes, as bytes by name."""
    found = {name: (raw / name).read_bytes() for name in ("catalogue.csv", "sdss.npz")}
    spectra = raw / "spectra"
    return found | {
        str(path.relative_to(spectra)): path.read_bytes() for path in sorted(spectra.rglob("*.fits"))
    }


def by_hand(base, folder):
    """The same stages without Snakemake, without faults."""
    raw = folder / "raw"
    own = ["--config", str(write_settings(folder / "c.yaml", base))]
    steps = [
        ["cubes", "--out", raw / "sdss.npz", "--report", raw / "cubes.json"],
        [
            "query",
            "--cubes",
            raw / "sdss.npz",
            "--out",
            raw / "catalogue.csv",
            "--report",
            raw / "query.json",
        ],
        [
            "spectra",
            "--catalogue",
            raw / "catalogue.csv",
            "--out",
            raw / "spectra",
            "--report",
            raw / "spectra.json",
        ],
    ]
    for name, *words in steps:
        assert main([name, *own, *map(str, words)]) == 0
    return products(raw)


@pytest.fixture
def faulty(sky, tmp_path):
    """`sanspec serve-mock` with a tenth of the requests failing, and an overlay that points to it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "sanspec",
        "serve-mock",
        "--sky",
        sky,
        "--port",
        port,
        "--per-minute",
        100000,
    ]
    command += ["--faults", 0.15, "--seed", 3, "--log", tmp_path / "requests.jsonl"]
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True)
    assert "serving" in process.stderr.readline()
    acquire = settings(f"http://127.0.0.1:{port}", tmp_path, inspect_frames=1).model_dump(mode="json")[
        "acquire"
    ]
    acquire |= {
        "store": "results/raw/sdss/store",
        "database": "sqlite:///results/raw/sdss/survey.db",
        "poll": 0.05,
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"acquire": acquire}))
    yield tmp_path / "own.yaml", tmp_path / "requests.jsonl"
    process.terminate()
    process.wait(timeout=10)


def test_with_faults_the_workflow_ends_as_without(faulty, sky, tmp_path, monkeypatch, account):
    overlay, log = faulty
    options = ["--cores", "1", "--configfile", ROOT / "config" / "loopback.yaml", overlay, "--"]
    secrets = {"SANSPEC_SCISERVER_USER": "demo", "SANSPEC_SCISERVER_PASSWORD": "demo"}
    done = snakemake(tmp_path, *options, *TARGETS, **secrets)
    assert done.returncode == 0, done.stdout + done.stderr
    raw = tmp_path / "results" / "raw" / "sdss"
    with survey.opened(sky, users={"demo": SECRET}) as clean, clean.server:
        clean.skyserver.per_minute = 100_000
        (tmp_path / "clean").mkdir()
        expected = by_hand(clean.base, tmp_path / "clean")
    assert products(raw) == expected and len(expected) > 50
    requests = [json.loads(line) for line in log.read_text().splitlines()]
    assert sum(one["fault"] is not None for one in requests) >= 2, (
        "the faults fell"
    )  # how many depends on the order
    report = json.loads((raw / "spectra.json").read_text())
    assert report["states"]["done"] == report["objects"] and report["retries"]
    assert json.loads((raw / "inspection.json").read_text())["holds_orientation"]
    assert all(
        path.stat().st_mode & 0o222 == 0
        for path in (raw / "catalogue.csv", raw / "spectra.json", raw / "query.json")
    )
    again = snakemake(tmp_path, "--dry-run", *options, *TARGETS, **secrets)
    assert "Nothing to be done" in again.stdout + again.stderr
