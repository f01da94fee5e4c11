"""The one reader of observed and predicted spectra, and the registry of predictors."""

from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest

import toy
from sanspec import store
from sanspec.classes import predictors
from sanspec.config import Config
from sanspec.errors import SanspecError, Warn
from sanspec.features import dispersed
from sanspec.figures import fig05, fig06
from sanspec.products import members, samples
from sanspec.products.members import PREDICTORS, Members, Predictor
from sanspec.redshift import agreement
from sanspec.scores import papertables, quality, validation
from sanspec.spectra.grid import WAVE

DRAWS = 4


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A toy sky, and predictions of its test galaxies in shuffled order."""
    folder = tmp_path_factory.mktemp("sky")
    paths = toy.make(folder, count=40)
    ids = paths.sky.specobjid[paths.sky.split == 2]
    order, rng = np.random.default_rng(1).permutation(len(ids)), np.random.default_rng(2)
    paths.flux = {name: rng.random((len(ids), WAVE.size)).astype(np.float32) for name in PREDICTORS}
    paths.z = {name: rng.uniform(0.05, 0.15, len(ids)) for name in PREDICTORS}
    paths.predicted, paths.baselines = folder / "predicted.h5", folder / "baselines.h5"
    paths.redshifts = folder / "redshift.ecsv"
    paths.log_draws = rng.normal(size=(len(ids), DRAWS, 8)).astype(np.float16)
    write(paths.predicted, paths, ids, order, "predicted")
    write(paths.baselines, paths, ids, order, "baselines")
    columns = {f"z_{name}": z + 1 for name, z in paths.z.items()}
    store.write_table(paths.redshifts, pd.DataFrame({"specobjid": ids} | columns).iloc[order])
    return paths


def write(path, paths, ids, order, product):
    """One file of predictions, its rows in the given order."""
    with store.create(path, {}) as file:
        file["specobjid"] = ids[order]
        for name, how in PREDICTORS.items():
            if how.product == product:
                file[how.flux] = paths.flux[name][order]
                if how.z:
                    file[how.z] = paths.z[name][order]
        if product == "predicted":
            file["warn"] = np.where(np.arange(len(ids)) == 0, Warn.NOT_GENERATED, 0).astype(np.uint32)[order]
            file["draws_coarse"] = paths.log_draws[order]
            file["draws_fine"] = paths.log_draws[order]
            file["selected"] = np.tile(np.arange(DRAWS) < 2, (len(ids), 1))
            file["parent"] = np.tile(np.arange(DRAWS, dtype=np.int16)[::-1], (len(ids), 1))
            file["best"] = np.ones(len(ids), np.int16)
            file["z_draws"] = np.arange(len(ids))[order, None] * np.ones(DRAWS)


def opened(paths, **changes):
    """The members of the toy sky."""
    given = {name: getattr(paths, name) for name in ("spectra", "predicted", "baselines")}
    return Members(**given | changes)


def test_the_observed_spectra_of_a_split_are_whole_and_masked(run):
    sky, observed = run.sky, opened(run).observed
    rows = np.flatnonzero(sky.split == 2)
    assert observed.kind == "observed" and (observed.specobjid == sky.specobjid[rows]).all()
    masked = ~sky.mask[rows]
    assert np.isnan(observed.flux[masked]).all() and not observed.ivar[masked].any()
    assert observed.flux[~masked] == pytest.approx(sky.flux[rows][~masked], rel=1e-6)
    assert np.array_equal(observed.z, sky.z[rows]) and observed.lsf[0] == pytest.approx(10 / 3)


def test_a_limit_takes_galaxies_from_the_whole_split(run):
    whole, some = (opened(run, split="train", limit=limit).rows for limit in (None, 5))
    assert len(some) == 5 and {some[0], some[-1]} == {whole[0], whole[-1]} and set(some) <= set(whole)


def test_without_stored_correlation_noise_is_independent(run, tmp_path):
    paths = toy.make(tmp_path, sky=run.sky)
    with h5py.File(paths.spectra, "r+") as file:
        del file["correlation"]
    observed = Members(paths.spectra).observed
    assert (
        observed.correlation.shape == (len(observed), 0, WAVE.size)
        and (observed.noise_inflation() == 1).all()
    )


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_predictor_is_read_in_the_order_of_the_observed_spectra(run, name):
    source, measured = opened(run), opened(run, redshifts=run.redshifts)
    spectra, observed = source.predictor(name), source.observed
    assert np.array_equal(spectra.flux, run.flux[name]) and spectra.kind == name
    assert np.array_equal(spectra.specobjid, observed.specobjid)
    expected = run.z[name] if PREDICTORS[name].z else np.full(len(observed), np.nan)
    assert np.array_equal(spectra.z, expected, equal_nan=True)
    assert measured.predictor(name).z == pytest.approx(run.z[name] + 1)
    level = np.array([np.median(row[row > 0]) for row in observed.ivar.astype(float)])
    assert np.array_equal(spectra.ivar, np.broadcast_to(level[:, None], spectra.ivar.shape))


def test_a_predictor_registered_in_one_place_is_among_all(run, monkeypatch):
    monkeypatch.setitem(PREDICTORS, "toy", Predictor("toy", "a toy", "baselines", "regression/flux"))
    kinds = [spectra.kind for spectra in opened(run).predictors()]
    assert kinds == list(PREDICTORS) and kinds[-1] == "toy"
    measured = [spectra.kind for spectra in opened(run).predictors(indices=True)]
    assert "toy" in measured and "predicted_medoid" not in measured


def test_the_draws_are_unselected_and_leave_out_what_was_not_generated(run):
    draws, count = opened(run).draws(), len(opened(run).rows)
    assert np.array_equal(draws.rows, np.arange(1, count))
    assert np.array_equal(draws.coarse, run.log_draws[1:]) and np.array_equal(
        draws.fine, run.log_draws[1:, 2:]
    )
    assert (draws.best == DRAWS - 2).all()
    assert np.array_equal(opened(run).z_draws()[:, 0], np.arange(count))


def test_a_missing_file_or_draw_is_one_line(run, tmp_path):
    with pytest.raises(SanspecError, match="--baselines"):
        opened(run, baselines=None).predictor("regression")
    with h5py.File(run.predicted) as file, h5py.File(tmp_path / "p.h5", "w") as copy:
        for name in ("specobjid", "warn"):
            file.copy(name, copy)
    with pytest.raises(SanspecError, match="keep_draws"):
        opened(run, predicted=tmp_path / "p.h5").draws()


def test_another_split_is_refused(run):
    with pytest.raises(SanspecError, match="not in it"):
        opened(run, split="valid").predictor("predicted")
    with pytest.raises(SanspecError, match="not in it"):
        opened(run, split="valid").draws()


def test_an_empty_split_is_refused_in_one_line(tmp_path):
    sky = toy.draw(20)
    sky.split[:] = 0
    with pytest.raises(SanspecError, match="no object in the test split"):
        _ = Members(toy.make(tmp_path, sky=sky).spectra).rows


def test_names_of_the_registry_are_its_keys():
    assert all(name == predictor.name for name, predictor in PREDICTORS.items())
    assert members.OBSERVED not in PREDICTORS and set(samples.SPLITS) == {"train", "valid", "test"}


# ------------------------------------------------------------------------- one registration, all tables


TOY = Predictor("toy", "a toy predictor", "baselines", "toy/flux", "toy/z")


@pytest.fixture
def registered(monkeypatch):
    """A predictor registered in one place."""
    monkeypatch.setitem(PREDICTORS, "toy", TOY)


@pytest.fixture
def toy_run(run, registered, tmp_path):
    """The toy sky with the products of that predictor."""
    ids = run.sky.specobjid[run.sky.split == 2]
    paths = SimpleNamespace(**vars(run))
    paths.baselines, paths.redshifts = tmp_path / "baselines.h5", tmp_path / "redshift.ecsv"
    paths.baselines.write_bytes(run.baselines.read_bytes())
    flux, z = np.ones((len(ids), WAVE.size), np.float32), np.full(len(ids), 0.1)
    with h5py.File(paths.baselines, "r+") as file, h5py.File(run.baselines) as old:
        file["toy/flux"], file["toy/z"] = flux, z
        file["rest_wave"], file["mean_rest"] = np.arange(3500.0, 9000.0), np.ones(5500)
        assert old["specobjid"].shape == z.shape
    store.write_table(paths.redshifts, store.read_table(run.redshifts).assign(z_toy=z))
    return paths


def test_a_registered_predictor_is_in_the_table_and_the_numbers_of_quality(toy_run):
    table = quality.quality_table(opened(toy_run, redshifts=toy_run.redshifts), Config().quality, 0.02)
    found = quality.summary(table.assign(morphology="spiral"))
    assert {"delta_toy", "mse_toy", "mse_log_toy", "chi2_toy"} <= set(table)
    assert {"mse_toy", "mse_predicted_over_toy", "mse_predicted_over_toy_error"} <= set(found["numbers"])
    assert TOY.label in found["about"]["mse_toy"]["meaning"] and "toy" in found["missing"]


def test_a_registered_predictor_is_among_the_redshift_scores(registered):
    table = pd.DataFrame({f"z_{kind}": [0.1, 0.11, 0.12] for kind in agreement.kinds()} | {"z_spec": 0.1})
    found = {one.name: one for one in agreement.numbers(agreement.scores(table))}
    assert TOY.label in found["sigma_mad_toy"].meaning


def test_a_registered_predictor_is_in_the_scores_of_draws_and_in_the_table_of_predictors(registered):
    flux = np.ones((3, WAVE.size))
    split = SimpleNamespace(fine=np.zeros(flux.shape), mask=flux > 0)
    found = {one.name: one for one in validation.baselines(split, {"toy": flux})}
    assert TOY.label in found["crps_toy"].meaning and found["mse_log_toy"].value == 0
    scores = {"count": 3, "never": 0.6} | dict.fromkeys(predictors.SCORES, 0.5)
    one = {"indices": {name: {"pearson": 0.7} for name in dispersed.SHOWN}, "active": scores}
    table = papertables.predictors({"predicted": one, "toy": one}, {"svm": {}, "image_classifier": {}})
    assert table.set_index("predictor").loc[TOY.label, "rho_mgb"] == 0.7
    numbers = {number.name: number for number in predictors.numbers({"predicted": one, "toy": one})}
    assert TOY.label in numbers["compared_rho_mgb_toy"].meaning


def test_a_registered_predictor_is_in_the_figures_that_list_predictors(registered, tmp_path):
    rng, count = np.random.default_rng(0), 40
    z = rng.uniform(0.05, 0.15, count)
    redshifts = {f"z_{kind}": z + rng.normal(0, 0.01, count) for kind in agreement.kinds()}
    store.write_table(tmp_path / "z.ecsv", pd.DataFrame(redshifts | {"z_spec": z}))
    figure, numbers = fig06.draw({"redshifts": tmp_path / "z.ecsv"}, Config())
    assert numbers["scores"]["toy"]["count"] == count
    assert any(TOY.label in text.get_text() for text in figure.axes[1].get_legend().get_texts())
    scores = {
        f"{score}_{name}": rng.uniform(1, 2, count)
        for score in quality.SCORES
        for name in ("predicted", "toy")
    }
    store.write_table(tmp_path / "q.ecsv", pd.DataFrame(scores | {"morphology": "spiral"}))
    figure, _ = fig05.draw({"quality": tmp_path / "q.ecsv"}, Config())
    assert any(TOY.label in text.get_text() for text in figure.axes[-1].texts)
