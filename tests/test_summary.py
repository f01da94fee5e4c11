"""Summary: every number under one name, as its source has it; times: the seconds that Snakemake measured."""

import json

import numpy as np
import pandas as pd
import pytest

import fake_run
from sanspec import __main__, config, store
from sanspec.errors import SanspecError
from sanspec.scores import summary, timing
from sanspec.scores.numbers import Number, record

BENCHMARK = "s\th:m:s\tmax_rss\tmax_vms\tio_in\tcpu_time\n"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    paths = fake_run.make(tmp_path_factory.mktemp("run"))
    write_benchmarks(
        paths.folder / "benchmarks", train_diff_coarse=100.5, train_regressor=20.0, baselines=7.0
    )
    return paths


def write_benchmarks(folder, **seconds):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in seconds.items():
        (folder / f"{name}.tsv").write_text(
            BENCHMARK + f"{value}\t0:00:01\t{100 + value}\t5\t0\t{value / 2}\n"
        )


def command(run, folder, **changes):
    (folder / "config.yaml").write_text("{}")
    numbers = [run.folder / f"{source}.json" for source in summary.SOURCES if source != summary.SAMPLE]
    options = {
        "config": [folder / "config.yaml"],
        "run": ["main"],
        "numbers": numbers,
        "losses": [run.losses],
        "objects": [run.objects],
        "benchmarks": [run.folder / "benchmarks"],
        "out": [folder / "summary.json"],
        "times": [folder / "times.json"],
    } | changes
    return ["summary", *(str(part) for key, values in options.items() for part in (f"--{key}", *values))]


def test_the_stage_writes_every_number_and_prints_them(run, tmp_path, capsys):
    assert __main__.main(command(run, tmp_path)) == 0
    written, printed = json.loads((tmp_path / "summary.json").read_text()), capsys.readouterr().out
    assert (written["run"], written["survey"], written["simulated"]) == ("main", "embedded sky", True)
    quality = store.read_table(run.quality)
    assert written["mse_predicted"] == pytest.approx(quality["mse_predicted"].mean())
    assert (written["n_train"], written["n_valid"], written["n_test"]) == (80, 10, 60)
    assert (written["n_lost"], written["n_unused"]) == (6, 0)
    for source in summary.SOURCES:
        names = [name for name, one in written["about"].items() if one["source"].startswith(f"{source}: ")]
        assert names and all(name in written and written["about"][name]["meaning"] for name in names)
        assert all(f"\n{name} " in printed for name in names)
    assert "SIMULATED" in printed and "not the same sample" in printed


def test_columns_are_aligned():
    """Names, values and meanings each start in one column."""
    declared = [
        Number("n_train", 268603, "galaxies in the training split", paper="268603"),
        Number("bias", None, "mean of dz"),
        Number("angle", 0.123456, "of an axis", "deg"),
    ]
    found = record(declared)
    lines = summary.table(found["numbers"], found["about"], "head").splitlines()[2:-2]
    starts = {line.index(one.meaning) for one, line in zip(declared, lines[2:])}
    assert starts == {lines[0].index("meaning")}
    assert "268603" in lines[2] and "missing" in lines[3] and "0.1235   deg" in lines[4]


def test_a_real_sky_is_not_called_simulated():
    survey = config.Survey(simulated=False, name="SDSS")
    head = summary.headline("main", survey, timing.times({}))
    assert "SDSS" in head and "SIMULATED" not in head


# ---------------------------------------------------------------------------------------------- faults


def test_a_missing_source_is_one_line(run, tmp_path, capsys):
    assert __main__.main(command(run, tmp_path, numbers=[run.quality_numbers])) == 2
    fault = capsys.readouterr().err.splitlines()[-1]
    assert "tables/redshift.json" in fault and "--numbers" in fault
    assert not (tmp_path / "summary.json").exists() and not (tmp_path / "times.json").exists()


SOUND = {source: record([Number(f"of {source}", 1, "meaning")]) for source in summary.SOURCES}


def test_a_file_that_does_not_declare_its_numbers_is_one_line():
    about = {"of tables/lick": {"unit": "", "meaning": "m", "paper": ""}}
    for content in ({}, {"numbers": {}}, {"numbers": 3}, {"numbers": {"x": 1}, "about": about}):
        with pytest.raises(SanspecError, match=r"tables/lick\.json does not declare its numbers"):
            summary.collect(SOUND | {"tables/lick": content})


def test_a_name_given_twice_is_refused():
    twice = SOUND | {"tables/lick": SOUND["tables/lines"]}
    with pytest.raises(SanspecError, match="'of tables/lines' is given twice"):
        summary.collect(twice)
    with pytest.raises(ValueError, match="x is declared twice"):
        record([Number("x", 1, "one"), Number("x", 2, "two")])


def test_the_summary_keeps_the_order_of_its_sources():
    numbers, about = summary.collect(dict(reversed(SOUND.items())))
    assert list(numbers) == list(about) == [f"of {source}" for source in summary.SOURCES]


def test_files_of_one_name_or_of_another_run_are_refused(tmp_path):
    one, two = tmp_path / "a" / "t.json", tmp_path / "b" / "a" / "t.json"
    with pytest.raises(SanspecError, match="two files are called a/t"):
        summary.read_sources([one, two], lambda path: {}, "main")
    with pytest.raises(SanspecError, match="of run 'other', not 'main'"):
        summary.read_sources([one], lambda path: {"run": "other"}, "main")


def test_what_could_not_be_measured_is_null(run, tmp_path):
    numbers = store.read_json(run.redshift_numbers)
    numbers["numbers"]["bias"] = np.nan
    store.write_json(tmp_path / "tables" / "redshift.json", numbers)
    others = [source for source in summary.SOURCES if source not in (summary.SAMPLE, "tables/redshift")]
    rest = [run.folder / f"{source}.json" for source in others]
    line = command(run, tmp_path, numbers=[tmp_path / "tables" / "redshift.json", *rest])
    assert __main__.main(line) == 0
    assert json.loads((tmp_path / "summary.json").read_text())["bias"] is None


def test_an_object_lost_for_two_reasons_is_lost_once():
    objects = pd.DataFrame({"split": [0, 0, 1, 2, -1]})
    losses = pd.DataFrame({"reason": ["zwarning", "no_cube"], "count": [2, 2]})
    losses.attrs["meta"] = {"counts": {"lost": 3}}
    found = summary.sample(objects, losses)["numbers"]
    assert found == {"n_train": 2, "n_valid": 1, "n_test": 1, "n_unused": 1, "n_lost": 3}


# ----------------------------------------------------------------------------------------------- times


def test_times_are_the_benchmarks(run, tmp_path):
    raw = tmp_path / "raw"
    write_benchmarks(raw, mock=60.25)
    assert __main__.main(command(run, tmp_path, benchmarks=[run.folder / "benchmarks", raw])) == 0
    times = json.loads((tmp_path / "times.json").read_text())
    assert times["total"] == pytest.approx(187.75) and times["training"] == pytest.approx(120.5)
    assert times["training_and_baselines"] == pytest.approx(127.5)
    assert times["rules"] == pytest.approx({"baselines": 7.0, "train": 120.5, "mock": 60.25})
    assert times["jobs"]["mock"] == {"seconds": 60.25, "cpu_seconds": 30.125, "peak_memory_mb": 160.25}
    assert times["peak_memory_mb"] == 200.5 and times["simulated"] is True


def test_repeats_are_averaged_and_unknown_values_are_none(tmp_path):
    path = tmp_path / "job.tsv"
    path.write_text(BENCHMARK + "2\t0:00:02\t-\t-\t-\tNA\n4\t0:00:04\t-\t-\t-\tNA\n")
    assert timing.read_job(path) == {"seconds": 3.0, "cpu_seconds": None, "peak_memory_mb": None}


def test_a_run_without_benchmarks_took_no_time():
    times = timing.times(timing.read_jobs([]))
    assert times["total"] == 0 and times["peak_memory_mb"] is None and times["jobs"] == {}


@pytest.mark.parametrize("text", ["", "s\n", "a\tb\n1\t2\n", BENCHMARK + "-\t-\t-\t-\t-\t-\n"])
def test_what_is_no_benchmark_is_one_line(tmp_path, text):
    path = tmp_path / "job.tsv"
    path.write_text(text)
    with pytest.raises(SanspecError, match=r"job\.tsv is not a benchmark"):
        timing.read_job(path)


def test_a_job_counted_twice_is_refused(tmp_path):
    for folder in ("a", "b"):
        write_benchmarks(tmp_path / folder, match=1.0)
    with pytest.raises(SanspecError, match="two benchmarks are called match"):
        timing.read_jobs([tmp_path / "a", tmp_path / "b"])
