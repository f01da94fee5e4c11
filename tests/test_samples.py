"""Rows of splits, and products brought into one order."""

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanspec import store
from sanspec.errors import SanspecError
from sanspec.products import samples


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


def test_products_of_another_run_are_refused_in_one_line(tmp_path):
    ids = np.array([3, 1], np.uint64)
    for have in (np.array([1, 2], np.uint64), np.array([], np.uint64)):
        with pytest.raises(SanspecError, match=r"other\.h5: \d of 2 test objects.*another run"):
            samples.order(ids, have, tmp_path / "other.h5")
    table = pd.DataFrame({"specobjid": np.array([1, 3], np.uint64), "z": [0.1, 0.3]})
    store.write_table(tmp_path / "t.ecsv", table)
    assert list(samples.aligned(tmp_path / "t.ecsv", ids)["z"]) == [0.3, 0.1]
