"""The cube file: resumed, checked, never left incomplete; tests of its units, bands and orientation."""

import json

import numpy as np
import pandas as pd
import pytest

from loopback_sky import COUNT, image, patience, row, settings
from sanspec.archive import cubes as source
from sanspec.archive import place
from sanspec.archive.session import Session
from sanspec.database.query import NAMES
from sanspec.errors import SanspecError
from sanspec.physics.constants import PIXEL_SCALE
from sanspec.store import digest as checksum
from sanspec.survey import cubes, inspection

pytest_plugins = "loopback_fixtures"


def obtain(acquire, progress=int):
    with Session(acquire.http) as session:
        return source.obtain(session, acquire, progress)


@pytest.fixture
def acquire(loopback, tmp_path):
    """Settings for a remote cube file, changed at will."""
    return lambda **changes: settings(loopback.base, tmp_path, **changes).acquire


def test_a_remote_file_arrives_whole(acquire, sky):
    seen = []
    path, numbers = obtain(acquire(), seen.append)
    assert path.read_bytes() == (sky / "sdss.npz").read_bytes() and seen[-1] == numbers["bytes"]
    assert numbers["cubes"] == COUNT and numbers["sha256"] == checksum(sky / "sdss.npz")
    assert numbers["compared"] is False, "and it says so"


def test_what_is_there_is_not_fetched_again(acquire, loopback):
    obtain(acquire())
    before = len(loopback.server.requests)
    obtain(acquire())
    assert len(loopback.server.requests) == before


def test_a_local_file_is_taken_as_it_is(acquire, loopback, sky):
    path, numbers = obtain(acquire(cubes=str(sky / "sdss.npz")))
    assert path == sky / "sdss.npz" and numbers["cubes"] == COUNT and not loopback.server.requests


@pytest.mark.parametrize("kind", ["429", "503", "500", "html", "truncated", "hang_body", "reset", "short"])
def test_faults_on_the_way_cost_little(acquire, loopback, sky, kind):
    loopback.faults.add("cubes", kind, key="sdss.npz", times=2)
    path, _ = obtain(acquire(http=patience(kind)))
    size = path.stat().st_size
    assert path.read_bytes() == (sky / "sdss.npz").read_bytes()
    sent = sum(one["bytes"] for one in loopback.server.requests)
    assert sent < 1.1 * size + 5e4 or kind == "html", "broken transfers are resumed, not begun anew"


def test_another_process_resumes(acquire, loopback, sky):
    loopback.faults.add("cubes", "truncated", key="sdss.npz")
    loopback.faults.script[0].times = 2  # HEAD and the first GET
    with pytest.raises(SanspecError, match="truncated body"):
        obtain(acquire(http={"attempts": 1}))
    part = acquire().store / "sdss.npz.part"
    have = part.stat().st_size
    assert have > 1e5 and not (acquire().store / "sdss.npz").exists()
    path, numbers = obtain(acquire())
    assert numbers["resumed"] == have and path.read_bytes() == (sky / "sdss.npz").read_bytes()
    assert not part.exists() and not list(path.parent.glob("*.json"))


def test_a_part_of_another_version_is_not_continued(acquire, loopback, sky):
    store = acquire().store
    store.mkdir(parents=True)
    (store / "sdss.npz.part").write_bytes(b"PK\3\4" + bytes(10_000))
    (store / "sdss.npz.part.json").write_text(json.dumps({"url": acquire().services.cubes, "etag": '"old"'}))
    path, _ = obtain(acquire())
    assert path.read_bytes() == (sky / "sdss.npz").read_bytes()


def test_a_part_that_was_whole_is_not_fetched_again(acquire, loopback, sky):
    content = (sky / "sdss.npz").read_bytes()
    store = acquire().store
    store.mkdir(parents=True)
    (store / "sdss.npz.part").write_bytes(content)
    with Session(acquire().http) as session:
        etag = session.call("HEAD", acquire().services.cubes).headers["ETag"]
    (store / "sdss.npz.part.json").write_text(json.dumps({"url": acquire().services.cubes, "etag": etag}))
    path, _ = obtain(acquire())
    assert path.read_bytes() == content and sum(one["bytes"] for one in loopback.server.requests) == 0


def test_a_wrong_checksum_is_refused(acquire):
    with pytest.raises(SanspecError, match=r"not 0{64} as acquire\.cubes_sha256"):
        obtain(acquire(cubes_sha256="0" * 64))


def test_a_right_checksum_is_said_to_be_compared(acquire, sky):
    digest = checksum(sky / "sdss.npz")
    assert obtain(acquire(cubes_sha256=digest))[1]["compared"] is True


def test_no_room_is_told_before_a_byte_is_fetched(acquire, loopback, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(SanspecError, match=r"0\.0 GB left.*acquire\.store"):
        obtain(acquire())
    assert [one["method"] for one in loopback.server.requests] == ["HEAD"]


def test_a_file_that_is_not_there_is_one_line(acquire, loopback):
    with pytest.raises(SanspecError, match="HTTP 404"):
        obtain(acquire(services={"cubes": f"{loopback.base}/cubes/other.npz"}))


def test_no_cube_file_at_all_is_explained(acquire):
    with pytest.raises(SanspecError, match=r"acquire\.cubes.*acquire\.services\.cubes"):
        obtain(acquire(services={"cubes": None}))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"cube": np.zeros((3, 32, 32, 5), "f4"), "labels": np.zeros(3, [("specObjID", "<i8")])}, "shape"),
        ({"cube": np.zeros((3, 64, 64, 5), "f8"), "labels": np.zeros(3, [("specObjID", "<i8")])}, "float32"),
        ({"cube": np.zeros((3, 64, 64, 5), "f4")}, "labels"),
        (
            {"cube": np.zeros((3, 64, 64, 5), "f4"), "labels": np.zeros(3, [("specObjID", "<f8")])},
            "rounds ids",
        ),
        (
            {"cube": np.zeros((3, 64, 64, 5), "f4"), "labels": np.zeros(2, [("specObjID", "<i8")])},
            "2 labels for 3",
        ),
    ],
)
def test_another_layout_is_refused(acquire, tmp_path, arrays, words):
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(SanspecError, match=words):
        obtain(acquire(cubes=str(tmp_path / "odd.npz")))


def test_a_written_file_is_read_back(tmp_path):
    labels = np.zeros(3, [("specObjID", "<u8"), ("objID", "<u8")])
    labels["specObjID"], labels["objID"] = [5, 3, 5], [50, 30, 50]
    with source.writer(tmp_path / "own.npz", labels) as add:
        for number in range(3):
            add(image(number))
    with cubes.open_cubes(tmp_path / "own.npz") as member:
        assert np.array_equal(member.read(0, 3), [image(number) for number in range(3)])
    pairs, columns = source.read_pairs(tmp_path / "own.npz")
    assert pairs.tolist() == [[3, 30], [5, 50]] and columns == ("specObjID", "objID")
    labels["objID"] = 0
    with source.writer(tmp_path / "own.npz", labels) as add:
        for number in range(3):
            add(image(number))
    pairs, columns = source.read_pairs(tmp_path / "own.npz")
    assert pairs.tolist() == [[3], [5]] and columns == ("specObjID",), "no objID: SpecObj's own match is used"


# ------------------------------------------------------------------------------------------------------ place


def test_a_link_takes_the_place_of_a_link_alone(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "store" / name).mkdir(parents=True)
        place.link(tmp_path / "out" / "spectra", tmp_path / "store" / name)
    assert (tmp_path / "out" / "spectra").resolve() == tmp_path / "store" / "b"
    assert not (tmp_path / "out" / "spectra").readlink().is_absolute(), "a moved checkout keeps its links"
    (tmp_path / "out" / "real").mkdir()
    with pytest.raises(SanspecError, match="in the way"):
        place.link(tmp_path / "out" / "real", tmp_path / "store" / "a")


def test_two_processes_do_not_share_a_store(tmp_path):
    with (
        place.claimed(tmp_path),
        pytest.raises(SanspecError, match="another sanspec uses"),
        place.claimed(tmp_path),
    ):
        pass
    with place.claimed(tmp_path):
        pass


# ------------------------------------------------------------------------------------------------- inspection


@pytest.fixture(scope="module")
def galaxies():
    """Cubes and their catalogue rows, lower case."""
    images = np.array([image(number) for number in range(COUNT)])
    rows = pd.DataFrame([row(number, images[number]) for number in range(COUNT)])[list(NAMES)]
    rows.columns = [name.lower() for name in rows]
    return images, rows.astype({f"fibermag_{band}": float for band in cubes.BANDS})


def test_a_true_file_passes_with_its_numbers(galaxies):
    found = inspection.compare_apertures(*galaxies) | inspection.compare_centres(galaxies[0])
    assert (
        found["holds_order"] and found["holds_units"] and found["holds_centre"] and found["order"] == "ugriz"
    )
    assert max(map(abs, found["offset"].values())) < 1e-3 and found["galaxies"] == COUNT


@pytest.mark.parametrize("order", ["zirgu", "guriz", "ugrzi", "rgizu"])
def test_a_permuted_file_is_found_out(galaxies, order):
    images, rows = galaxies
    permuted = images[..., [cubes.BANDS.index(band) for band in order]]
    found = inspection.compare_apertures(permuted, rows)
    assert found["order"] == order and not found["holds_order"] and found["order_cost"] < found["ugriz_cost"]


@pytest.mark.parametrize("factor", [3.631, 0.01])
def test_other_units_are_found_out(galaxies, factor):
    images, rows = galaxies
    found = inspection.compare_apertures(images * np.float32(factor), rows)
    assert not found["holds_units"] and found["holds_order"]
    assert abs(np.mean(list(found["offset"].values())) + 2.5 * np.log10(factor)) < 0.02


def test_galaxies_off_the_middle_are_found_out(galaxies):
    assert not inspection.compare_centres(np.roll(galaxies[0], 6, axis=2))["holds_centre"]


@pytest.mark.parametrize("name", list(inspection.TRANSFORMS))
def test_a_turned_or_mirrored_file_is_found_out(galaxies, name):
    references = [one[..., 2] for one in galaxies[0][:4]]
    images = [inspection.transform(one, name) for one in references]
    found = inspection.compare_orientation(images, references)
    assert found["orientation"] == name and found["holds_orientation"] == (name == inspection.IDENTITY)
    assert found["orientation_margin"] > 0.05


def test_the_eight_transforms_are_different():
    plain = np.arange(16).reshape(4, 4)
    assert len({inspection.transform(plain, name).tobytes() for name in inspection.TRANSFORMS}) == 8


def test_without_frames_the_orientation_is_left_open():
    found = inspection.compare_orientation([], [])
    assert found["orientation"] is None and found["holds_orientation"] and found["flux_over_frame"] is None


def test_the_sample_is_spread_and_exact(galaxies):
    ids = np.arange(1000, dtype=np.uint64) + np.uint64(2**60)
    table = pd.DataFrame({"specobjid": ids[::-1][:500], "fibermag_r": np.arange(500.0)})
    rows, known = inspection.sample(ids, table, 50)
    assert len(rows) == 50 and np.array_equal(ids[rows], known["specobjid"]) and np.ptp(rows) > 450
    assert len(inspection.sample(ids + np.uint64(5000), table, 50)[0]) == 0


def test_an_aperture_holds_what_it_should():
    """A flat image of s nanomaggies a pixel holds s pi 1.5^2/0.396^2 in 3 arcsec."""
    flat = np.full((1, 64, 64, 5), 0.5, np.float32)
    expected = 22.5 - 2.5 * np.log10(0.5 * np.pi * 1.5**2 / PIXEL_SCALE**2)
    assert np.allclose(inspection.fluxes(flat), expected, atol=0.02)
