"""specobjids pack and unpack exactly; versions, file names and mask bits are SDSS's own."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sanspec.survey import sdss


def test_the_published_example():
    """SkyServer's plate 751, mjd 52251, fiber 160, run2d 26 (recorded in astroquery's test data)."""
    assert sdss.pack(751, 52251, 160, 26) == 845594848269461504
    parts = sdss.unpack(845594848269461504)
    assert {name: int(value) for name, value in parts.items()} == {
        "plate": 751,
        "fiberid": 160,
        "mjd": 52251,
        "run2d": 26,
    }


@given(
    plate=st.integers(0, 2**14 - 1),
    mjd=st.integers(50000, 50000 + 2**14 - 1),
    fiberid=st.integers(0, 2**12 - 1),
    run2d=st.integers(0, 2**14 - 1),
)
def test_unpack_inverts_pack(plate, mjd, fiberid, run2d):
    packed = sdss.pack(plate, mjd, fiberid, run2d)
    assert packed.dtype == np.uint64 and int(packed) & 0x3FF == 0
    assert {k: int(v) for k, v in sdss.unpack(packed).items()} == {
        "plate": plate,
        "mjd": mjd,
        "fiberid": fiberid,
        "run2d": run2d,
    }


def test_arrays_and_numbers_that_do_not_fit():
    packed = sdss.pack(np.array([266, 10000]), np.array([51602, 57346]), np.array([1, 3]), 1000)
    assert packed.dtype == np.uint64 and packed[1] == 11259000016306413568
    with pytest.raises(ValueError, match="fiberid does not fit"):
        sdss.pack(266, 51602, 5000, 26)


@pytest.mark.parametrize(
    ("name", "number"), [("26", 26), (" 103", 103), ("v5_10_0", 1000), ("v5_11_0", 1100), ("v6_0_4", 10004)]
)
def test_reduction_names(name, number):
    assert sdss.run_number(name) == number and sdss.run_name(number) == name.strip()


def test_an_unknown_reduction_name_is_refused():
    with pytest.raises(ValueError, match="vN_M_P"):
        sdss.run_number("master")


def test_file_names():
    assert sdss.file_name(266, 51602, 1) == "0266/spec-0266-51602-0001.fits"
    assert sdss.parse_file_name("spec-10000-57346-0003.fits") == (10000, 57346, 3)
    assert sdss.parse_file_name("spec-266-51602-0001.fits") is None


def test_mask_bits_have_their_published_places():
    assert sdss.PixMask.NODATA == 0x1000000 and sdss.PixMask.BRIGHTSKY == 0x800000
    assert sdss.ZWarning(5) == sdss.ZWarning.SKY | sdss.ZWarning.SMALL_DELTA_CHI2


def test_every_real_id_packs_to_itself(real_data):
    with open(real_data / "spectra" / "index.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 100
    for row in rows:
        number = sdss.run_number(row["run2d"])
        packed = sdss.pack(int(row["plate"]), int(row["mjd"]), int(row["fiberid"]), number)
        assert int(packed) == int(row["specObjID"])
