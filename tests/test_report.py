"""Captions of the report: they render for every setting and never hide that a sky is simulated."""

from types import SimpleNamespace

import pytest
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined

from conftest import ROOT
from sanspec import config
from sanspec.figures import FIGURES

CAPTIONS = sorted((ROOT / "workflow" / "report").glob("*.rst"))
OF_THE_SIMULATION = {
    "mocksky",
    "mockpopulation",
    "stellar_truth",
}  # captions of what only a simulated sky has
STRICT = {"halt_level": 2, "report_level": 5}


def rendered(path, simulated):
    """A caption as Snakemake makes it, with the words of the run."""
    settings = config.Config(survey={"simulated": simulated, "name": "a survey"}).model_dump(mode="json")
    snakemake = SimpleNamespace(
        config=settings,
        params=SimpleNamespace(settings=settings),
        wildcards=SimpleNamespace(run="a_run"),
    )
    text = Environment(undefined=StrictUndefined).from_string(path.read_text()).render(snakemake=snakemake)
    return publish_parts(text, writer="html", settings_overrides=STRICT)["body"]


def test_every_figure_has_a_caption():
    assert set(FIGURES) | {"summary", "runs", "losses", "workflow", "table"} == {
        path.stem for path in CAPTIONS
    }


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_a_simulated_sky_is_called_so_and_a_real_one_is_not(path):
    assert "simulated" in rendered(path, True)
    if path.stem not in OF_THE_SIMULATION:
        assert "simulated" not in rendered(path, False)


@pytest.mark.parametrize("path", CAPTIONS, ids=lambda path: path.stem)
def test_a_caption_says_what_is_shown(path):
    assert len(rendered(path, True)) > 300
    if path.stem in FIGURES:
        assert f"{path.stem}.json" in rendered(path, True)


@pytest.mark.parametrize("number", range(1, 13))
def test_a_figure_of_the_paper_names_its_model(number):
    text = rendered(ROOT / "workflow" / "report" / f"fig{number:02d}.rst", True)
    assert f"after figure {number} of" in " ".join(text.split())
