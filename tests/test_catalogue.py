"""The survey's database: ids survive in full in SQLite and in a real PostgreSQL; schema, catalogue, manifest,
jobs.
"""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import BigInteger, insert, select, type_coerce

from loopback_sky import image, row
from sanspec import config
from sanspec.archive import answers
from sanspec.archive.catalogue import write_csv
from sanspec.database import catalogue, manifest
from sanspec.database.catalogue import Download, Galaxy, UInt64
from sanspec.database.manifest import Outcome
from sanspec.database.query import NAMES
from sanspec.errors import SanspecError

pytest_plugins = "loopback_fixtures"

EDGES = [0, 1, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1, 845594848269461504, 11259000016306413568]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/survey.db"
    return request.getfixturevalue("postgres")


@pytest.fixture(scope="module")
def rows():
    """Catalogue rows of 40 galaxies."""
    table = [row(number, image(number)) for number in range(40)]
    csv = "\n".join([",".join(NAMES), *(",".join(one.values()) for one in table)]) + "\n"
    return answers.read_text(csv)


@hypothesis_settings(max_examples=200)
@given(st.integers(0, 2**64 - 1))
def test_the_signed_form_holds_every_unsigned_integer(number):
    stored = UInt64().process_bind_param(number, None)
    assert -(2**63) <= stored < 2**63 and UInt64().process_result_value(stored, None) == number
    assert stored == number or number >= 2**63


@pytest.mark.parametrize("bad", [-1, 2**64, 1.5e18, "7", True])
def test_what_is_no_id_is_refused(bad):
    with pytest.raises(ValueError, match="unsigned 64-bit"):
        UInt64().process_bind_param(bad, None)


def test_ids_of_the_full_range_survive_the_round_trip(url):
    with catalogue.database(url) as engine:
        with engine.begin() as connection:
            connection.execute(
                insert(Download),
                [{"row": n + 1, "specobjid": i, "objid": 2**64 - 1 - i} for n, i in enumerate(EDGES)],
            )
        with engine.connect() as connection:
            found = connection.execute(
                select(Download.specobjid, Download.objid).order_by(Download.row)
            ).all()
            assert [tuple(one) for one in found] == [(i, 2**64 - 1 - i) for i in EDGES]
            for number in EDGES:
                wanted = select(Download.row).where(Download.specobjid == number)
                assert connection.scalars(wanted).one() == EDGES.index(number) + 1
            raw = connection.execute(select(type_coerce(Download.specobjid, BigInteger))).scalars().all()
            low = [number for number in EDGES if number < 2**63]
            assert sorted(stored for stored in raw if stored >= 0) == sorted(low), (
                "shown as they are elsewhere"
            )


def test_a_catalogue_of_the_full_range_is_read_whole(url, rows):
    """Unsigned ids in signed columns: none is skipped at the ends of a block, none comes twice."""
    block = rows.iloc[: len(EDGES)].assign(
        specObjID=np.array(EDGES, np.uint64), bestObjID=np.uint64(2**64 - 1)
    )
    with catalogue.database(url) as engine:
        catalogue.replace_catalogue(engine, [block])
        found = pd.concat(catalogue.read_catalogue(engine, block=2))
        assert sorted(map(int, found["specObjID"])) == sorted(EDGES)
        assert {int(number) for number in found["bestObjID"]} == {2**64 - 1}
        assert manifest.list_downloads(engine) == len(EDGES)
        listed = [row for part in manifest.read_downloads(engine, ["pending"], block=2) for row in part]
        assert sorted(row.specobjid for row in listed) == sorted(EDGES)


def test_the_catalogue_comes_back_as_it_went_in(url, rows, tmp_path):
    with catalogue.database(url) as engine:
        assert catalogue.replace_catalogue(engine, [rows[:15], rows[15:]]) == 40
        blocks = list(catalogue.read_catalogue(engine, block=7))
        assert [len(block) for block in blocks] == [7] * 5 + [5]
        back = pd.concat(blocks, ignore_index=True)
        expected = rows.sort_values("specObjID", ignore_index=True)
        assert back["specObjID"].tolist() == expected["specObjID"].tolist()
        for name in NAMES:
            assert back[name].fillna(-1).tolist() == expected[name].fillna(-1).tolist(), name
        write_csv(tmp_path / "out.csv", catalogue.read_catalogue(engine))
    again = answers.read_text((tmp_path / "out.csv").read_text())
    assert again.equals(expected)


def test_a_catalogue_is_replaced_whole_or_not_at_all(url, rows):
    def broken():
        yield rows[:5]
        raise SanspecError("the service went away")

    with catalogue.database(url) as engine:
        catalogue.replace_catalogue(engine, [rows])
        with pytest.raises(SanspecError, match="went away"):
            catalogue.replace_catalogue(engine, broken())
        assert catalogue.count_catalogue(engine) == 40
        assert catalogue.replace_catalogue(engine, [rows[:0]]) == 0 == catalogue.replace_catalogue(engine, [])
        assert catalogue.count_catalogue(engine) == 40, "an answer without rows replaces nothing"


def test_the_manifest_follows_the_catalogue(url, rows):
    with catalogue.database(url) as engine:
        catalogue.replace_catalogue(engine, [rows])
        assert manifest.list_downloads(engine) == 40
        listed = [one for block in manifest.read_downloads(engine, ("pending",), block=9) for one in block]
        assert [one.specobjid for one in listed] == sorted(rows["specObjID"].tolist()), "plate by plate"
        done = [Outcome(listed[0].row, "done", "sas", 2, 172800, "f" * 64)]
        failed = [Outcome(listed[1].row, "failed", "sas", 6, reason="timeout")]
        manifest.record_downloads(engine, [*done, *failed])
        manifest.record_downloads(engine, failed)
        assert manifest.count_downloads(engine) == {"pending": 38, "done": 1, "missing": 0, "failed": 1}
        assert manifest.count_reasons(engine) == {"timeout": 1} and manifest.sum_bytes(engine) == 172800
        again = next(manifest.read_downloads(engine, ("failed",)))[0]
        assert again.attempts == 12 and again.reason == "timeout"
        catalogue.replace_catalogue(engine, [rows[rows["specObjID"] != listed[5].specobjid]])
        assert manifest.list_downloads(engine) == 39
        assert manifest.count_downloads(engine)["done"] == 1, "what has arrived stays known"
        assert [one.row for one in next(manifest.read_downloads(engine, ("done",)))] == [listed[0].row]


def test_jobs_are_written_down_and_read_back(url):
    with catalogue.database(url) as engine:
        assert manifest.read_job(engine, "t") is None
        manifest.write_job(engine, "t", purpose="query", mytable="t", state="intended")
        manifest.write_job(engine, "t", remote=20000001, state="sent")
        job = manifest.read_job(engine, "t")
        assert (job.remote, job.state, job.purpose) == (20000001, "sent", "query")
        assert [one["mytable"] for one in manifest.read_jobs(engine)] == ["t"]


def test_a_database_is_opened_again_as_it_was(url, rows):
    for _ in range(2):
        with catalogue.database(url) as engine:
            catalogue.replace_catalogue(engine, [rows])
            assert catalogue.read_meta(engine, "schema") == str(catalogue.SCHEMA)


@pytest.mark.parametrize("version", [None, "2"])
def test_a_database_of_another_schema_is_refused(url, version):
    with catalogue.database(url) as engine:
        if version:
            catalogue.write_meta(engine, "schema", version)
        else:
            catalogue.Meta.__table__.drop(engine)
    with (
        pytest.raises(SanspecError, match=f"schema {version or 'none'}, this version needs 1"),
        catalogue.database(url),
    ):
        pass


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////proc/none/x.db",
        "mysql://h/x",
        "postgresql+psycopg://u@127.0.0.1:1/x",
        "not a url",
        "oracle+x://",
    ],
)
def test_a_database_that_cannot_be_had_is_one_line(url):
    with pytest.raises(SanspecError) as caught, catalogue.database(url):
        pass
    assert "acquire.database" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "secret", ["postgresql+psycopg://me:hunter2@h/x", "postgresql+psycopg://h/x?password=hunter2"]
)
def test_a_password_in_the_address_is_refused_unseen(secret):
    with pytest.raises(SanspecError, match="contains a password") as caught:
        config.validate({"acquire": {"database": secret}})
    assert "hunter2" not in str(caught.value)


def test_every_column_of_the_query_is_in_the_model():
    assert {name.lower() for name in NAMES} <= set(Galaxy.__table__.columns.keys())
    assert isinstance(Galaxy.__table__.c.specobjid.type, UInt64) and np.dtype("u8").itemsize == 8
