"""The query is the paper's; the two forms differ as they should; its cuts in numpy are those of the SQL."""

import json
import re
import sqlite3
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from conftest import ROOT
from loopback import tsql
from sanspec.database import query

ALL_FLAGS = (
    query.PEAKCENTER, query.NOTCHECKED, query.NOPROFILE, query.CR, query.SATURATED, query.BINNED1,
    query.DEBLEND_NOPEAK, query.PSF_FLUX_INTERP, query.INTERP_CENTER, query.BAD_COUNTS_ERROR,
)  # fmt: skip


def clauses(text):
    """A query's columns, target, conditions and tables, in lower case without white space."""
    bare = re.sub(r"--[^\n]*", " ", text).lower()
    select, _, rest = bare.partition("into")
    into, _, rest = rest.partition("from")
    tables, _, where = rest.partition("where")
    squeeze = lambda part: "".join(part.split())  # noqa: E731
    columns = {squeeze(part) for part in select.replace("select", "", 1).split(",")}
    conditions = {squeeze(part) for part in re.split(r"\band\b", where)}
    return columns, squeeze(into), conditions, {squeeze(part) for part in tables.split("join")}


def test_as_printed_is_appendix_b():
    golden = clauses((ROOT / "tests" / "golden" / "appendix_b.sql").read_text())
    ours = clauses(query.render("spectraGeneration", "MyTable_2", 0.05, 0.15, "as_printed", added=False))
    columns, into, conditions, tables = ours
    assert into == golden[1] and conditions == golden[2]
    assert columns - {"p.objid"} == golden[0] - {"sp.objid"}, (
        "the same 48 columns but for whose objID is named"
    )
    assert len(golden[0]) == len(columns) == 48
    spelt = {
        table.replace("ons.specobjid", "onsp.specobjid").replace("specobj ass", "specobjass")
        for table in tables
    }
    assert spelt == golden[3]


def test_corrected_mends_one_mask_alone():
    printed, corrected = (
        clauses(query.render("t", "l", 0.05, 0.15, form))[2] for form in ("as_printed", "corrected")
    )
    assert printed - corrected == {"(flags_r&0x100000000000)=0"}
    assert corrected - printed == {"(flags_r&0x10000000000)=0"}


def test_masks_are_the_published_bits():
    """PhotoFlags of SDSS: INTERP_CENTER is bit 44, BAD_COUNTS_ERROR bit 40, BINNED1 bit 28, CR bit 12."""
    assert query.INTERP_CENTER == 1 << 44 and query.BAD_COUNTS_ERROR == 1 << 40
    assert query.BINNED1 == 1 << 28 and query.CR == 1 << 12 and query.PSF_FLUX_INTERP == 1 << 47


def test_every_column_exists_in_the_recorded_schema(real_data):
    tables = {"S": "SpecObjAll_dr12.json", "P": "PhotoObjAll_dr12.json"}
    for alias, file in tables.items():
        rows = json.loads((real_data / "catalogues" / file).read_text())[0]["Rows"]
        known = {item["name"].lower() for item in rows}
        wanted = {c.sql.split(".")[1].lower() for c in query.COLUMNS if c.sql.startswith(f"{alias}.")}
        assert wanted and wanted <= known, wanted - known


def test_z_limits_are_settings():
    conditions = clauses(query.render("t", None, 0.02, 0.2))[2]
    assert {"s.z>=0.02", "s.z<=0.2"} <= conditions


def test_anonymous_queries_stay_under_the_limit_of_an_address():
    def cost(columns):
        return len(
            urlencode(
                {"cmd": query.render_anonymous(columns, 10**18, 10**18 + 1, 0.05, 0.15), "format": "csv"}
            )
        )

    for length in (2048, 1500, 1100):
        groups = query.groups(length, cost)
        assert all(cost(group) <= length and group[0].name == "specObjID" for group in groups)
        assert {column.name for group in groups for column in group} == set(query.NAMES)
    with pytest.raises(ValueError, match="alone"):
        query.groups(300, cost)


def table(flags, z, errors):
    """Rows that pass but for what is given."""
    rows = {column.name: np.full(len(flags), 1.5) for column in query.COLUMNS}
    rows |= {"flags_r": np.array(flags, np.uint64), "z": np.array(z), "psfMagErr_r": np.array(errors)}
    rows |= {"specObjID": np.arange(len(flags)).astype(np.uint64), "instrument": ["SDSS"] * len(flags)}
    return pd.DataFrame(rows)


@hypothesis_settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.lists(st.sampled_from(ALL_FLAGS)),
            st.floats(0.03, 0.17),
            st.one_of(st.none(), st.floats(0, 0.5)),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_the_cuts_in_numpy_are_those_of_the_sql(rows):
    flags = [
        int(np.bitwise_or.reduce(np.array([*f, query.BINNED1 if len(f) % 3 else 0]))) for f, _, _ in rows
    ]
    frame = table(flags, [z for _, z, _ in rows], [np.nan if e is None else e for _, _, e in rows])
    connection = sqlite3.connect(":memory:")
    connection.execute("ATTACH ':memory:' AS mydb")
    wide = frame.assign(objID=frame["specObjID"], bestObjID=frame["specObjID"], mode=1, logMass=1.0)
    wide["class"] = "GALAXY"
    for name in ("SpecObj", "PhotoObjAll"):
        wide.drop(
            columns=[c for c in wide if name == "PhotoObjAll" and c in ("z", "instrument", "specObjID")]
        ).astype({c: "int64" for c in ("objID", "flags_r", "bestObjID")}).to_sql(
            name, connection, index=False
        )
    zoo = ["p_mg", "p_el_debiased", "p_cs_debiased", "spiral", "elliptical", "uncertain"]
    wide[["specObjID", *zoo]].to_sql("zooSpec", connection, index=False)
    for name in list(query._INNER.values())[1:]:
        wide[["specObjID", "logMass"]].to_sql(name, connection, index=False)
    for form in (*query.FORMS, "either"):
        statement, _ = tsql.translate(ambiguous(query.render("t", None, 0.05, 0.15, form)))
        found = {row[0] for row in connection.execute(statement)}
        masks = [
            query.passes(frame, one, 0.05, 0.15) for one in (query.FORMS if form == "either" else (form,))
        ]
        assert found == set(np.flatnonzero(np.any(masks, axis=0)).tolist())
    connection.close()


def ambiguous(text):
    """`flags_r` belongs to PhotoObjAll; the toy SpecObj of the test has it too."""
    return re.sub(r"(?<!\.)\bflags_r\b(?=\s*&)", "P.flags_r", text)


def test_a_null_fails_as_in_sql():
    frame = table([query.BINNED1] * 3, [0.1, np.nan, 0.1], [0.02] * 3)
    frame.loc[2, "petroRad_u"] = np.nan
    assert query.passes(frame, "corrected", 0.05, 0.15).tolist() == [True, False, False]
