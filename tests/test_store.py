"""Products appear whole or not at all; ids, units and provenance survive the round trip."""

import errno

import numpy as np
import pandas as pd
import pytest

from sanspec import store
from sanspec.errors import SanspecError

IDS = np.array([0, 845594848269461504, 2**63 - 1, 2**64 - 1], dtype=np.uint64)


@pytest.mark.parametrize("suffix", [".ecsv", ".parquet"])
def test_table_round_trip_keeps_ids_units_and_meta(tmp_path, suffix):
    table = pd.DataFrame({"specobjid": IDS, "vdisp": [1.5, np.nan, 3.0, 4.0], "class": ["a", "b c", "", "d"]})
    path = tmp_path / f"t{suffix}"
    store.write_table(path, table, units={"vdisp": "km / s"}, meta=store.provenance("test", {"a": 1}))
    back = store.read_table(path)
    assert back["specobjid"].dtype == np.uint64 and (back["specobjid"] == IDS).all()
    assert back.attrs["units"]["vdisp"] == "km / s" and back.attrs["meta"]["settings"] == {"a": 1}
    np.testing.assert_array_equal(back["vdisp"], table["vdisp"])
    assert list(back["class"]) == ["a", "b c", "", "d"]


def test_arrays_carry_unit_axes_and_provenance(tmp_path):
    with store.create(tmp_path / "a.h5", store.provenance("test")) as file:
        store.put(file, "flux", np.ones((2, 3)), "gal pix", "1e-17 erg / (s cm2 Angstrom)", "a spectrum")
    with store.arrays(tmp_path / "a.h5") as file:
        assert file["flux"].attrs["axes"] == "gal pix" and store.meta(file)["stage"] == "test"


def test_put_refuses_axes_that_do_not_match(tmp_path):
    with pytest.raises(ValueError, match="axes"), store.create(tmp_path / "a.h5", {}) as file:
        store.put(file, "flux", np.ones((2, 3)), "gal")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "n.json"
    store.write_json(path, {"a": 1})
    with pytest.raises(RuntimeError), store.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert store.read_json(path) == {"a": 1} and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOSPC, "No space left"), OSError("write failed (errno = 28, No space)")]
)
def test_a_full_disk_is_one_line(tmp_path, fault):
    with pytest.raises(SanspecError, match="disk is full") as caught, store.atomic(tmp_path / "x"):
        raise fault
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_a_truly_full_device_is_one_line():
    with (
        pytest.raises(SanspecError, match="disk is full"),
        store.atomic("/tmp/sanspec-full"),
        open("/dev/full", "w") as full,
    ):
        full.write("x" * 10**6)


def test_json_has_no_nan(tmp_path):
    store.write_json(tmp_path / "n.json", {"a": np.float32("nan"), "b": np.arange(2), "c": np.inf})
    assert store.read_json(tmp_path / "n.json") == {"a": None, "b": [0, 1], "c": None}


@pytest.mark.parametrize("reader", [store.read_json, store.read_table])
def test_missing_and_damaged_files_say_what_to_do(tmp_path, reader):
    with pytest.raises(SanspecError, match="run the rule"):
        reader(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(SanspecError, match="delete it and rerun"):
        reader(tmp_path / "bad.json")


def test_a_damaged_hdf5_file_says_what_to_do(tmp_path):
    (tmp_path / "bad.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 50)
    with pytest.raises(SanspecError, match="delete it and rerun"), store.arrays(tmp_path / "bad.h5"):
        pass
