"""Spectra: only complete files of the right object are kept; all others are refused with a reason and fetched again."""

import csv
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from loopback import files
from loopback.server import HTML
from loopback_sky import COUNT, identity, patience, row, settings, spectrum
from sanspec import store
from sanspec.archive import answers, sas
from sanspec.archive.sas import Sas, Wanted
from sanspec.archive.session import Refused, Session
from sanspec.archive.sparcl import Sparcl
from sanspec.archive.transfer import Transfer
from sanspec.database import catalogue, manifest
from sanspec.database.query import NAMES
from sanspec.errors import SanspecError
from sanspec.survey import packed, specfile
from sanspec.survey.fitsrows import Damaged

pytest_plugins = "loopback_fixtures"


def wanted(number, reason=""):
    ids = identity(number)
    return Wanted(number + 1, ids["specobjid"], ids["objid"], reason)


@pytest.fixture
def at(tmp_path):
    """A file with given content."""

    def write(content):
        path = tmp_path / "spec-0266-51668-0001.fits.part"
        path.write_bytes(content)
        return path

    return write


# ----------------------------------------------------------------------------------------- what is a spectrum


def test_a_whole_file_passes(at):
    sas.check(at(spectrum(0)), wanted(0))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda content: HTML, "HTML page"),
        (lambda content: b"", "not a FITS file"),
        (lambda content: b"SIMPLE  =" + os.urandom(5000), "damaged header|truncated|ends inside"),
        (lambda content: content[:1000], "truncated"),
        (lambda content: content[: len(content) // 2], "truncated"),
        (lambda content: content[:-2880], "truncated"),
        (lambda content: content[:-100], "truncated"),
        (lambda content: spectrum(1), "another object"),
        (files.bad_tdim, "TDIM"),
        (files.spoil_values, "no finite flux"),
    ],
)
def test_a_damaged_file_is_refused_for_its_reason(at, spoil, words):
    with pytest.raises(Damaged, match=words):
        sas.check(at(spoil(spectrum(0))), wanted(0))


def test_a_file_cut_anywhere_is_refused(at):
    content = spectrum(0)
    for end in np.linspace(0, len(content) - 1, 60).astype(int):
        with pytest.raises(Damaged):
            sas.check(at(content[:end]), wanted(0))


def test_a_tdim_that_fits_is_no_fault(at, tmp_path):
    columns = [fits.Column("theta", "6E", dim="(2,3)", array=np.ones((1, 6)).reshape(1, 3, 2))]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "t.fits")
    header = (tmp_path / "t.fits").read_bytes()[2880:5760]
    sas._check_dimensions(header)
    with pytest.raises(Damaged, match="TDIM"):
        sas._check_dimensions(header.replace(b"(2,3)", b"(2,4)"))


def test_every_real_file_is_itself_and_no_other(real_data):
    folder = real_data / "spectra"
    with (folder / "index.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 100
    for this, other in zip(rows, rows[1:] + rows[:1]):
        sas.check(folder / this["file"], Wanted(1, int(this["specObjID"]), 0))
        if this["specObjID"] != other["specObjID"]:
            with pytest.raises(Damaged, match="another object"):
                sas.check(folder / this["file"], Wanted(1, int(other["specObjID"]), 0))


def test_addresses_are_the_published_ones():
    item = Wanted(1, 845594848269461504, 1237652943176138868)
    template = settings("http://127.0.0.1:1", Path("/tmp")).acquire.services.spectra
    default = type(settings("http://127.0.0.1:1", Path("/tmp")).acquire.services)().spectra
    assert item.file == "0751/spec-0751-52251-0160.fits" and item.plate == "0751"
    assert item.url(default) == (
        "https://data.sdss.org/sas/dr12/sdss/spectro/redux/26/spectra/lite/0751/spec-0751-52251-0160.fits"
    )
    assert item.url(template).startswith("http://127.0.0.1:1/sas/dr12/")
    boss = Wanted(1, 11259000016306413568, 0)
    assert "redux/v5_10_0/spectra/lite/10000/spec-10000-57346-0003.fits" in boss.url(default)


# --------------------------------------------------------------------------------------------------- fetching


@pytest.fixture
def client(loopback, tmp_path):
    """A source of spectra, and where they go."""

    def make(kind=Sas, **changes):
        acquire = settings(loopback.base, tmp_path, **changes).acquire
        return kind(Session(acquire.http), acquire), acquire.store / "spectra"

    return make


def fetch(source, folder, *numbers, reason=""):
    return list(source.fetch([wanted(number, reason) for number in numbers], folder))


@pytest.mark.parametrize(
    "kind",
    [
        "429",
        "503",
        "500",
        "html",
        "truncated",
        "hang",
        "hang_body",
        "reset",
        "short",
        "other_object",
        "bad_tdim",
        "all_nan",
    ],
)
def test_a_passing_fault_costs_a_try(client, loopback, sky, kind):
    loopback.faults.add("spectrum", kind)
    source, folder = client(http=patience(kind))
    outcome = fetch(source, folder, 3)[0]
    path = folder / wanted(3).file
    assert outcome.state == "done" and path.read_bytes() == (sky / "spectra" / wanted(3).file).read_bytes()
    assert outcome.attempts >= 2 and len(outcome.sha256) == 64 and outcome.bytes == path.stat().st_size
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name], "no part is left"
    assert not os.access(path, os.W_OK) or (os.geteuid() == 0 and path.stat().st_mode & 0o222 == 0)


def test_a_broken_transfer_is_resumed(client, loopback):
    loopback.faults.add("spectrum", "truncated")
    source, folder = client()
    fetch(source, folder, 3)
    first, second = list(loopback.server.requests)
    size = (folder / wanted(3).file).stat().st_size
    assert second["range"].startswith("bytes=") and second["status"] == 206
    assert first["bytes"] + second["bytes"] < size + 40_000, "but for the last piece no byte came twice"


def test_a_404_counts_when_it_comes_up_twice(client, loopback):
    loopback.faults.add("spectrum", "404", times=2)
    source, folder = client()
    once = fetch(source, folder, 3)[0]
    assert (once.state, once.reason) == ("failed", "HTTP 404")
    twice = fetch(source, folder, 3, reason=once.reason)[0]
    assert twice.state == "missing" and "404 twice" in twice.reason
    assert fetch(source, folder, 3)[0].state == "done", "a mirror that lagged"


@pytest.mark.parametrize("kind", ["short", "other_object", "bad_tdim", "all_nan"])
def test_a_file_that_is_always_damaged_is_listed_after_three_tries(client, loopback, kind):
    loopback.faults.add("spectrum", kind, times=99)
    source, folder = client()
    outcome = fetch(source, folder, 3)[0]
    assert outcome.state == "missing" and outcome.reason.startswith("damaged in the archive: ")
    assert len(loopback.server.requests) == 3 and not list(folder.rglob("*.fits*"))


def test_an_error_page_is_never_taken_for_the_archives_last_word(client, loopback):
    loopback.faults.add("spectrum", "html", times=99)
    source, folder = client(http={"attempts": 5})
    outcome = fetch(source, folder, 3)[0]
    assert (
        outcome.state == "failed" and outcome.reason == "HTML page instead of FITS" and outcome.attempts == 5
    )


def test_what_stands_there_is_taken_over(client, loopback):
    source, folder = client()
    fetch(source, folder, 1, 2)
    before = len(loopback.server.requests)
    again = fetch(source, folder, 1, 2)
    assert [one.source for one in again] == ["disk", "disk"] and len(loopback.server.requests) == before
    path = folder / wanted(1).file
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:1000])
    assert fetch(source, folder, 1)[0].source == "sas", "what is damaged there is fetched anew"


def test_a_name_from_the_server_is_not_followed(client, loopback, tmp_path):
    """Content-Disposition with ../ has no say in where a file goes."""
    route = next(route for route, _ in loopback.server.routes if route.name == "spectrum")
    answer = route.answer

    def sly(request):
        reply = answer(request)
        reply.headers["Content-Disposition"] = 'attachment; filename="../../../evil.fits"'
        return reply

    object.__setattr__(route, "answer", sly)
    source, folder = client()
    assert fetch(source, folder, 3)[0].state == "done"
    assert {p for p in tmp_path.rglob("*") if p.is_file()} == {folder / wanted(3).file}


def test_a_full_disk_stops_the_run(client, monkeypatch):
    source, folder = client()

    class Full:
        def __getattr__(self, name):
            raise OSError(28, "No space left on device")

    opened = Path.open

    def full(self, mode="r", *more, **options):
        file = opened(self, mode, *more, **options)
        if self.name.endswith(".part") and "w" in mode:
            raise OSError(28, "No space left on device")
        return file

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(SanspecError, match=r"the disk is full.*acquire\.store"):
        fetch(source, folder, 3)


def test_digests_are_of_the_bytes_that_stand_there(client):
    source, folder = client()
    outcome = fetch(source, folder, 5)[0]
    assert outcome.sha256 == store.digest(folder / wanted(5).file)


# ----------------------------------------------------------------------------------------------------- SPARCL


def test_sparcl_gives_files_of_the_same_form(client, sky):
    source, folder = client(Sparcl)
    outcomes = fetch(source, folder, *range(5))
    assert {one.state for one in outcomes} == {"done"} and {one.source for one in outcomes} == {"sparcl"}
    for number in range(5):
        theirs = specfile.read(folder / wanted(number).file)
        ours = specfile.read(sky / "spectra" / wanted(number).file)
        assert np.array_equal(np.rint(1e4 * theirs.loglam), np.rint(1e4 * ours.loglam))
        assert np.allclose(theirs.flux, ours.flux, rtol=1e-6) and np.array_equal(theirs.ivar, ours.ivar)
        assert np.array_equal(theirs.and_mask, ours.and_mask) and np.allclose(theirs.wdisp, ours.wdisp)
        assert (
            theirs.about.specobjid == wanted(number).specobjid and theirs.about.objid == wanted(number).objid
        )
        assert abs(theirs.about.z - ours.about.z) < 1e-7 and not theirs.about.refusal


def test_sparcl_is_asked_for_many_at_once(client, loopback):
    source, folder = client(Sparcl)
    fetch(source, folder, *range(20))
    assert len(loopback.server.requests) == 3, "fields, find, spectra"


def test_what_sparcl_lacks_is_listed(client, loopback, sky):
    source, folder = client(Sparcl)
    stranger = Wanted(99, 845594848269461504, 0)
    outcome = next(iter(source.fetch([stranger], folder)))
    assert outcome.state == "missing" and "not in SPARCL" in outcome.reason


def test_a_pickle_is_never_read(client, loopback, monkeypatch):
    monkeypatch.setattr("pickle.loads", lambda *_: pytest.fail("unpickled"))
    loopback.faults.add("sparcl", "html", times=99)
    source, folder = client(Sparcl, http={"attempts": 2})
    assert fetch(source, folder, 1)[0].state == "failed"


def test_an_unknown_release_is_one_line(client):
    source, folder = client(Sparcl, sparcl_release="SDSS-DR99")
    with pytest.raises(SanspecError, match=r"'SDSS-DR99' lacks .* SPARCL has: SDSS-DR17"):
        fetch(source, folder, 1)


# ------------------------------------------------------------------------------------------- the whole survey


@pytest.fixture
def survey(loopback, tmp_path, sky):
    """A manifest of the sky, and a way to run over it."""
    blocks = [answers.read_text((sky / "catalogue.csv").read_text())]
    with catalogue.database(f"sqlite:///{tmp_path}/survey.db") as engine:
        catalogue.replace_catalogue(engine, blocks)
        manifest.list_downloads(engine)

        def run(sources=(Sas,), states=("pending", "failed"), pack=False, **changes):
            acquire = settings(loopback.base, tmp_path, **changes).acquire
            with Session(acquire.http) as session:
                made = [kind(session, acquire) for kind in sources]
                return Transfer(engine, session, tmp_path / "spectra", pack).run(made, states)

        run.engine, run.folder = engine, tmp_path / "spectra"
        yield run


def same_files(folder, sky):
    """Whether a folder holds the sky's spectra and nothing else."""
    ours = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    theirs = {
        path.relative_to(sky / "spectra"): path.read_bytes() for path in (sky / "spectra").rglob("*.fits")
    }
    return ours == theirs


def test_all_arrive_once(survey, loopback, sky):
    tally = survey()
    assert tally["done"] == COUNT and same_files(survey.folder, sky)
    paths = Counter(one["path"] for one in loopback.server.requests)
    assert len(paths) == COUNT and set(paths.values()) == {1}, "nothing is fetched twice"
    assert len({one["client"] for one in loopback.server.requests}) <= 4
    assert manifest.count_downloads(survey.engine)["done"] == COUNT
    assert survey()["done"] == 0 and len(loopback.server.requests) == COUNT, "nothing is left to do"


def test_with_faults_all_arrive_all_the_same(survey, loopback, sky):
    loopback.faults.rate, loopback.faults.seed = 0.3, 4
    assert survey()["done"] == COUNT and same_files(survey.folder, sky)
    kinds = Counter(one["fault"] for one in loopback.server.requests if one["fault"])
    whole = [one for one in loopback.server.requests if one["fault"] is None and one["status"] in (200, 206)]
    assert len(kinds) >= 6 and len(whole) == COUNT, "each object came whole once"


def test_the_manifest_says_true(survey, loopback, sky):
    loopback.faults.add("spectrum", "404", times=99, key=Path(wanted(3).file).name)
    loopback.faults.add("spectrum", "other_object", times=99, key=Path(wanted(4).file).name)
    loopback.faults.add("spectrum", "503", times=99, key=Path(wanted(5).file).name)
    tally = survey()
    assert tally["done"] == COUNT - 3 and manifest.count_downloads(survey.engine)["missing"] == 2
    assert manifest.count_reasons(survey.engine) == {
        "not in the archive (HTTP 404 twice)": 1,
        "damaged in the archive: file of another object": 1,
        "HTTP 503": 1,
    }
    loopback.faults.script.clear()
    assert survey()["done"] == 1, "what failed is asked for again, what is missing is not"
    assert survey(states=("missing",))["done"] == 2 and same_files(survey.folder, sky)


def test_a_second_source_gives_what_the_first_does_not(survey, loopback):
    loopback.faults.add("spectrum", "404", times=99, key="-0751-")
    tally = survey(sources=(Sas, Sparcl))
    assert tally["done"] == COUNT and manifest.count_downloads(survey.engine)["done"] == COUNT
    assert any(one["route"] == "sparcl" for one in loopback.server.requests)


def test_folders_stay_small(survey):
    survey()
    assert max(len(list(plate.iterdir())) for plate in survey.folder.iterdir()) <= 640


def test_a_users_fault_in_a_thread_stops_the_run_and_keeps_what_came(survey, loopback):
    loopback.server.retry_after = 7200
    loopback.faults.add("spectrum", "503", key=Path(wanted(59).file).name)
    with pytest.raises(SanspecError, match="come back in 120 min"):
        survey(http={"connections": 1})
    counts = manifest.count_downloads(survey.engine)
    assert counts["done"] > 0 and counts["done"] + counts["pending"] == COUNT


def test_a_wrong_address_stops_the_run_before_all_are_called_missing(survey, loopback):
    services = {"spectra": loopback.base + "/elsewhere/{plate}-{mjd}-{fiberid}.fits"}
    with pytest.raises(
        SanspecError, match=r"none of the first 40 spectra arrived \(HTTP 404\): check acquire"
    ):
        survey(services=services)
    assert len(loopback.server.requests) < COUNT + 20
    counts = manifest.count_downloads(survey.engine)
    assert counts == {"pending": COUNT, "done": 0, "missing": 0, "failed": 0}, "as if they had not been tried"
    assert survey()["done"] == COUNT
    loopback.faults.add("spectrum", "404", times=999)
    with survey.engine.begin() as connection:
        connection.execute(
            catalogue.Download.__table__.update().where(catalogue.Download.row > 1).values(state="pending")
        )
    shutil.rmtree(survey.folder)
    assert survey()["missing"] == COUNT - 1, "where one has arrived before, the address is right"


# ---------------------------------------------------------------------------------------------------- packing


def test_packed_spectra_come_out_bit_for_bit(survey, sky):
    survey(pack=True)
    assert not list(survey.folder.rglob("*.fits"))
    for number in range(COUNT):
        original = (sky / "spectra" / wanted(number).file).read_bytes()
        assert packed.read_bytes(survey.folder / wanted(number).file) == original
    sizes = [path.stat().st_size for path in survey.folder.glob("*.h5")]
    assert len(sizes) == 3 and sum(sizes) < COUNT * 172_800


def test_packed_spectra_are_taken_over(survey, loopback):
    survey(pack=True)
    with survey.engine.begin() as connection:
        connection.execute(catalogue.Download.__table__.update().values(state="pending"))
    before = len(loopback.server.requests)
    tally = survey(pack=True)
    assert tally["adopted"] == COUNT and len(loopback.server.requests) == before


def test_a_packing_that_was_broken_off_is_taken_up(survey, sky, monkeypatch):
    survey()
    plate, unlink, gone = survey.folder / "0266", Path.unlink, []

    def stop_at_the_third(path, **options):
        if path.suffix == ".fits" and len(gone) == 2:
            raise KeyboardInterrupt
        gone.append(path) if path.suffix == ".fits" else None
        unlink(path, **options)

    names = sorted(path.name for path in plate.iterdir())
    monkeypatch.setattr(Path, "unlink", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        packed.pack_plate(plate)
    monkeypatch.undo()
    assert len(list(plate.iterdir())) == len(names) - 2
    packed.pack_plate(plate)
    assert packed.names(plate.with_suffix(".h5")) == names and not plate.exists()
    for name in names:
        assert packed.read_bytes(plate / name) == (sky / "spectra" / "0266" / name).read_bytes()


def test_real_spectra_pack_without_loss(real_data, tmp_path):
    files = sorted((real_data / "spectra" / "window_005_015").glob("*.fits"))
    before = {path.name: path.read_bytes() for path in files}
    (tmp_path / "0266").mkdir()
    for name, content in before.items():
        (tmp_path / "0266" / name).write_bytes(content)
    packed.pack_plate(tmp_path / "0266")
    assert packed.names(tmp_path / "0266.h5") == sorted(before) and not (tmp_path / "0266").exists()
    assert all(packed.read_bytes(tmp_path / "0266" / name) == content for name, content in before.items())
    lite = [name for name in before if len(before[name]) == 172_800]
    (tmp_path / "1").mkdir()
    for name in lite:
        (tmp_path / "1" / name).write_bytes(before[name])
    packed.pack_plate(tmp_path / "1")
    assert (tmp_path / "1.h5").stat().st_size < 0.45 * 172_800 * len(lite), "46.8 GB become 19.6 GB"


def test_a_reader_by_position_takes_packed_spectra(survey, sky):
    survey(pack=True)
    handle = packed.open_handle(survey.folder / wanted(2).file)
    assert os.pread(handle, 30, 0).startswith(b"SIMPLE  =") and os.fstat(handle).st_size % 2880 == 0
    os.close(handle)
    with pytest.raises(SanspecError, match="packed or not"):
        packed.read_bytes(survey.folder / "0266" / "spec-0266-51668-0999.fits")


def test_the_chain_reads_packed_spectra_as_it_reads_files(survey, sky):
    plain = specfile.find(sky / "spectra")
    survey(pack=True)
    found = specfile.find(survey.folder)
    assert found.equals(plain)
    for file in found["file"][::17]:
        theirs, ours = specfile.read(survey.folder / file), specfile.read(sky / "spectra" / file)
        assert theirs.about == ours.about and np.array_equal(theirs.flux, ours.flux)
    plate = next(survey.folder.glob("*.h5"))
    plate.write_bytes(plate.read_bytes()[:5000])
    warn = specfile.read_many([survey.folder / plate.stem / "spec-0266-51668-0001.fits"]).warn
    assert warn.tolist() == [1], "one plate that cannot be read costs its rows alone"


def test_a_refusal_without_a_status_keeps_its_words(client):
    outcome = client()[0]._refused(wanted(1), Refused("timeout (6 tries)"))
    assert (outcome.state, outcome.reason, outcome.attempts) == ("failed", "timeout", 6)
    assert row(1, np.ones((64, 64, 5), np.float32)).keys() == set(NAMES)
