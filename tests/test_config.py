"""Settings are closed, typed and documented; a fault is one line that names the run and the key."""

import pytest
import yaml

from conftest import ROOT
from sanspec import config
from sanspec.errors import SanspecError

OVERLAYS = sorted((ROOT / "config").glob("*.yaml"))


def test_config_yaml_is_the_documented_default():
    text = (ROOT / "config.yaml").read_text().rstrip("\n")
    assert text == config.document().rstrip("\n"), "rewrite it: sanspec config > config.yaml"


def test_config_yaml_holds_the_defaults():
    settings = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert config.resolve(settings) == {"main": config.Config()}


@pytest.mark.parametrize("path", OVERLAYS, ids=lambda path: path.name)
def test_overlays_are_valid(path):
    assert config.resolve(yaml.safe_load(path.read_text()))["main"] != config.Config()


def test_every_setting_is_explained():
    def walk(model, path):
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, config.Section):
                yield from walk(field.annotation, [*path, name])
            else:
                yield ".".join([*path, name]), field.description

    unexplained = [name for name, description in walk(config.Config, []) if not description]
    assert not unexplained


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mock": {"galaxys": 5}}, ["run 'main'", "'mock.galaxys'", "galaxies"]),
        ({"mock": {"galaxies": "many"}}, ["run 'main'", "'mock.galaxies'", "'many'"]),
        ({"mock": {"galaxies": 0}}, ["'mock.galaxies'", "greater"]),
        ({"mockk": {}}, ["'mockk'", "mock"]),
        ({"match": {"z_min": 0.2, "z_max": 0.1}}, ["'match'", "below"]),
        (
            {"stellar": {"ppxf": {"wave_min": 9000.0}}},
            ["'stellar.ppxf'", "wave_min=9000.0 must be below wave_max=8000.0"],
        ),
        ({"prepare": {"fwhm": float("nan")}}, ["'prepare.fwhm'"]),
        ({"prepare": 3}, ["'prepare'"]),
        ({"runs": {"wide": {"prepare": {"fwmh": 2}}}}, ["run 'wide'", "'prepare.fwmh'", "fwhm"]),
        ({"runs": {"../x": {}}}, ["bad run name"]),
        ({"runs": {"main": {}}}, ["bad run name"]),
        ({"runs": 3}, ["'runs'"]),
        ({"runs": {"x": 3}}, ["'x'"]),
        (3, ["mapping"]),
    ],
)
def test_a_wrong_setting_is_one_line_with_run_and_key(settings, words):
    with pytest.raises(SanspecError) as caught:
        config.resolve(settings)
    text = str(caught.value)
    assert all(word in text for word in words) and "\n" not in text


def test_named_runs_change_only_what_they_say():
    runs = config.resolve({"mock": {"seed": 5}, "runs": {"a": {"prepare": {"norm_frame": "observed"}}}})
    assert runs["a"].mock.seed == 5 and runs["a"].prepare.norm_frame == "observed"
    assert runs["a"].prepare.model_copy(update={"norm_frame": "rest"}) == runs["main"].prepare


def test_settings_survive_the_round_trip_through_a_file(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(config.dump(config.Config()))
    assert config.load(path) == config.Config()


@pytest.mark.parametrize("text", ["a: [", "- 1", "mock: {galaxies: x}"])
def test_a_bad_settings_file_is_one_line(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(SanspecError, match="config"):
        config.load(path)
    with pytest.raises(SanspecError, match="cannot read"):
        config.load(tmp_path / "none.yaml")


def test_settings_that_clash_are_named_without_the_rest_of_their_section():
    with pytest.raises(SanspecError) as fault:
        config.validate({"mock": {"z_min": 0.2, "z_max": 0.1}})
    assert str(fault.value) == "config: run 'main': key 'mock': z_min=0.2 must be below z_max=0.1"
