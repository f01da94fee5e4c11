"""The figures of the simulated sky: what they choose, show and count."""

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from sanspec import __main__ as cli
from sanspec.config import Config
from sanspec.errors import SanspecError
from sanspec.figures import mockpopulation, mocksky
from sanspec.mock import checks
from sanspec.store import read_json, read_table, write_json
from sky import emiles, spoilt_sky  # noqa: F401


@pytest.fixture
def config(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"figures": {"dpi": 60}}))
    return tmp_path / "config.yaml"


def draw(name, config, out, **inputs):
    """Run the stage; returns the numbers of the figure."""
    given = [f"{key}={path}" for key, path in inputs.items()]
    assert cli.main(["figure", name, "--config", str(config), "--inputs", *given, "--out", str(out)]) == 0
    return read_json(out.with_suffix(".json"))


def test_the_population_is_drawn(spoilt_sky, config, tmp_path):  # noqa: F811
    out = tmp_path / "mockpopulation.png"
    inputs = {"truth": spoilt_sky / "truth.parquet", "population": spoilt_sky / "population.json"}
    numbers = draw("mockpopulation", config, out, **inputs)
    truth = read_table(spoilt_sky / "truth.parquet")
    assert numbers["n"] == len(truth) and set(numbers["checks"]) == set(checks.population(truth)["check"])
    assert numbers["simulated"] is True and np.asarray(Image.open(out)).std() > 10


def test_the_sheet_shows_galaxies_with_their_spectra(spoilt_sky, config, tmp_path, monkeypatch):  # noqa: F811
    """A short sheet of a small sky: two galaxies, whole ones, whose truth is in the JSON."""
    monkeypatch.setattr(mocksky, "SHOWCASE", {"S": 1})
    monkeypatch.setattr(mocksky, "TYPICAL", 1)
    whole = read_table(spoilt_sky / "truth.parquet")
    fine = [
        "",
        "no_catalogue",
        "twice_in_catalogue",
        "twice_in_cubes",
        "repeat",
        "zwarning",
        "bad_plate",
        "qso",
    ]
    whole.loc[whole["defect"].isin(fine), ["defect", "paired"]] = "", False
    whole.to_parquet(tmp_path / "truth.parquet")
    inputs = {"cubes": spoilt_sky / "sdss.npz", "truth": tmp_path / "truth.parquet"}
    numbers = draw("mocksky", config, tmp_path / "mocksky.png", **inputs, sky_spectra=spoilt_sky / "spectra")
    assert numbers["n"] == len(whole) and len(numbers["galaxies"]) == 2
    assert {one["specobjid"] for one in numbers["galaxies"]} <= set(whole["specobjid"].tolist())
    assert np.asarray(Image.open(tmp_path / "mocksky.png")).std() > 10


def sample(count, **columns):
    """A truth table with what the sheet's rule reads."""
    rng = np.random.default_rng(1)
    table = {
        "specobjid": np.arange(count, dtype=np.uint64),
        "defect": "",
        "paired": False,
        "kind": rng.choice(["S", "S0", "E", "Irr"], count),
        "disk_axis": rng.uniform(0.2, 1, count),
        "petro_r": rng.uniform(15, 17.7, count),
        "model_u": 19.0,
        "model_r": rng.uniform(16, 17.5, count),
    }
    return pd.DataFrame(table | columns)


def test_the_sheet_chooses_different_whole_galaxies():
    table = sample(800)
    table.loc[::3, "defect"] = "nan_flux"
    table.loc[1::3, "paired"] = True
    chosen = mocksky.choose(table)
    assert len(chosen) == sum(mocksky.SHOWCASE.values()) + mocksky.TYPICAL
    assert chosen["specobjid"].is_unique and not chosen["paired"].any() and (chosen["defect"] == "").all()
    assert chosen["kind"].head(6).eq("S").all()


def test_a_sky_too_small_for_the_sheet_is_told():
    with pytest.raises(SanspecError, match=r"raise mock\.galaxies"):
        mocksky.choose(sample(6))


def test_a_cube_file_of_another_sky_is_told(spoilt_sky):  # noqa: F811
    with pytest.raises(SanspecError, match="no cube of specobjid 12345"):
        mocksky.read_images(spoilt_sky / "sdss.npz", np.array([12345], np.uint64))


def test_a_population_without_galaxies_near_the_survey_s_redshift(spoilt_sky, tmp_path):  # noqa: F811
    """No galaxy at 0.10 < z < 0.12: the panel stays empty, the figure is drawn."""
    truth = read_table(spoilt_sky / "truth.parquet").assign(z=0.06)
    truth.to_parquet(tmp_path / "truth.parquet")
    write_json(tmp_path / "population.json", checks.numbers(truth, checks.population(truth)))
    inputs = {"truth": tmp_path / "truth.parquet", "population": tmp_path / "population.json"}
    figure, numbers = mockpopulation.draw(inputs, Config())
    assert numbers["at_survey_z"]["r"]["simulated"] is None and len(figure.axes) == 9
