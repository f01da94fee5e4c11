"""Anonymous SQL: slices within all limits, resumed and throttled; the loopback server answers as astroquery expects."""

import sys
import time
import warnings
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest
import requests
from astropy.table import Table

from loopback_sky import identity, patience, settings
from sanspec.archive import answers
from sanspec.archive import catalogue as source
from sanspec.archive import skyserver as slices
from sanspec.archive.answers import SqlError, TooLarge
from sanspec.archive.session import Session
from sanspec.archive.skyserver import SkyServer
from sanspec.database import query
from sanspec.database.query import TOTAL, Column
from sanspec.errors import SanspecError

pytest_plugins = "loopback_fixtures"

PAIR = (Column("specObjID", "S.specObjID", "id"), Column("z", "S.z", "real"))
ASK = f"SELECT S.specObjID, S.z, {TOTAL.selected} FROM SpecObj S WHERE S.z < 0.1"


@pytest.fixture
def ask(loopback, tmp_path):
    """A client, and a way to make one with other settings."""
    made = []

    def make(**changes):
        acquire = settings(loopback.base, tmp_path, **changes).acquire
        session = Session(acquire.http)
        made.append(session)
        return SkyServer(session, acquire)

    return make


def whole(skyserver, folder, **plates):
    """The catalogue in slices, put together."""
    parts = skyserver.fetch(folder, **plates)
    return pd.concat([skyserver.slice(part, folder) for part in parts], ignore_index=True), parts


def everything(sky):
    """The sky's own catalogue, by specObjID."""
    frame = answers.read_text((sky / "catalogue.csv").read_text())
    return frame.sort_values("specObjID", ignore_index=True)


def test_a_query_gives_its_rows(ask):
    rows = ask().ask(ASK, (*PAIR, TOTAL))
    assert (
        len(rows) == 30
        and rows["specObjID"].dtype == np.uint64
        and identity(0)["specobjid"] in rows["specObjID"].values
    )


def test_slices_hold_every_object_once_and_exactly(ask, tmp_path, sky, monkeypatch):
    monkeypatch.setattr(slices, "SLICE_PLATES", 100)
    found, parts = whole(ask(), tmp_path / "s", first=200, last=800)
    expected = everything(sky)
    assert len(parts) == 7 and found["specObjID"].tolist() == expected["specObjID"].tolist()
    same = [name for name in query.NAMES if name != "flags_r"]
    pd.testing.assert_frame_equal(found[same], expected[same], check_exact=True)


def test_columns_are_spread_over_short_queries(ask, loopback, tmp_path, monkeypatch):
    one, _ = whole(ask(), tmp_path / "a", first=260, last=800)
    before = len(loopback.server.requests)
    monkeypatch.setattr(slices, "MAX_LENGTH", 1000)
    several, _ = whole(ask(), tmp_path / "b", first=260, last=800)
    sent = [one["path"] for one in list(loopback.server.requests)[before:]]
    assert several.equals(one) and len(sent) >= 2
    assert all(len(path.partition("?")[2]) <= 1000 for path in sent)


def test_an_answer_with_too_many_rows_is_halved(ask, tmp_path, sky, monkeypatch):
    monkeypatch.setattr(slices, "MAX_ROWS", 25)
    found, parts = whole(ask(), tmp_path / "s", first=260, last=800)
    assert len(parts) > 3 and len(found) == len(everything(sky)) == found["specObjID"].nunique()


def test_halved_slices_are_remembered(ask, loopback, tmp_path, monkeypatch):
    monkeypatch.setattr(slices, "MAX_ROWS", 25)
    whole(ask(), tmp_path / "s", first=260, last=800)
    before = len(loopback.server.requests)
    found, _ = whole(ask(), tmp_path / "s", first=260, last=800)
    assert len(found) == 60 and len(loopback.server.requests) == before, "all of it from disk"


def test_a_query_that_runs_too_long_is_halved(ask, loopback, tmp_path, monkeypatch):
    run = loopback.database.run

    def slow(text, *more, **options):
        ids = [
            int(word) for word in text.replace("BETWEEN", " ").split() if word.isdigit() and len(word) > 12
        ]
        if ids and (ids[1] - ids[0]) >> 50 > 20:
            raise loopback_fault("Execution Timeout Expired. The timeout period elapsed.")
        return run(text, *more, **options)

    monkeypatch.setattr(loopback.database, "run", slow)
    found, parts = whole(ask(), tmp_path / "s", first=260, last=800)
    assert len(found) == 60 and max(last - first for first, last in parts) <= 20


def loopback_fault(words):
    from loopback.tsql import SqlFault

    return SqlFault(words)


def test_one_plate_that_is_too_much_ends_the_run(ask, tmp_path, monkeypatch):
    monkeypatch.setattr(slices, "MAX_ROWS", 10)
    with pytest.raises(SanspecError, match=r"cuts even plate .* short.*CasJobs"):
        whole(ask(), tmp_path / "s", first=260, last=800)


def test_queries_keep_their_distance(ask, loopback):
    skyserver, begun = ask(query_interval=0.05), time.monotonic()
    for _ in range(4):
        skyserver.ask(ASK, (*PAIR, TOTAL))
    assert (
        time.monotonic() - begun >= 3 * 0.05 and min(skyserver._session._next_of.values()) >= begun + 4 * 0.05
    )


def test_a_throttle_message_is_waited_out(ask, loopback, monkeypatch):
    monkeypatch.setattr(answers, "THROTTLE_WAIT", 0.05)
    loopback.faults.add("sql", "throttle", times=2)
    assert len(ask().ask(ASK, (*PAIR, TOTAL))) == 30
    assert len(loopback.server.requests) == 3


@pytest.mark.parametrize(
    "kind", ["429", "503", "500", "html", "truncated", "short", "hang", "hang_body", "reset"]
)
def test_passing_faults_cost_nothing(ask, loopback, kind):
    loopback.faults.add("sql", kind, times=2)
    assert len(ask(http=patience(kind)).ask(ASK, (*PAIR, TOTAL))) == 30


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("SELECT a FROM NoTable", SqlError, "Invalid object name 'NoTable'"),
        ("SELECT nope FROM SpecObj", SqlError, "Invalid column name 'nope'"),
        ("DROP TABLE SpecObj", SqlError, "."),
        ("DELETE FROM SpecObjAll", SqlError, "Incorrect syntax"),
    ],
)
def test_the_databases_errors_are_final(ask, loopback, text, kind, words):
    with pytest.raises(kind, match=words):
        ask().ask(text, PAIR)
    assert len(loopback.server.requests) == 1


def test_two_columns_called_z_are_refused(ask):
    """SkyServer renames the second: the first, a magnitude, would pass for a redshift."""
    tables = "SpecObj S JOIN PhotoObjAll P ON P.objID = S.bestObjID"
    text = f"SELECT S.specObjID, P.modelMag_r as z, S.z FROM {tables}"
    with pytest.raises(SanspecError, match="unknown: z1"):
        ask().ask(text, PAIR)


def test_an_overlong_query_is_refused_in_words(ask):
    with pytest.raises(SqlError, match="maxQueryStringLength"):
        ask().ask("SELECT " + "S.z, " * 600 + "S.z FROM SpecObj S", PAIR)


def test_zero_rows_are_asked_for_twice(ask, loopback):
    assert len(ask().ask(ASK.replace("< 0.1", "< 0"), (*PAIR, TOTAL))) == 0
    assert len(loopback.server.requests) == 2


def test_a_server_that_is_away_is_one_line(ask):
    with pytest.raises(SanspecError, match="SkyServer: cannot connect"):
        ask(services={"skyserver": "http://127.0.0.1:9/sql"}).ask(ASK, PAIR)


def test_the_anonymous_catalogue_is_the_jobs_catalogue(loopback, account, tmp_path, sky):
    """Same objects, same values, by slices as by CasJobs; and the forms differ alike."""
    from sanspec.database import catalogue

    pairs = sorted((identity(n)["specobjid"], identity(n)["objid"]) for n in range(50))
    frames, reports = [], []
    for service in ("skyserver", "casjobs"):
        acquire = settings(loopback.base, tmp_path / service, service=service).acquire
        with Session(acquire.http) as session, catalogue.database(acquire.database) as engine:
            chooser = source.Chooser("corrected", 0.05, 0.15)
            blocks = chooser.choose(source.rows(session, engine, acquire, pairs, ("specObjID", "objID")))
            frames.append(pd.concat(blocks).sort_values("specObjID", ignore_index=True))
            reports.append(chooser.report())
    pd.testing.assert_frame_equal(*frames, check_exact=True)
    assert reports[0] == reports[1] and reports[0]["only_corrected"] > 0 and reports[0]["only_as_printed"] > 0
    assert len(frames[0]) == reports[0]["corrected"] < 50


def test_repeated_rows_count_once():
    frame = pd.DataFrame({name: np.full(3, 1.5) for name in query.NAMES})
    frame["specObjID"] = np.array([5, 5, 6], np.uint64)
    frame["flags_r"], frame["instrument"], frame["z"] = np.uint64(query.BINNED1), "SDSS", 0.1
    chooser = source.Chooser("corrected", 0.05, 0.15)
    assert sum(map(len, chooser.choose([frame, frame]))) == 2 and chooser.report()["repeated"] == 4


# ------------------------------------------------------------------------------------------------- the oracle


@pytest.fixture
def astroquery(loopback, tmp_path, monkeypatch):
    """The public client, pointed at the loopback server."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sdss = pytest.importorskip("astroquery.sdss", reason="astroquery is the oracle of the formats")
    monkeypatch.setattr(sdss.conf, "skyserver_baseurl", loopback.base)
    monkeypatch.setattr(sdss.conf, "sas_baseurl", f"{loopback.base}/sas")
    return sdss.SDSS


def test_astroquery_reads_the_same_rows(astroquery, ask):
    ours = ask().ask(ASK, (*PAIR, TOTAL))
    for release in (12, 17):
        theirs = astroquery.query_sql(
            "SELECT specObjID, z FROM SpecObj WHERE z < 0.1", data_release=release, cache=False
        )
        assert theirs["specObjID"].astype(np.uint64).tolist() == ours["specObjID"].tolist()
        assert np.allclose(theirs["z"], ours["z"])


def test_astroquery_gets_the_same_spectrum(astroquery, sky):
    ids = identity(4)
    match = Table(
        {"plate": [ids["plate"]], "mjd": [ids["mjd"]], "fiberID": [ids["fiberid"]], "run2d": ["26"]}
    )
    found = astroquery.get_spectra(matches=match, data_release=12, cache=False, show_progress=False)
    assert found[0][1].columns.names[:3] == ["flux", "loglam", "ivar"] and len(found[0][1].data) == 3840


def test_html_errors_come_with_status_200(loopback):
    place = f"{loopback.base}/dr12/SkyServerWS/SearchTools/SqlSearch"
    page = requests.get(f"{place}?{urlencode({'cmd': 'SELECT x FROM y', 'format': 'html'})}", timeout=5)
    assert page.status_code == 200 and "Invalid object name" in page.text
    assert requests.get(f"{place}?{urlencode({'cmd': 'SELECT x FROM y'})}", timeout=5).status_code == 500


def test_the_loopback_server_throttles(loopback):
    loopback.skyserver.per_minute = 2
    place = f"{loopback.base}/dr12/SkyServerWS/SearchTools/SqlSearch?{urlencode({'cmd': 'SELECT 1 as a'})}"
    bodies = [requests.get(place, timeout=5).text for _ in range(3)]
    assert "Maximum 2 queries allowed per minute" in bodies[2] and bodies[0] == "#Table1\na\n1\n"


def test_nothing_here_needs_astroquery_itself():
    assert "astroquery" not in {name.partition(".")[0] for name in sys.modules if name.startswith("sanspec")}
    assert issubclass(TooLarge, Exception)
