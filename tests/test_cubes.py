"""Image cubes: exact rows however stored, memory that does not grow with the file, faults in a line."""

import subprocess
import sys
import zipfile

import numpy as np
import pytest

import small_survey
from sanspec.errors import SanspecError
from sanspec.survey import cubes

IDS = np.arange(1, 41).astype(np.uint64) << np.uint64(40)


@pytest.fixture(params=[False, True], ids=["stored", "compressed"])
def survey(request, tmp_path):
    path = tmp_path / "sdss.npz"
    return path, small_survey.write_cubes(path, IDS, compressed=request.param)


def test_rows_come_back_exactly(survey):
    path, expected = survey
    with cubes.open_cubes(path) as member:
        np.testing.assert_array_equal(member.take(np.array([0, 1, 2, 7])), expected[[0, 1, 2, 7]])
        np.testing.assert_array_equal(member.take(np.array([9, 39])), expected[[9, 39]])
        assert member.take(np.zeros(0, int)).shape == (0, 64, 64, 5)
    np.testing.assert_array_equal(cubes.read_ids(path), IDS)


def test_a_compressed_file_is_read_forwards_only(tmp_path):
    small_survey.write_cubes(tmp_path / "a.npz", IDS, compressed=True)
    with cubes.open_cubes(tmp_path / "a.npz") as member:
        member.take(np.array([5]))
        with pytest.raises(ValueError, match="already passed"):
            member.take(np.array([4]))


def test_64_bit_zip_records(tmp_path):
    """Files beyond 4 GB carry them; numpy writes them on request for small ones too."""
    path = tmp_path / "a.npz"
    cube = np.random.default_rng(0).random((3, 64, 64, 5)).astype(np.float32)
    with zipfile.ZipFile(path, "w") as archive, archive.open("cube.npy", "w", force_zip64=True) as file:
        np.lib.format.write_array(file, cube, allow_pickle=False)
    with cubes.open_cubes(path) as member:
        np.testing.assert_array_equal(member.take(np.array([0, 2])), cube[[0, 2]])


LABELS = {"bytes": "S20", "text": "U20", "signed": "<i8"}


@pytest.mark.parametrize("kind", LABELS.values(), ids=LABELS)
def test_ids_of_other_exact_types(tmp_path, kind):
    labels = np.zeros(40, dtype=[("SPECOBJID", kind)])
    labels["SPECOBJID"] = IDS.astype(kind) if kind == "<i8" else [str(value) for value in IDS]
    small_survey.write_cubes(tmp_path / "a.npz", IDS, labels=labels)
    np.testing.assert_array_equal(cubes.read_ids(tmp_path / "a.npz"), IDS)


def labelled(kind, name="specObjID", count=40):
    return np.zeros(count, dtype=[(name, kind)])


FAULTS = {
    "another shape": ({"cube": np.zeros((40, 32, 32, 5), np.float32)}, r"\(40, 32, 32, 5\).*expected"),
    "bands first": ({"cube": np.zeros((40, 5, 64, 64), np.float32)}, "bands ugriz last"),
    "another type": ({"cube": np.zeros((40, 64, 64, 5), np.int16)}, "int16; expected"),
    "doubles": ({"cube": np.zeros((40, 64, 64, 5))}, "float64; expected"),
    "rounded ids": ({"labels": labelled("<f8")}, "float64, which rounds ids"),
    "short ids": ({"labels": labelled("<i4")}, "rounds ids"),
    "no ids": ({"labels": labelled("<u8", "objID")}, "lacks the field 'specObjID'"),
    "no fields": ({"labels": np.zeros(40)}, "it has: none"),
    "words": ({"labels": np.full(40, "a", dtype=[("specObjID", "U5")])}, "no integer"),
    "too few labels": ({"labels": labelled("<u8", count=39)}, "39 labels for 40 cubes"),
}


@pytest.mark.parametrize(("arrays", "message"), FAULTS.values(), ids=FAULTS)
def test_a_file_of_another_kind_is_one_line(tmp_path, arrays, message):
    small_survey.write_cubes(tmp_path / "a.npz", IDS, **arrays)
    with pytest.raises(SanspecError, match=message) as caught:
        cubes.read_ids(tmp_path / "a.npz")
    assert "\n" not in str(caught.value) and "a.npz" in str(caught.value)


def test_missing_truncated_and_other_files(tmp_path, survey):
    path, _ = survey
    with pytest.raises(SanspecError, match="no such file"):
        cubes.open_cubes(tmp_path / "none.npz")
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(SanspecError, match="not a whole"):
        cubes.open_cubes(tmp_path / "cut.npz")
    np.savez(tmp_path / "other.npz", image=np.zeros(3))
    with pytest.raises(SanspecError, match="no array 'cube'"):
        cubes.open_cubes(tmp_path / "other.npz")


def test_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "a.npz", cube=np.array([{"a": 1}], dtype=object), labels=labelled("<u8"))
    with pytest.raises(SanspecError, match="Python objects"):
        cubes.open_cubes(tmp_path / "a.npz")


def test_damaged_compressed_data_are_noticed(tmp_path):
    path = tmp_path / "a.npz"
    small_survey.write_cubes(path, IDS, compressed=True)
    data = bytearray(path.read_bytes())
    data[100000:100400] = bytes(400)
    path.write_bytes(bytes(data))
    with pytest.raises(SanspecError, match=r"damaged|not a whole"), cubes.open_cubes(path) as member:
        for row in range(40):
            member.take(np.array([row]))


READER = """
import resource, sys
import numpy as np
from sanspec.survey import cubes
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
limit = int(status["VmSize"].split()[0]) * 1024 + 60_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
ids, total = cubes.read_ids(sys.argv[1]), 0.0
with cubes.open_cubes(sys.argv[1]) as member:
    for first in range(0, len(ids), 64):
        total += float(member.take(np.arange(first, min(first + 64, len(ids)))).sum())
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]), len(ids), total)
"""


def peak(path):
    """Peak resident memory [kB] of a process that reads every cube under a limit on its address space."""
    done = subprocess.run([sys.executable, "-c", READER, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[0]), int(done.stdout.split()[1])


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "compressed"])
def test_memory_does_not_grow_with_the_file(tmp_path, compressed):
    """41 MB and 164 MB of cubes, read with 60 MB of address space to spare."""
    found = []
    for count in (500, 2000):
        labels = np.zeros(count, dtype=[("specObjID", "<u8")])
        cube = np.broadcast_to(np.float32(1), (count, 64, 64, 5))
        save = np.savez_compressed if compressed else np.savez
        save(tmp_path / f"{count}.npz", cube=cube, labels=labels)
        kilobytes, rows = peak(tmp_path / f"{count}.npz")
        assert rows == count
        found.append(kilobytes)
    assert found[1] < 1.1 * found[0]
