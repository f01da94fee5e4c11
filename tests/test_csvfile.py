"""Catalogue files: ids to the last digit, and every way they arrive spoilt."""

import numpy as np
import pytest

import small_survey
from sanspec.errors import SanspecError
from sanspec.survey import csvfile

ROWS = small_survey.catalogue_rows(range(1, 6))


def write(path, rows=ROWS, head="#Table1\n"):
    return small_survey.write_catalogue(path / "catalogue.csv", rows, head)


@pytest.mark.parametrize("head", ["#Table1\n", ""])
def test_ids_are_exact_and_words_ours(tmp_path, head):
    table = csvfile.read_catalogue(write(tmp_path, head=head))
    assert table["specobjid"].dtype == np.uint64 and table["objid"].dtype == np.uint64
    assert list(table["specobjid"]) == [row["specObjID"] for row in ROWS]
    assert list(table["objid"]) == [row["objID"] for row in ROWS]
    assert {"z_err", "vdisp", "vdisp_err", "snmedian_r"} <= set(table.columns)


def test_null_is_nan(tmp_path):
    table = csvfile.read_catalogue(
        write(tmp_path, [row | {"velDisp": "null"} for row in ROWS[:1]] + ROWS[1:])
    )
    assert np.isnan(table["vdisp"].iloc[0]) and table["vdisp"].iloc[1] == 150


def test_typed_column_names(tmp_path):
    """CasJobs' quick queries write [z]:Real."""
    rows = [{f"[{name}]:Real": value for name, value in row.items()} for row in ROWS]
    assert "z_err" in csvfile.read_catalogue(write(tmp_path, rows)).columns


def changed(**values):
    return [row | values for row in ROWS]


FAULTS = {
    "written by a spreadsheet": (changed(specObjID="8.45595E+17"), r"line 3: specobjid is '8\.45595E\+17'"),
    "objid rounded": (changed(objID="1.23765E+18"), "objid is '1.23765E.18'"),
    "as a float": (changed(specObjID="845594848269461504.0"), "not a whole 64-bit"),
    "cut to 15 digits": (changed(specObjID="845594848269461000"), "names no spectrum"),
    "objid cut to 15 digits": (changed(objID="1237651735759680000"), "ends in 0000"),
    "empty": (changed(specObjID=""), "specobjid is ''"),
    "negative": (changed(specObjID="-845594848269461504"), "not a whole"),
    "too large": (changed(specObjID="99999999999999999999"), "not a whole"),
    "magnitudes": (changed(z=16.8), "is it the magnitude"),
    "no redshift": ([{k: v for k, v in row.items() if k != "z"} for row in ROWS], "no column z"),
    "no rows": ([], "no rows"),
}


@pytest.mark.parametrize(("rows", "message"), FAULTS.values(), ids=FAULTS)
def test_spoilt_catalogues_are_one_line(tmp_path, rows, message):
    path = write(tmp_path, rows or ROWS)
    if not rows:
        path.write_text(path.read_text().split("\n", 2)[1] + "\n")
    with pytest.raises(SanspecError, match=message) as caught:
        csvfile.read_catalogue(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


BODIES = {
    "throttled": "error_message\nERROR: Maximum 60 queries allowed per minute. Rejected query: SELECT\n",
    "page": "<!DOCTYPE html><html>invalid request</html>",
    "json": '{"ErrorCode": 500, "ErrorType": "x"}',
    "binary": "\x89PNG\x00\x01",
    "nothing": "",
    "two of a name": "specObjID,ra,dec,z,Z\n845594848269461504,1,2,0.1,16\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_what_is_no_table_is_one_line(tmp_path, body):
    (tmp_path / "a.csv").write_text(body)
    with pytest.raises(SanspecError) as caught:
        csvfile.read_catalogue(tmp_path / "a.csv")
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_setting(tmp_path):
    with pytest.raises(SanspecError, match=r"survey\.catalogue"):
        csvfile.read_catalogue(tmp_path / "none.csv")


def test_real_replies(real_data):
    """Recorded SkyServer bodies; the CasJobs table whose z is the magnitude is refused."""
    table = csvfile.read_catalogue(real_data / "catalogues" / "xid_sp.txt")
    assert table["specobjid"].iloc[0] == 845594848269461504 and table["objid"].iloc[0] == 1237652943176138868
    with pytest.raises(SanspecError, match="no column ra"):
        csvfile.read_catalogue(real_data / "catalogues" / "casjobs_lines_2000.csv")
