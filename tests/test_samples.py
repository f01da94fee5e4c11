"""Reading splits and bringing products into one order."""

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import toy
from sanspec import store
from sanspec.errors import SanspecError
from sanspec.products import samples
from sanspec.spectra import noise


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return toy.make(tmp_path_factory.mktemp("sky"), count=40)


def test_a_split_is_read_whole_and_masked(paths):
    sky, test = paths.sky, samples.read_sample(paths.spectra, "test")
    rows = np.flatnonzero(sky.split == 2)
    assert (test.rows == rows).all() and (test.specobjid == sky.specobjid[rows]).all()
    masked = ~sky.mask[rows]
    assert np.isnan(test.flux[masked]).all() and (test.ivar[masked] == 0).all()
    assert test.flux[~masked] == pytest.approx(sky.flux[rows][~masked], rel=1e-6)


def test_a_limit_takes_objects_from_the_whole_split(paths):
    whole, some = (samples.read_sample(paths.spectra, "train", limit).rows for limit in (None, 5))
    assert len(some) == 5 and {some[0], some[-1]} == {whole[0], whole[-1]} and set(some) <= set(whole)


@given(st.sets(st.integers(0, 49)), st.integers(1, 60))
def test_rows_are_taken_in_blocks_of_any_size(rows, block):
    rows = np.array(sorted(rows), dtype=int)
    with h5py.File("rows", "w", driver="core", backing_store=False) as file:
        dataset = file.create_dataset("x", data=np.arange(150).reshape(50, 3))
        assert (samples.take(dataset, rows, block) == dataset[:][rows]).all()


@given(st.permutations(range(12)), st.integers(1, 12))
def test_order_undoes_any_shuffle(shuffle, count):
    ids = np.uint64(845594848269461504) + np.arange(12, dtype=np.uint64)  # beyond float64's whole numbers
    have = ids[list(shuffle)]
    assert (have[samples.order(ids[:count], have, "x")] == ids[:count]).all()


def test_products_of_another_run_are_refused_in_one_line(tmp_path, paths):
    ids = np.array([3, 1], np.uint64)
    for have in (np.array([1, 2], np.uint64), np.array([], np.uint64)):
        with pytest.raises(SanspecError, match=r"other\.h5: \d of 2 test objects.*another run"):
            samples.order(ids, have, tmp_path / "other.h5")
    table = pd.DataFrame({"specobjid": np.array([1, 3], np.uint64), "z": [0.1, 0.3]})
    store.write_table(tmp_path / "t.ecsv", table)
    assert list(samples.aligned(tmp_path / "t.ecsv", ids)["z"]) == [0.3, 0.1]


def test_an_empty_split_is_refused_in_one_line(tmp_path):
    sky = toy.draw(20)
    sky.split[:] = 0
    paths = toy.make(tmp_path, sky=sky)
    with pytest.raises(SanspecError, match="no object in the test split"):
        samples.read_sample(paths.spectra, "test")


def test_inflation_is_the_variance_of_a_broad_mean():
    """The mean of many pixels of correlated noise scatters sqrt(inflation) more than of independent ones."""
    correlation = np.outer([0.7, 0.3, 0.05], np.ones(4500))
    drawn = noise.draw_noise(np.ones(4500), correlation, np.random.default_rng(0), 4000)
    measured = drawn[:, 100:4400].mean(axis=1).var() * 4300
    factor = samples.inflation_of(correlation[None], np.ones((1, 4500)))
    assert factor == pytest.approx([3.1]) and measured == pytest.approx(3.1, rel=0.07)
    assert samples.inflation_of(correlation[None], np.zeros((1, 4500))) == [1.0]


def test_without_stored_correlation_noise_is_independent(tmp_path):
    paths = toy.make(tmp_path, count=20)
    with h5py.File(paths.spectra, "r+") as file:
        del file["correlation"]
    rows = np.array([0, 3])
    assert samples.read_correlation(paths.spectra, rows) is None
    assert samples.noise_inflation(paths.spectra, rows) == 1.0
