"""Runs side by side: changed settings named, ratios in pairs, runs without a like sample without a ratio."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from sanspec import store
from sanspec.__main__ import main
from sanspec.config import resolve
from sanspec.errors import SanspecError
from sanspec.scores import runs

OVERRIDES = {
    "runs": {
        "heun": {"generate": {"coarse": {"method": "heun"}}},
        "rough": {"train": {"diff_coarse": {"smoothing": 0, "bins": 20}}},
    }
}


@pytest.fixture
def files(tmp_path):
    """Products of three runs: heun's scores are 1.1 of main's, galaxy by galaxy; rough has other galaxies."""
    rng, made = np.random.default_rng(0), []
    scores = pd.DataFrame({"specobjid": np.arange(1, 81, dtype=np.uint64)})
    for name in runs.PAIRED:
        scores[name] = rng.uniform(0.5, 1.5, 80)
    scores.loc[3, "crps_fine"] = np.nan
    for name, settings in resolve(OVERRIDES).items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
        own = scores.copy()
        own[list(runs.PAIRED)] *= 1.1 if name == "heun" else 1.0
        own["specobjid"] += np.uint64(5 if name == "rough" else 0)
        store.write_table(folder / "validation.ecsv", own.sample(frac=1, random_state=1))
        (folder / "summary.json").write_text(
            json.dumps({"run": name, "crps_coarse": own["crps_coarse"].mean()})
        )
        made.append(folder)
    return made


def command(folders, out):
    options = {"config": "config.yaml", "summary": "summary.json", "scores": "validation.ecsv"}
    arguments = ["runs", "--out", str(out)]
    for key, name in options.items():
        arguments += [f"--{key}", *(str(each / name) for each in folders)]
    return arguments


def test_ratios_are_those_of_the_pairs(files, tmp_path, capsys):
    """A factor on every galaxy is the ratio, without error; a missing score leaves its pair out."""
    assert main(command(files[::-1], tmp_path / "runs.ecsv")) == 0
    table = store.read_table(tmp_path / "runs.ecsv").set_index("run")
    assert table.index[0] == "main" and set(table.index) == {"main", "heun", "rough"}
    for name in runs.PAIRED:
        assert table.loc["heun", f"{name}_ratio"] == pytest.approx(1.1)
        assert table.loc["heun", f"{name}_ratio_error"] == pytest.approx(0, abs=1e-9)
        assert table.loc["main", f"{name}_ratio"] == 1
        assert np.isnan(table.loc["rough", f"{name}_ratio"])
    assert np.isnan(table.loc["main", "sigma_mad"])  # not among its numbers
    printed = capsys.readouterr().out
    assert "simulated sky" in printed and "1.100 ± 0.000" in printed


def test_changed_settings_are_named_and_no_others(files, tmp_path):
    main(command(files, tmp_path / "runs.ecsv"))
    changed = store.read_table(tmp_path / "runs.ecsv").set_index("run")["changed"]
    assert changed["heun"] == "generate.coarse.method=heun"
    assert changed["rough"] == "train.diff_coarse.bins=20, train.diff_coarse.smoothing=0.0"


def test_unlike_counts_and_a_lack_of_main_are_one_line(files, tmp_path, capsys):
    arguments = command(files, tmp_path / "runs.ecsv")
    arguments.remove(str(files[1] / "summary.json"))
    assert main(arguments) == 2
    assert "2 of --summary" in capsys.readouterr().err
    with pytest.raises(SanspecError, match="no run 'main' among heun"):
        runs.table({"heun": {}}, {"heun": {}}, {"heun": pd.DataFrame()})
