"""The workflow: lint and format clean, parsed faults in one line, the whole chain on a tiny sky."""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from conftest import ROOT
from sanspec.__main__ import arguments, module

BIN = os.path.dirname(sys.executable)


def run(*command, folder=ROOT, **more):
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, **more)


def snakemake(folder, *options):
    return run(
        "snakemake",
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--directory",
        str(folder),
        *options,
        folder=folder,
    )


def test_snakefmt_is_clean():
    done = run("snakefmt", "--check", "Snakefile", "workflow")
    assert done.returncode == 0, done.stderr


def test_lint_is_clean(tmp_path):
    done = run("snakemake", "--lint")
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff_is_clean():
    check, form = (
        run("ruff", "check", "src", "tests", "benchmarks"),
        run("ruff", "format", "--check", "src", "tests", "benchmarks"),
    )
    assert check.returncode == 0, check.stdout
    assert form.returncode == 0, form.stdout


@pytest.mark.parametrize(
    "path", sorted((ROOT / "profiles").glob("*/config.yaml")), ids=lambda path: path.parent.name
)
def test_profiles_resolve_to_a_plan(path, tmp_path):
    (tmp_path / "config.yaml").symlink_to(ROOT / "config.yaml")
    done = snakemake(tmp_path, "--dry-run", "--workflow-profile", str(path.parent))
    assert done.returncode == 0, done.stderr
    assert re.search(r"train\s+5\b", done.stdout + done.stderr)


@pytest.mark.parametrize("overlay", ["tiny", "sdss"])
def test_stages_accept_the_commands_of_the_rules(tmp_path, overlay):
    (tmp_path / "config.yaml").symlink_to(ROOT / "config.yaml")
    overlay = str(ROOT / "config" / f"{overlay}.yaml")
    done = snakemake(tmp_path, "--dry-run", "--printshellcmds", "--configfile", overlay)
    commands = re.findall(r"python -m sanspec (.*?)(?: 2?> | 2>&1)", done.stdout + done.stderr)
    assert len(commands) > 50
    for name, *rest in map(shlex.split, commands):
        arguments(name, importlib.import_module(f"sanspec.stages.{module(name)}")).parse_args(rest)


@pytest.mark.parametrize(
    ("setting", "words"),
    [("mock={galaxys: 3}", "'mock.galaxys'"), ("runs={wide: {prepare: {fwhm: broad}}}", "run 'wide'")],
)
def test_a_wrong_setting_stops_before_anything_runs(tmp_path, setting, words):
    (tmp_path / "config.yaml").symlink_to(ROOT / "config.yaml")
    done = snakemake(tmp_path, "--dry-run", "--config", setting)
    lines = [line for line in done.stderr.splitlines() if line.startswith("config:")]
    assert done.returncode != 0 and len(lines) == 1 and words in lines[0]
    assert "Traceback" not in done.stderr and not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", ["base", "torch"])
def test_environments_are_pinned_as_the_constraints(name):
    pins = dict(
        re.findall(
            r"^([\w.-]+)==([^\s;]+)(?! ; python_full_version >=)",
            (ROOT / "constraints.txt").read_text(),
            re.M,
        )[::-1]
    )
    listed = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())["dependencies"][-1]["pip"]
    assert listed and all(
        pins[package] == version for package, version in (pin.split("==") for pin in listed)
    )


ASKED_FOR = """
    mse_predicted mse_predicted_log mse_mean_spectrum mse_nearest_image mse_regression
    mse_predicted_mean mse_predicted_medoid delta_bar_median delta_bar_p90 chi2_per_pixel_median
    sigma_mad bias outliers_005 outliers_003 sigma_mad_observed sigma_mad_median_baseline
    sigma_mad_nearest_image sigma_mad_regression rho_dn4000 n_train n_valid n_test n_lost
"""
PAPER = {  # Doorenbos et al. (2024): sections 2.2, 5.1, 5.2, table 3, figure 7
    "sigma_mad": "0.01177",
    "mse_predicted": "0.0107",
    "n_test": "1506",
    "rho_dn4000": "0.91",
    "delta_bar_median": "0.055",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The whole chain on a tiny sky, in a folder of its own."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "config.yaml").symlink_to(ROOT / "config.yaml")
    options = ["--cores", "2", "--resources", "gpu=2", "--configfile", str(ROOT / "config" / "tiny.yaml")]
    return folder, options, snakemake(folder, *options)


def test_the_chain_runs_end_to_end(tiny):
    folder, _, done = tiny
    assert done.returncode == 0, done.stdout + done.stderr
    main = folder / "results" / "main"
    summary = json.loads((main / "summary.json").read_text())
    assert summary["simulated"] is True and summary["mse_predicted"] > 0
    assert set(ASKED_FOR.split()) <= set(summary["about"]) <= set(summary)
    paper = {name: about["paper"].split()[0] for name, about in summary["about"].items() if about["paper"]}
    assert paper.items() >= PAPER.items() and float(paper["outliers_005"]) == pytest.approx(
        2 / 1506, abs=5e-5
    )
    assert all(truth["holds"] for truth in json.loads((main / "check.json").read_text())["truths"])
    assert json.loads((main / "times.json").read_text())["total"] > 0
    for figure in ("fig01", "fig02", "fig03", "fig05", "fig06", "learning", "mocksky", "mockpopulation"):
        for suffix in (".png", ".pdf", ".json"):
            assert (main / "figures" / f"{figure}{suffix}").stat().st_size > 0


def test_a_finished_run_has_nothing_to_do(tiny):
    folder, options, _ = tiny
    done = snakemake(folder, *options, "--dry-run")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_changed_setting_reruns_only_what_reads_it(tiny):
    folder, options, _ = tiny
    done = snakemake(folder, *options, "--dry-run", "--config", "quality={wave_max: 6900}")
    planned = done.stdout + done.stderr
    assert re.search(r"^quality\s+1\b", planned, re.M) and not re.search(
        r"^(train|prepare|redshift|generate)\s", planned, re.M
    )


def test_a_single_rule_runs_again(tiny):
    folder, options, _ = tiny
    done = snakemake(folder, *options, "--forcerun", "figure_fig06", "results/main/figures/fig06.png")
    assert done.returncode == 0, done.stderr


def test_the_report_is_made(tiny):
    folder, options, _ = tiny
    done = snakemake(folder, *options, "--report", "report.html")
    assert done.returncode == 0, done.stderr
    assert (folder / "report.html").stat().st_size > 100_000
