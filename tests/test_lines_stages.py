"""The stages of features from the command line, on galaxies of known class: indices to tables."""

import functools

import numpy as np
import pytest
import yaml

import emitters
from populations import library_path
from sanspec import store
from sanspec.__main__ import main
from sanspec.classes import diagnostics
from sanspec.errors import Warn
from sanspec.features import dispersed
from sanspec.features import vdisp_correction as correction
from sanspec.products import samples

SETTINGS = {
    "agn": {"spectra": 66, "steps": 12, "batch": 24, "widths": [4, 8]},
    "classify": {"draws": 60, "experiments": 200},
    "lick": {"bootstrap": 20},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Every stage in its order."""
    made = emitters.make(tmp_path_factory.mktemp("run"))
    made.config = made.folder / "config.yaml"
    made.config.write_text(yaml.safe_dump(SETTINGS))
    made.call = lambda stage, *words: main([stage, *map(str, words), "--config", str(made.config)])
    made.read = lambda name: store.read_table(made.folder / "tables" / name)
    made.numbers = lambda name: store.read_json(made.folder / "tables" / name)
    with pytest.MonkeyPatch.context() as patch:  # a quick fit of the correction: its own tests are elsewhere
        patch.setattr(correction, "STARTS", 1)
        patch.setattr(correction, "held_out", functools.partial(correction.held_out, count=6))
        for stage, words in chain(made).items():
            assert made.call(stage.rstrip("_"), *words) == 0, stage
    return made


def chain(run) -> dict[str, list]:
    """Words of every stage."""
    at = {name: run.folder / path for name, path in PATHS.items()}

    def words(*names, **more):
        pairs = [(name, at[name]) for name in names] + list(more.items())
        return [word for name, value in pairs for word in (f"--{name}", value)]

    pair = words("spectra", "predicted", "redshifts")
    models, templates = words(models=at["fits"]), words(templates=library_path())
    return {
        "broadening": [*templates, "--out", at["broadening"]],
        "indices": [*pair, *words("objects"), *out(at, "indices")],
        "lick": [
            *words("spectra", "predicted", "objects", "indices", "populations", "broadening"),
            *models,
            *out(at, "lick"),
        ],
        "lines": [*pair, *words("populations", "objects"), *models, *out(at, "lines")],
        "classify": [*words("lines"), *out(at, "classes")],
        "starlight": [*words("spectra"), *templates, "--out", at["training_models"]],
        "lines_": [
            *words("spectra"),
            "--split",
            "train",
            "--models",
            at["training_models"],
            *out(at, "training"),
        ],
        "agn": [*words("images", "statistics", "objects", "training", "classes"), *out(at, "agn")],
        "bimodality": [*words("objects", "indices", "populations"), *out(at, "bimodality")],
        "compare": [*pair, *words("baselines"), *templates, *out(at, "compared")],
    }


def out(at, name):
    return ["--out", at[name], "--summary", at[name].with_suffix(".json")]


PATHS = {
    "spectra": "prepared/spectra.h5", "images": "prepared/images.h5", "statistics": "prepared/statistics.json",
    "objects": "prepared/objects.parquet", "predicted": "generated/predicted.h5",
    "baselines": "generated/baselines.h5", "redshifts": "tables/redshift.ecsv",
    "populations": "tables/ppxf.parquet", "fits": "tables/ppxf_models.h5", "broadening": "tables/broadening.json",
    "indices": "tables/indices.ecsv", "lick": "tables/lick.ecsv", "lines": "tables/lines.parquet",
    "classes": "tables/classes.ecsv", "training_models": "tables/training_models.h5",
    "training": "tables/training_lines.parquet", "agn": "tables/agn.ecsv", "bimodality": "tables/bimodality.ecsv",
    "compared": "tables/predictors.parquet",
}  # fmt: skip


# ----------------------------------------------------------------------------------------------- indices


def test_predictions_without_noise_have_the_indices_of_the_observed(run):
    table = run.read("indices.ecsv")
    for name in ("mgb", "fe5270", "dn4000", "hdelta_a"):
        apart = (table[f"{name}_predicted"] - table[f"{name}_observed"])[:-1] / table[f"{name}_observed_err"][
            :-1
        ]
        assert np.abs(apart).max() < 4.5 and np.abs(apart).median() < 1.2, name
    numbers = run.numbers("lick.json")["numbers"]
    assert numbers["rho_mgb"] > 0.98 and numbers["rho_mgfe"] > 0.98 and numbers["rho_hbeta"] > 0.99


def test_hbeta_is_measured_where_the_fit_s_own_velocity_puts_it(run):
    """The predicted fits lie 300 km/s off their redshift: the same starlight all the same."""
    table = run.read("lick.ecsv")
    assert table["hbeta_predicted"][:-1].to_numpy() == pytest.approx(
        table["hbeta_observed"][:-1].to_numpy(), rel=0.02
    )
    populations = store.read_table(run.folder / "tables" / "ppxf.parquet")
    z = dispersed.fit_redshifts(populations, run.ids[run.test], "predicted", np.full(emitters.TEST, 0.1))
    assert z[:-1] == pytest.approx(0.1 + 1.1 * 300 / 299792, abs=1e-6) and np.isnan(z[-1])


def test_indices_are_corrected_for_the_dispersion_of_the_fits(run):
    raw, corrected = run.read("indices.ecsv"), run.read("lick.ecsv")
    assert (corrected["mgb_observed"] > raw["mgb_observed"])[raw["mgb_observed"] > 0.3].all()
    assert corrected["vdisp_observed"].to_numpy() == pytest.approx(120 + np.arange(emitters.TEST))


# ------------------------------------------------------------------------------------------ lines, classes


def test_every_galaxy_has_its_class_in_both_spectra(run):
    classes = run.read("classes.ecsv")
    wanted = [emitters.CLASSES.index(kind) for kind in run.kinds[run.test]]
    order = np.argsort(samples.ids(classes))
    assert classes["class_observed"].to_numpy()[order].tolist() == wanted
    assert classes["class_predicted"].to_numpy()[order].tolist() == [*wanted[:-1], diagnostics.UNKNOWN]
    found = run.numbers("classes.json")
    assert found["numbers"]["agn_accuracy"] == 1 and found["numbers"]["n_classified"] == emitters.TEST - 1
    assert found["numbers"]["agn_never_baseline"] == pytest.approx(12 / 17)
    assert found["diagram"]["observed"]["whan"]["star-forming"] == 6


def test_widths_come_back(run):
    lines = run.read("lines.parquet")
    observed = lines[lines["kind"] == "observed"].set_index("specobjid").loc[run.ids[run.test]]
    for kind in ("star-forming", "active"):
        use = run.kinds[run.test] == kind
        for which, line in ((0, "h_beta"), (1, "o_iii_5007"), (2, "h_alpha"), (3, "n_ii_6583")):
            ratio = observed[f"ew_{line}"][use].median() / emitters.WIDTHS[kind][which]
            assert ratio == pytest.approx(1, abs=0.08), (kind, line)


def test_the_baselines_learn_what_photometry_and_images_show(run):
    numbers = run.numbers("agn.json")
    assert numbers["svm"]["accuracy"] > 0.9 and numbers["training"]["count"] >= 60
    assert numbers["photometry"]["photometric_redshift_scatter"] < 0.02
    assert numbers["image_classifier"]["accuracy"] >= 0.6


def test_bimodality_of_the_made_sample(run):
    found = run.numbers("bimodality.json")
    table = run.read("bimodality.ecsv")
    assert (
        np.isnan(table["log_age_predicted"].to_numpy()[-1])
        and np.isfinite(table["log_age_predicted"][:-1]).all()
    )
    assert found["mixtures"]["observed"]["log_age"]["count"] == emitters.TEST


# --------------------------------------------------------------------------------- a missing prediction


def test_without_a_predicted_redshift_there_is_nothing_predicted(run):
    """NaN and a bit in every table, and never a number measured at another redshift."""
    key = run.ids[run.test][-1]
    for name in ("indices.ecsv", "lick.ecsv"):
        table = run.read(name)
        row = table[samples.ids(table) == key].iloc[0]
        predicted = [column for column in table if column.endswith("_predicted")]
        assert len(predicted) >= 7 and row[predicted].isna().all(), name
        assert int(row["mgb_warn"]) & int(Warn.NO_INDEX)
    lines = run.read("lines.parquet")
    row = lines[(samples.ids(lines) == key) & (lines["kind"] == "predicted")].iloc[0]
    assert (
        np.isnan(row["flux_h_alpha"])
        and row["present_h_alpha"] == -1
        and int(row["warn"]) & int(Warn.NO_LINE)
    )
    classes = run.read("classes.ecsv")
    row = classes[samples.ids(classes) == key].iloc[0]
    assert row["class_predicted"] == diagnostics.UNKNOWN and int(row["warn_predicted"]) & int(Warn.NO_CLASS)
    assert np.isnan(row["p_active_predicted"])


# ------------------------------------------------------------------------------------------- comparison


def test_predictors_are_measured_in_the_same_way(run):
    found, table = run.numbers("predictors.json"), run.read("predictors.parquet")
    active = found["predicted"]["active"]  # the one without a spectrum is active, and counts as missed
    assert (
        active["accuracy"] == pytest.approx(17 / 18) and active["unknown"] == 1 and active["precision"] == 1
    )
    assert found["predicted"]["indices"]["mgb"]["pearson"] > 0.98
    assert found["predicted"]["indices"]["hbeta"]["pearson"] > 0.99
    other = found["nearest_image"]  # the next galaxy's spectrum: another class
    assert other["indices"]["mgb"]["pearson"] < 0.3 and other["active"]["accuracy"] < 0.6
    lost = table[(table["kind"] == "predicted") & (samples.ids(table) == run.ids[run.test][-1])].iloc[0]
    assert lost[["mgb", "hbeta", "ew_h_alpha"]].isna().all()
    assert int(lost["warn"]) & int(Warn.NO_CLASS) and int(lost["warn"]) & int(Warn.NO_LINE)


def test_tables_say_the_numbers_of_the_run(run, tmp_path):
    words = [
        "--classes",
        run.folder / "tables/classes.json",
        "--compared",
        run.folder / "tables/predictors.json",
    ]
    words += ["--agn", run.folder / "tables/agn.json"]
    for name in ("table1", "table2", "table_budget", "table_predictors"):
        path = tmp_path / f"{name}.ecsv"
        assert run.call("table", name, *words, "--out", path) == 0
        for suffix in (".tex", ".txt"):
            assert "imulated sky" in path.with_suffix(suffix).read_text()
    table = store.read_table(tmp_path / "table_predictors.ecsv").set_index("predictor")
    assert (
        table["agn_accuracy"]["best draw"] == pytest.approx(17 / 18) and table["rho_mgb"]["best draw"] > 0.98
    )
    assert table["agn_accuracy"]["never active"] == pytest.approx(12 / 18)
    assert np.isnan(table["rho_mgb"]["image classifier"])
    budget = store.read_table(tmp_path / "table_budget.ecsv").set_index(["reading", "score"])
    assert budget["nominal"]["additive", "accuracy"] == 1
    assert budget["mean"]["additive", "accuracy"] <= 1 and budget["std"]["additive", "accuracy"] >= 0
    assert budget["paper"]["additive", "recall"] == 0.736
    assert store.read_table(tmp_path / "table2.ecsv")["sum"].to_numpy()[-1] == 17


@pytest.mark.parametrize(
    ("name", "words"), [("table2", []), ("table_budget", []), ("table_predictors", ["--classes", "x.json"])]
)
def test_a_table_says_what_it_needs(run, tmp_path, capsys, name, words):
    assert run.call("table", name, *words, "--out", tmp_path / "t.ecsv") == 2
    assert f"{name} needs --" in capsys.readouterr().err
