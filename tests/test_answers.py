"""Answers of SQL services are read completely or not at all; each form of an error is told from the others."""

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from loopback.server import HTML, THROTTLE
from loopback_sky import lines, row
from sanspec.archive import answers
from sanspec.archive.answers import SqlError, TooLarge
from sanspec.archive.casjobs_rest import RestCasJobs
from sanspec.archive.session import Transient
from sanspec.database.query import COLUMNS, END, TOTAL, Column
from sanspec.errors import SanspecError

FEW = (
    Column("specObjID", "S.specObjID", "id"),
    Column("z", "S.z", "real"),
    Column("class", "S.class", "text"),
)


def read(text, columns=FEW):
    return answers.read_text(text, columns)


def test_rows_are_typed_and_ids_exact():
    big = 2**64 - 1
    frame = read(f"#Table1\nspecObjID,z,class\n{big},6.06623E-06,GALAXY\n845594848269461504,null,null\n")
    assert frame["specObjID"].tolist() == [big, 845594848269461504] and frame["specObjID"].dtype == np.uint64
    assert (
        frame["z"][0] == 6.06623e-06 and np.isnan(frame["z"][1]) and frame["class"].tolist() == ["GALAXY", ""]
    )


def test_recorded_skyserver_answers_are_read(real_data):
    """astroquery's recorded bodies: `#Table1`, then names, then rows."""
    text = (real_data / "catalogues" / "xid_sp.txt").read_text()
    names = text.splitlines()[1].split(",")
    kinds = {"objid": "id", "specobjid": "id", "run2d": "text", "instrument": "text"}
    frame = read(text, [Column(name, name, kinds.get(name, "real")) for name in names])
    assert frame["specobjid"].tolist() == [845594848269461504] and frame["objid"][0] == 1237652943176138868


def test_recorded_casjobs_output_is_read(real_data):
    with (real_data / "catalogues" / "casjobs_lines_2000.csv").open(newline="") as file:
        names = file.readline().strip().split(",")
        ids = ("specObjID", "objid")
        columns = [Column(name, name, "id" if name in ids else "real") for name in names]
        file.seek(0)
        blocks = list(answers.read(file, columns, block=500))
    assert sum(map(len, blocks)) == 2018 and len(blocks) == 5
    assert blocks[0]["specObjID"][0] == 299569117160040448


def test_typed_headers_of_quick_jobs_are_understood():
    assert read("[specObjID]:Long,[z]:Real,[class]:String\n7,0.1,GALAXY\n")["z"].tolist() == [0.1]


def test_zero_rows_keep_the_columns():
    frame = read("#Table1\nspecObjID,z,class\n")
    assert (
        len(frame) == 0
        and list(frame) == ["specObjID", "z", "class"]
        and frame["specObjID"].dtype == np.uint64
    )


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (HTML.decode(), Transient, "HTML page"),
        ("\n\n<!DOCTYPE html><html></html>", Transient, "HTML page"),
        ('{"ErrorMessage": "x"}', Transient, "JSON"),
        ("", Transient, "empty"),
        (THROTTLE.decode(), Transient, "throttled"),
        ("#Table1\nerror_message\n\"ERROR: Invalid column name 'foo'.\"\n", SqlError, "Invalid column name"),
        ('error_message\n"Timeout expired"\n', TooLarge, "Timeout"),
        ("specObjID,z,class\n7,0.1\n", Transient, "cut short"),
        ("specObjID,z,class\n7,0.1,A\n#Table2\nspecObjID,z,class\n", SqlError, "several tables"),
        ("specObjID,z,class,z\n7,0.1,GALAXY,17.2\n", SanspecError, "twice: z"),
        ("specObjID,z,class,z1\n7,17.2,GALAXY,0.1\n", SanspecError, "unknown: z1"),
        ("specObjID,class\n7,GALAXY\n", SanspecError, "missing: z"),
        ("specObjID,z,class\n1.23765E+18,0.1,GALAXY\n", SanspecError, r"specObjID holds '1\.23765E\+18'"),
        ("specObjID,z,class\n1.0,0.1,GALAXY\n", SanspecError, "whole number"),
        ("specObjID,z,class\n99999999999999999999,0.1,GALAXY\n", SanspecError, "whole number"),
        ("specObjID,z,class\n7,zero,GALAXY\n", Transient, "not numeric"),
    ],
)
def test_whatever_is_no_answer_is_told_apart(text, kind, words):
    with pytest.raises(kind, match=words):
        read(text)


def test_a_throttled_query_waits_a_minute():
    with pytest.raises(Transient) as caught:
        read(THROTTLE.decode())
    assert caught.value.retry_after == 60


@pytest.mark.parametrize("guard", [END, TOTAL])
def test_an_answer_cut_anywhere_is_never_taken_for_a_whole_one(guard):
    """Every prefix of an answer raises, or gives all rows, or (by END) fewer whole ones, or none at all."""
    rows = [
        f"{10**17 + 1024 * n},0.1234{n},GALAXY," + ("end" if guard is END else "1000000012")
        for n in range(12)
    ]
    text = "\n".join([f"specObjID,z,class,{guard.name}", *rows]) + "\n"
    whole = read(text, [*FEW, guard])
    assert len(whole) == 12 and guard.name not in whole
    for end in range(len(text) - 1):
        try:
            found = read(text[:end], [*FEW, guard])
        except (Transient, SanspecError):
            continue
        if len(found):
            assert found.equals(whole[: len(found)]) and (guard is END or len(found) == 12)
        else:  # such an answer is asked for again
            assert text[:end].rstrip("\n") == text.splitlines()[0]


class Recorded(RestCasJobs):
    """CasJobs that answers queries with the given texts, one per try."""

    def __init__(self, *texts):
        self.texts = iter(texts)

    def _ask(self, text, read):
        for answer in self.texts:
            with suppress(Transient):
                return read(answer)


def test_a_count_cut_short_is_asked_again():
    assert Recorded("n,fin\n60", "n,fin\n600,en", "n,fin\n600,end\n").count("t") == 600


def test_ids_read_back_are_exact_or_none():
    key, names = 2**63 + 1025, ("specObjID", "objID")
    head = "specObjID,objID,fin\n"
    assert Recorded(f"{head}{key},7,e", head, f"{head}{key},7,end\n").row("t", names, key) == (key, 7)
    assert Recorded(f"{head}{float(key)},7.0,end\n").row("t", names, key) == ()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"ErrorCode": 500, "ErrorMessage": "Invalid object name \'X\'."}', "Invalid object name 'X'."),
        (b'{"Error Code": 500, "Error Message": "There is already"}', "There is already"),
        (b"System.Exception: Bad login ---> System.Data\n at x", "Bad login"),
        (b"<html><style>a{}</style><body><h2>An error</h2>occured</body></html>", "An error occured"),
        (b"\xff\xfeplain", "plain"),
    ],
)
def test_error_bodies_become_one_line(body, words):
    assert words in answers.text_of(body) and "\n" not in answers.text_of(body)


def test_a_time_limit_is_told_from_other_errors():
    with pytest.raises(TooLarge):
        answers.complain("Execution Timeout Expired. The timeout period elapsed", 500)
    with pytest.raises(SqlError, match="Invalid"):
        answers.complain("Invalid column name", 500)


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("0123456789 .E+"))))
def test_an_id_is_exact_or_refused(text):
    try:
        found = answers._values([text], COLUMNS[1])
    except SanspecError:
        return
    assert int(text) == int(found[0]) < 2**64


def test_memory_holds_a_block_at_a_time():
    one = ",".join(row(1, np.ones((64, 64, 5), np.float32)).values())
    text = ",".join(column.name for column in COLUMNS) + "\n" + 250 * f"{one}\n"
    sizes = [len(block) for block in answers.read(io.StringIO(text, newline=""), block=100)]
    assert sizes == [100, 100, 50] and next(iter(answers.read(lines(text)))).shape == (250, len(COLUMNS))
