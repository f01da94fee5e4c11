"""Splits depend on the ids alone, have the sizes asked for, and no neighbours across them."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from sanspec.errors import SanspecError
from sanspec.survey import splits

IDS = np.arange(1, 3001).astype(np.uint64) << np.uint64(10)


def test_the_hash_is_the_same_for_ever():
    """Recorded from `b2sum -l 64` of the eight bytes."""
    expected = [
        int.from_bytes(bytes.fromhex(text), "little") for text in ("ca08ea5bca49cc18", "9d88584c6947fa66")
    ]
    found = splits.rank_hash(np.array([0, 845594848269461504], np.uint64))
    assert list(map(int, found)) == expected


def test_sizes_are_exact_and_the_rest_trains():
    split = splits.assign(IDS, np.arange(len(IDS)), 1506, 512)
    assert [(split == value).sum() for value in (splits.TEST, splits.VALID, splits.TRAIN)] == [1506, 512, 982]
    split = splits.assign(IDS, np.arange(len(IDS)), 0.06, 0.04)
    assert [(split == value).sum() for value in (splits.TEST, splits.VALID)] == [180, 120]


def test_order_and_company_do_not_matter():
    rng = np.random.default_rng(0)
    shuffled = rng.permutation(len(IDS))
    split = splits.assign(IDS, np.arange(len(IDS)), 100, 50)
    np.testing.assert_array_equal(splits.assign(IDS[shuffled], np.arange(len(IDS)), 100, 50), split[shuffled])
    fewer = splits.assign(IDS[:2900], np.arange(2900), 100, 50)
    both = (split[:2900] == splits.TEST) & (fewer == splits.TEST)
    assert both.sum() >= 90  # a smaller sample keeps its test objects


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_neighbours_across_splits(seed):
    rng = np.random.default_rng(seed)
    ra, dec = 150 + rng.uniform(0, 0.05, 300), rng.uniform(0, 0.05, 300)
    group = splits.sky_groups(ra, dec, 5.0)
    split = splits.assign(IDS[:300], group, 30, 15)
    sky = SkyCoord(ra * u.deg, dec * u.deg)
    near = sky[:, None].separation(sky[None, :]).arcsec < 5.0
    assert (split[:, None] == split[None, :])[near].all()
    assert (split == splits.TEST).sum() == 30 and (split == splits.VALID).sum() == 15


def test_chains_stay_together_and_unknown_positions_alone():
    ra = np.array([10.0, 10.0 + 4 / 3600, 10.0 + 8 / 3600, 20.0, np.nan, np.nan])
    group = splits.sky_groups(ra, np.zeros(6), 5.0)
    assert group[0] == group[1] == group[2] and len(set(group[2:])) == 4


def test_a_group_larger_than_the_split_is_passed_over():
    group = np.where(np.arange(3000) < 2000, 0, np.arange(3000))
    split = splits.assign(IDS, group, 10, 5)
    assert (split == splits.TEST).sum() == 10 and (split[:2000] == splits.TRAIN).all()


def test_too_small_a_sample_is_one_line():
    with pytest.raises(SanspecError, match="leave no training object of 3000"):
        splits.assign(IDS, np.arange(3000), 2500, 500)
