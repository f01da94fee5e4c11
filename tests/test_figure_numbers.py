"""Each figure shows what the tables hold, chosen by its rule, and its numbers are right."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from scipy import stats

import fake_run
from fake_run import inputs_of
from sanspec import config, store
from sanspec.errors import SanspecError
from sanspec.figures import fig01, fig02, fig03, fig05, fig06, galaxies, learning, style
from sanspec.scores import metrics

SETTINGS = config.Config()
MODULES = {"fig01": fig01, "fig02": fig02, "fig05": fig05, "fig06": fig06, "learning": learning}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fake_run.make(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def drawn(run):
    """Every figure with its numbers."""
    with style.applied():
        return {name: module.draw(inputs_of(run, module), SETTINGS) for name, module in MODULES.items()}


def texts(picture):
    return [text.get_text() for text in picture.findobj(match=Text)]


# -------------------------------------------------------------------------------------------- figure 1


def test_figure_1_shows_different_training_galaxies_one_band_each(run, drawn):
    numbers, objects = drawn["fig01"][1], store.read_table(run.objects).set_index("specobjid")
    ids = [galaxy["specobjid"] for galaxy in numbers["galaxies"]]
    assert numbers["n"] == len(set(ids)) == 5 and numbers["bands"] == "ugriz"
    assert (objects.loc[ids, "split"] == 0).all()
    colours = [galaxy["u_r"] for galaxy in numbers["galaxies"]]
    assert colours == sorted(colours)
    images = galaxies.read_rows(run.images, "images", ids).astype(np.float64)
    for k, galaxy in enumerate(numbers["galaxies"]):
        assert galaxy["shape"] == [64, 64] and galaxy["finite"] == 1
        assert galaxy["mean"] == pytest.approx(images[k, k].mean(), rel=1e-3)
        assert galaxy["std"] == pytest.approx(images[k, k].std(), rel=1e-3)


def test_figure_1_takes_the_bright_and_needs_five():
    objects = pd.DataFrame({"split": 0, "modelmag_r": np.arange(100.0), "modelmag_u": np.arange(100.0) * 2})
    assert fig01.choose(objects, 0.2)["modelmag_r"].max() < 20
    with pytest.raises(SanspecError, match="at least 5"):
        fig01.choose(objects[:4], 1.0)


@pytest.mark.parametrize("image", [np.zeros((64, 64)), np.random.default_rng(0).normal(size=(64, 64))])
def test_the_stretch_stays_between_0_and_1_and_keeps_the_order(image):
    shown = fig01.stretched(image)
    assert shown.min() >= 0 and shown.max() <= 1
    order = np.argsort(image, axis=None)
    assert (np.diff(shown.ravel()[order]) >= 0).all()


# -------------------------------------------------------------------------------------------- figure 2


def test_figure_2_follows_its_rule_and_repeats_the_tables(run, drawn):
    quality = store.read_table(run.quality).set_index("specobjid")
    redshifts = store.read_table(run.redshifts).set_index("specobjid")
    shown = drawn["fig02"][1]["galaxies"]
    assert [galaxy["morphology"] for galaxy in shown] == ["elliptical", "spiral", "uncertain", "elliptical"]
    for galaxy in shown:
        row = quality.loc[galaxy["specobjid"]]
        assert all(galaxy[key] == row[key] for key in fig02.SCORES)
        assert galaxy["z_predicted"] == redshifts.loc[galaxy["specobjid"], "z_predicted"]
    first = quality[quality["morphology"] == "elliptical"]["delta_predicted"]
    rank = (first < shown[0]["delta_predicted"]).mean()
    assert rank == pytest.approx(1 / 8, abs=1 / len(first))


def test_figure_2_writes_the_scores_in_the_panels(drawn):
    picture, numbers = drawn["fig02"]
    whole = "\n".join(texts(picture))
    for galaxy in numbers["galaxies"]:
        assert galaxy["name"] in whole and f"{galaxy['chi2_predicted']:.2f}" in whole
        assert f"{100 * galaxy['delta_predicted']:.1f}" in whole and f"{galaxy['z_predicted']:.4f}" in whole


def test_figure_2_draws_both_spectra_in_their_own_rest_frames(run, drawn):
    picture, numbers = drawn["fig02"]
    galaxy, axes = numbers["galaxies"][0], picture.axes[0]
    lines = {line.get_label(): line for line in axes.get_lines()}
    for label, z in (("observed", galaxy["z_spec"]), ("predicted", galaxy["z_predicted"])):
        assert np.allclose(lines[label].get_xdata(), fake_run.WAVE / (1 + z))
    flux = galaxies.read_rows(run.predicted, "flux", [galaxy["specobjid"]])[0]
    assert np.array_equal(lines["predicted"].get_ydata(), flux)


def test_figure_2_shows_every_peak_whole_in_the_close_up(run, drawn):
    picture, numbers = drawn["fig02"]
    for axes, galaxy in zip(picture.axes[1::3], numbers["galaxies"]):
        rest, (low, high) = fake_run.WAVE / (1 + galaxy["z_spec"]), axes.get_xlim()
        flux = galaxies.read_rows(run.spectra, "flux", [galaxy["specobjid"]])[0]
        assert low < 6549.9 and high > 6585.3 and axes.get_ylim()[0] == 0
        assert axes.get_ylim()[1] > flux[(rest > low) & (rest < high)].max()


def test_figure_2_does_without_a_class_but_not_without_galaxies():
    rows = {score: np.linspace(0.1, 1, 6) for score in fig02.SCORES}
    quality = pd.DataFrame({"specobjid": range(6), "morphology": "spiral", **rows})
    assert fig02.choose(quality, 4)["specobjid"].nunique() == 4
    quality.loc[:3, "mse_predicted"] = np.nan
    assert set(fig02.choose(quality, 2)["specobjid"]) == {4, 5}
    with pytest.raises(SanspecError, match=r"figures\.examples"):
        fig02.choose(quality, 3)


# -------------------------------------------------------------------------------------------- figure 3


@pytest.mark.parametrize("draws", [1, 2, 8, 25])
def test_figure_3_lists_the_four_stages_of_the_settings(draws):
    generate = config.Generate(draws=draws, keep=min(3, draws), fine_draws=5)
    settings = SETTINGS.model_copy(update={"generate": generate})
    _, numbers = fig03.draw({}, settings)
    stages = numbers["stages"]
    assert [stage["network"] for stage in stages] == ["diff_coarse", "clip_coarse", "diff_fine", "clip_fine"]
    assert [stage["out"] for stage in stages] == [draws, generate.keep, generate.keep * 5, 1]
    assert [stage["in"] for stage in stages[1:]] == [stage["out"] for stage in stages[:-1]]
    assert [stage["pixels"] for stage in stages] == [563, 563, 4500, 4500]


# -------------------------------------------------------------------------------------------- figure 5


def test_figure_5_counts_everyone_once_and_its_quantiles_are_numpys(run, drawn):
    numbers, table = drawn["fig05"][1], store.read_table(run.quality)
    classes = numbers["n_class"]
    assert sum(classes[name] for name in style.MORPHOLOGIES) == classes["all"] == numbers["n"] == len(table)
    spirals = table[table["morphology"] == "spiral"]["mse_predicted"]
    assert numbers["quantiles"]["mse"]["spiral"]["q50"] == pytest.approx(spirals.median())
    assert numbers["quantiles"]["delta"]["all"]["q90"] == pytest.approx(
        table["delta_predicted"].quantile(0.9)
    )
    assert numbers["fraction_delta_below_010"] == (table["delta_predicted"] < 0.1).mean()


def test_figure_5_compares_the_classes_as_scipy_does(run, drawn):
    table = store.read_table(run.quality)
    one, two = (table[table["morphology"] == name]["chi2_predicted"] for name in ("elliptical", "spiral"))
    found = drawn["fig05"][1]["ks"]["chi2"]["elliptical_spiral"]
    wanted = stats.ks_2samp(one, two)
    assert found == pytest.approx({"distance": wanted.statistic, "p": wanted.pvalue})
    assert drawn["fig05"][1]["ks_chi2_max"] >= found["distance"]


def test_figure_5_histograms_hold_every_galaxy(drawn):
    for axes in drawn["fig05"][0].axes:
        outlines = [patch for patch in axes.patches if not patch.get_fill()]
        assert [patch.get_data().values.sum() for patch in outlines] == pytest.approx([1, 1, 1])


def test_figure_5_leaves_out_galaxies_without_scores_and_says_how_many(run, tmp_path):
    table = store.read_table(run.quality)
    table.loc[:9, "mse_predicted"] = np.nan
    store.write_table(tmp_path / "q.ecsv", table)
    _, numbers = fig05.draw({"quality": tmp_path / "q.ecsv"}, SETTINGS)
    assert (numbers["n"], numbers["n_without_score"]) == (len(table) - 10, 10)
    table["mse_predicted"] = np.nan
    store.write_table(tmp_path / "q.ecsv", table)
    with pytest.raises(SanspecError, match="no test galaxy"):
        fig05.draw({"quality": tmp_path / "q.ecsv"}, SETTINGS)


# -------------------------------------------------------------------------------------------- figure 6


def hand_made(tmp_path, dz):
    """A table of redshifts with the given normalised differences."""
    z_spec = np.linspace(0.05, 0.15, len(dz))
    table = pd.DataFrame(
        {"specobjid": np.arange(len(dz)), "z_spec": z_spec, "z_predicted": z_spec + dz * (1 + z_spec)}
    )
    store.write_table(tmp_path / "z.ecsv", table)
    return {"redshifts": tmp_path / "z.ecsv"}


def test_figure_6_scores_a_hand_made_sample(tmp_path):
    dz = np.array([-0.06, -0.04, -0.01, 0, 0, 0, 0.01, 0.01, 0.02, 0.04])
    _, numbers = fig06.draw(hand_made(tmp_path, dz), SETTINGS)
    scores = numbers["scores"]["predicted"]
    assert numbers["n"] == 10 and scores["bias"] == pytest.approx(dz.mean())
    assert scores["sigma_mad"] == pytest.approx(1.4826 * np.median(np.abs(dz - np.median(dz))))
    assert (scores["outliers_005"], scores["outliers_003"]) == (0.1, 0.3)


def test_figure_6_writes_its_scores_and_those_of_the_baselines(drawn):
    picture, numbers = drawn["fig06"]
    whole = "\n".join(texts(picture))
    assert set(numbers["scores"]) == {"predicted", "nearest_image", "regression", "median"}
    for score in numbers["scores"].values():
        assert f"{score['sigma_mad']:.5f}" in whole
    assert f"N = {numbers['n']}" in whole


def test_figure_6_limits_are_at_an_outliers_distance(drawn):
    lines = [line for line in drawn["fig06"][0].axes[0].get_lines() if line.get_linestyle() == ":"]
    away = [metrics.delta_z(np.asarray(line.get_ydata()), np.asarray(line.get_xdata())) for line in lines]
    assert sorted(float(dz[0]) for dz in away) == pytest.approx([-0.05, 0, 0.05])
    assert all(np.ptp(dz) < 1e-12 for dz in away)


@pytest.mark.parametrize(
    "dz", [np.zeros(30), np.full(3, 0.01), np.array([0.001])], ids=["line", "few", "one"]
)
def test_figure_6_draws_what_has_no_density(tmp_path, dz):
    _, numbers = fig06.draw(hand_made(tmp_path, dz), SETTINGS)
    assert numbers["n"] == len(dz)


def test_figure_6_leaves_out_galaxies_without_a_redshift(tmp_path):
    inputs = hand_made(tmp_path, np.array([np.nan, *np.linspace(-0.01, 0.02, 20)]))
    _, numbers = fig06.draw(inputs, SETTINGS)
    assert (numbers["n"], numbers["n_without_redshift"]) == (20, 1)
    with pytest.raises(SanspecError, match="no predicted redshift"):
        fig06.draw(hand_made(tmp_path, np.full(4, np.nan)), SETTINGS)


# -------------------------------------------------------------------------------------------- learning


def test_learning_draws_the_curves_of_the_records(run, drawn):
    picture, numbers = drawn["learning"]
    record = store.read_json(run.records[0])
    axes = picture.axes[0]
    assert np.array_equal(axes.get_lines()[0].get_ydata(), record["curve"]["loss"])
    assert np.array_equal(axes.get_lines()[1].get_ydata(), [point["loss"] for point in record["valid"]])
    assert numbers["networks"]["diff_coarse"]["best"] == record["best_value"]
    assert numbers["networks"]["regressor"]["metric"] == "mse_log"


def test_learning_needs_each_network_once_and_a_curve(run, tmp_path):
    for records in (run.records[:4], [*run.records, run.records[0]]):
        with pytest.raises(SanspecError, match="one of each"):
            learning.draw({"records": records}, SETTINGS)
    empty = store.read_json(run.records[0]) | {"valid": []}
    store.write_json(tmp_path / "empty.json", empty)
    with pytest.raises(SanspecError, match="diff_coarse has no curve"):
        learning.draw({"records": [tmp_path / "empty.json", *run.records[1:]]}, SETTINGS)
