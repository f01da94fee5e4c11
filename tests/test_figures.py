"""Figures: what is drawn is what the tables hold, chosen by rule, stamped when the sky is simulated."""

import json
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Angle
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import fake_run
from fake_run import inputs_of
from sanspec import __main__, config, store
from sanspec.errors import SanspecError
from sanspec.figures import FIGURES, fig01, fig02, fig03, fig05, fig06, galaxies, learning, style
from sanspec.stages import figure as stage

SETTINGS = config.Config()
MODULES = {
    "fig01": fig01,
    "fig02": fig02,
    "fig03": fig03,
    "fig05": fig05,
    "fig06": fig06,
    "learning": learning,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fake_run.make(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def drawn(run):
    """Every figure with its numbers."""
    with style.applied():
        return {name: module.draw(inputs_of(run, module), SETTINGS) for name, module in MODULES.items()}


def command(run, name, out, settings="{}"):
    """The command line of one figure."""
    path = out.with_suffix(".yaml")
    path.write_text(settings)
    pairs = [
        f"{key}={path}"
        for key, given in inputs_of(run, MODULES[name]).items()
        for path in (given if isinstance(given, list) else [given])
    ]
    return ["figure", name, "--config", str(path), "--run", "tiny", "--inputs", *pairs, "--out", str(out)]


# ---------------------------------------------------------------------------------------- every figure


@pytest.mark.parametrize("name", MODULES)
def test_the_stage_writes_png_pdf_and_json_that_name_run_and_survey(run, tmp_path, name):
    out = tmp_path / f"{name}.png"
    assert __main__.main(command(run, name, out, "figures: {dpi: 60}")) == 0
    with Image.open(out) as picture:
        assert picture.size[0] == pytest.approx(style.PAGE * 60, abs=1)
        assert np.asarray(picture.convert("L")).std() > 5
        assert "run tiny" in picture.info["Description"] and style.STAMP in picture.info["Description"]
        assert picture.info["Title"].startswith(name)
    pdf = out.with_suffix(".pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and b"simulated sky" in pdf and b"/Type3" not in pdf
    numbers = json.loads(out.with_suffix(".json").read_text())
    assert (numbers["figure"], numbers["run"], numbers["simulated"]) == (name, "tiny", True)
    assert numbers["survey"] == SETTINGS.survey.name and numbers["n"] > 0
    assert set(numbers["provenance"]["inputs"]) == {key.rstrip("*") for key in MODULES[name].INPUTS}
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".pdf", ".png", ".yaml"]


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("simulated", [True, False])
def test_a_simulated_sky_is_stamped_on_the_face_and_a_real_one_is_not(run, name, simulated):
    survey = config.Survey(simulated=simulated)
    with style.applied():
        picture, _ = MODULES[name].draw(inputs_of(run, MODULES[name]), SETTINGS)
        style.stamp(picture, survey)
    stamps = [text for text in picture.texts if text.get_text() == style.STAMP]
    assert len(stamps) == simulated and all(0 < text.get_position()[1] < 1 for text in stamps)


def test_the_stamp_covers_nothing(run):
    with style.applied():
        picture, _ = fig05.draw(inputs_of(run, fig05), SETTINGS)
        style.stamp(picture, SETTINGS.survey)
        picture.canvas.draw()
        stamp = picture.texts[-1].get_window_extent()
        tops = [axes.get_tightbbox().y1 for axes in picture.axes]
    assert stamp.y0 >= max(tops) and stamp.x1 <= picture.bbox.x1


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"fig01", "fig03"}))
def test_axes_carry_names(drawn, name):
    labels = {axes.get_xlabel() for axes in drawn[name][0].axes} - {""}
    assert labels


def test_every_figure_is_listed_and_every_module_is_a_figure():
    files = {path.stem for path in Path(style.__file__).parent.glob("*.py")}
    assert files - {"__init__", "style", "galaxies", "panels", "populations"} <= set(FIGURES)
    assert set(MODULES) <= set(FIGURES)


def test_numbers_may_not_hide_the_header(tmp_path):
    header = {"figure": "x", "title": "t", "run": "r", "survey": "s", "simulated": True}
    with style.applied(), pytest.raises(ValueError, match="run"):
        style.save(style.canvas(2, 2), {"run": 1}, header, tmp_path / "x.png", 50)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "quality=PATH"),
        (["quality=a"], "quality_numbers=PATH"),
        (["quality=a", "quality_numbers=b", "more=c"], "exactly"),
        (["quality=a", "quality=b", "quality_numbers=c"], "exactly"),
        (["quality", "quality_numbers=c"], "exactly"),
    ],
)
def test_wrong_inputs_are_one_line(inputs, words):
    with pytest.raises(SanspecError, match=words):
        stage.read_inputs(inputs, fig05.INPUTS, "fig05")


def test_a_starred_input_takes_several_files():
    found = stage.read_inputs(["records=a", "records=b"], ("records*",), "learning")
    assert found == {"records": [Path("a"), Path("b")]}
    assert stage.read_inputs(["records=a"], ("records*",), "learning") == {"records": [Path("a")]}


def test_a_missing_file_or_a_wrong_name_leaves_nothing_behind(run, tmp_path, capsys):
    line = command(run, "fig05", tmp_path / "fig05.png")
    broken = [text.replace(str(run.quality), str(tmp_path / "none.ecsv")) for text in line]
    assert __main__.main(broken) == 2
    assert "none.ecsv" in capsys.readouterr().err
    assert __main__.main([*line[:-1], str(tmp_path / "fig05.jpg")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["fig05.yaml"]


# --------------------------------------------------------------------------------------------- colours

DEUTERANOPIA = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
PROTANOPIA = np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]])


@pytest.mark.parametrize("sight", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["full", "deutan", "protan"])
@pytest.mark.parametrize("looks", [style.PREDICTORS, style.MORPHOLOGIES], ids=["predictors", "classes"])
def test_colours_differ_for_every_common_sight(looks, sight):
    """Machado, Oliveira & Fernandes (2009), severity 1; distances in linear RGB."""
    colours = sorted({look.colour for look in looks.values()})
    srgb = np.array([[int(c[k : k + 2], 16) / 255 for k in (1, 3, 5)] for c in colours])
    seen = np.clip(np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4) @ sight.T, 0, 1)
    apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[np.triu_indices(len(colours), 1)]
    assert apart.min() > 0.1


def test_a_red_galaxy_is_red_and_the_sky_is_dark():
    image = np.zeros((5, 64, 64), np.float32)
    image[:, 28:36, 28:36] = np.array([0.1, 0.5, 1.5, 3.0, 4.0])[:, None, None]
    picture = galaxies.colour(image * galaxies.WEIGHTS, SETTINGS.figures)
    red, green, blue = picture[32, 32]
    assert red > green > blue and picture[5, 5].max() == 0 and picture.dtype == np.uint8


def test_a_damaged_image_still_has_a_colour_picture():
    image = np.full((5, 64, 64), np.nan, np.float32)
    assert galaxies.colour(image, SETTINGS.figures).max() == 0


# ----------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("ra", "dec", "name"),
    [
        ("20:56:00.32", "-05:31:37.8", "J205600.32-053137.8"),
        ("15:01:09.86", "47:20:39.6", "J150109.86+472039.6"),
        ("10:57:28.22", "06:59:54.4", "J105728.22+065954.4"),
        ("02:50:19.52", "-07:02:23.4", "J025019.52-070223.4"),
        ("23:59:59.999", "-00:00:00.19", "J235959.99-000000.1"),
    ],
)
def test_names_are_those_of_the_paper_and_digits_are_cut_off(ra, dec, name):
    """Doorenbos et al. (2024), figure 2; the last by the rule of the IAU."""
    assert galaxies.sky_name(Angle(ra, u.hourangle).deg, Angle(dec, u.deg).deg) == name


@given(st.floats(0, 359.99999), st.floats(-89.9999, 89.9999))
def test_a_name_gives_the_position_back_within_its_digits(ra, dec):
    name = galaxies.sky_name(ra, dec)
    hours = Angle(f"{name[1:3]}h{name[3:5]}m{name[5:10]}s").hour
    degrees = Angle(f"{name[11:13]}d{name[13:15]}m{name[15:]}s").deg
    assert -1e-9 <= (ra / 15 - hours) * 3600 < 0.01 + 1e-6
    assert -1e-9 <= (abs(dec) - degrees) * 3600 < 0.1 + 1e-6
    assert name[10] == ("-" if dec < 0 else "+")


def test_rows_are_found_by_id_and_a_missing_one_is_one_line(run):
    ids = store.read_table(run.objects)["specobjid"].to_numpy()[[7, 2, 90]]
    assert galaxies.read_rows(run.images, "specobjid", list(ids)).tolist() == ids.tolist()
    with pytest.raises(SanspecError, match=r"images\.h5: 1 of 1"):
        galaxies.read_rows(run.images, "images", [1])
