"""The join: exact, complete, and every object that goes in is either kept or lost for a named reason."""

import numpy as np
import pandas as pd
import pytest

import small_survey
from sanspec import store
from sanspec.__main__ import main
from sanspec.errors import Warn, reasons
from sanspec.survey import sdss
from sanspec.survey.matching import count_reasons

FIBERS = range(1, 13)


def specobjid(fiber):
    return int(sdss.pack(small_survey.PLATE, small_survey.MJD, fiber, small_survey.RUN))


def run(folder, extra=""):
    """The stage from the command line; its exit status and products."""
    settings = folder / "config.yaml"
    settings.write_text(settings.read_text() + extra)
    out = folder / "matched"
    paths = [str(out / name) for name in ("objects.parquet", "losses.ecsv", "lost.parquet")]
    status = main(
        ["match", "--config", str(settings), "--out", paths[0], "--losses", paths[1], "--lost", paths[2]]
    )
    return (status, *(store.read_table(path) for path in paths)) if status == 0 else (status,)


def lost_because(lost, fiber):
    """Reasons of a lost object."""
    rows = lost[lost["specobjid"] == specobjid(fiber)]
    return [reason for bits in rows["warn"] for reason in reasons(bits)]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template")
    small_survey.make(folder, FIBERS)
    return folder


@pytest.fixture
def survey(template, tmp_path):
    small_survey.copy(template, tmp_path)
    return tmp_path


def rewrite(folder, fiber, **changed):
    small_survey.write_spectrum(
        small_survey.spectrum_path(folder, fiber),
        small_survey.galaxy(fiber),
        small_survey.about(fiber, **changed),
    )


def test_a_whole_survey_is_kept_in_the_order_of_the_cubes(survey):
    order = np.random.default_rng(0).permutation(FIBERS)
    cube = small_survey.write_cubes(survey / "sdss.npz", [specobjid(fiber) for fiber in order])
    status, objects, losses, lost = run(survey)
    assert status == 0 and not len(losses) and not len(lost) and len(cube) == len(objects)
    np.testing.assert_array_equal(objects["row"], np.arange(12))
    assert list(objects["specobjid"]) == [specobjid(fiber) for fiber in order]
    assert objects["specobjid"].dtype == objects["objid"].dtype == np.uint64
    assert objects["file"].iloc[0] == sdss.file_name(751, 52251, order[0])
    assert {"z", "z_err", "zwarning", "plate", "mjd", "fiberid", "run2d", "snmedian_r", "spiral"} <= set(
        objects
    )


def test_every_defect_is_lost_for_its_reason_and_nothing_else_is(survey):
    rewrite(survey, 1, CLASS="QSO")
    rewrite(survey, 2, INSTRUMENT="BOSS")
    rewrite(survey, 3, ZWARNING=5)
    rewrite(survey, 4, PLATEQUALITY="bad")
    small_survey.spectrum_path(survey, 5).unlink()
    small_survey.spectrum_path(survey, 6).write_bytes(b"SIMPLE  =                    T")
    rewrite(survey, 7, FIBERID=8)
    rows = small_survey.catalogue_rows(FIBERS)
    rows[7]["z"], rows[8]["z"] = 0.05, "null"
    small_survey.write_catalogue(
        survey / "catalogue.csv", [row for row in rows if row["specObjID"] != specobjid(12)]
    )
    small_survey.write_cubes(survey / "sdss.npz", [specobjid(fiber) for fiber in FIBERS if fiber != 10])
    status, objects, losses, lost = run(survey)
    assert status == 0 and list(objects["specobjid"]) == [specobjid(4), specobjid(11)]
    assert list(objects["warn"]) == [Warn.BAD_PLATE, 0]  # tolerated, flagged
    expected = {
        1: ["not_galaxy"],
        2: ["not_sdss"],
        3: ["zwarning", "sky_fibre"],
        5: ["unreadable"],
        6: ["unreadable"],
        7: ["wrong_object"],
        8: ["outside_z"],
        9: ["outside_z"],
        10: ["no_cube"],
        12: ["no_catalogue"],
    }
    assert {fiber: lost_because(lost, fiber) for fiber in expected} == expected and len(lost) == 10
    counts = dict(zip(losses["reason"], losses["count"]))
    assert counts["unreadable"] == counts["outside_z"] == 2 and counts["sky_fibre"] == 1
    meta = losses.attrs["meta"]["counts"]
    assert meta["kept"] == 2 and meta["lost"] == 10 and meta["flagged"] == {"bad_plate": 1}


def test_what_is_tolerated_is_a_setting(survey):
    rewrite(survey, 1, PLATEQUALITY="bad")
    rewrite(survey, 2, ZWARNING=16)
    _, objects, _, lost = run(survey, "match: {tolerate: [zwarning]}\n")
    assert lost_because(lost, 1) == ["bad_plate"]
    assert objects.set_index("specobjid")["warn"][specobjid(2)] == Warn.ZWARNING


def test_duplicates_keep_the_best_spectrum(survey):
    """Of one objid the highest snMedian_r, then the lowest specobjid; of one specobjid the first row."""
    rows = small_survey.catalogue_rows(FIBERS)
    for fiber, snr in ((1, 10), (2, 30), (3, 20), (4, 25), (5, 25)):
        rows[fiber - 1]["snMedian_r"] = snr
        rows[fiber - 1]["objID"] = 1237650000000009999 if fiber < 4 else 1237650000000009998
    small_survey.write_catalogue(survey / "catalogue.csv", rows + [rows[7] | {"velDisp": 1.0}])
    small_survey.write_cubes(survey / "sdss.npz", [specobjid(fiber) for fiber in [*FIBERS, 9]])
    _, objects, losses, lost = run(survey)
    kept = [sdss.unpack(np.uint64(value))["fiberid"].item() for value in objects["specobjid"]]
    assert kept == [2, 4, 6, 7, 8, 9, 10, 11, 12]
    assert dict(zip(losses["reason"], losses["count"])) == {"duplicate": 5}
    assert objects.set_index("specobjid")["vdisp"][specobjid(8)] == 150
    assert set(lost.loc[lost["specobjid"] == specobjid(9), "row"]) == {12}


def test_a_bad_spectrum_does_not_beat_a_good_duplicate(survey):
    rows = small_survey.catalogue_rows(FIBERS)
    rows[1]["objID"] = rows[0]["objID"]
    small_survey.write_catalogue(survey / "catalogue.csv", rows)
    rewrite(survey, 2, ZWARNING=4)  # of the higher S/N
    _, objects, _, lost = run(survey)
    assert specobjid(1) in set(objects["specobjid"]) and lost_because(lost, 2) == ["zwarning"]


def test_ids_that_float64_confuses_stay_apart(survey):
    """Two cubes whose ids differ in the last bits only: neighbours in float64 are the same number."""
    ids = np.array([specobjid(fiber) for fiber in FIBERS], np.uint64)
    near = ids + np.uint64(1)
    assert (near.astype(float) == ids.astype(float)).all()
    small_survey.write_cubes(survey / "sdss.npz", np.concatenate([near, ids]))
    _, objects, losses, _ = run(survey)
    np.testing.assert_array_equal(objects["row"], np.arange(12, 24))
    assert dict(zip(losses["reason"], losses["count"])) == {"no_catalogue": 12}


def test_the_paper_s_query_is_enough(survey):
    """It selects neither plate, mjd, fiberID, zWarning nor snMedian_r: they come from ids and files."""
    keep = ("specObjID", "objID", "ra", "dec", "z", "zerr")
    rows = [{name: row[name] for name in keep} for row in small_survey.catalogue_rows(FIBERS)]
    small_survey.write_catalogue(survey / "catalogue.csv", rows)
    _, objects, _, _ = run(survey)
    assert len(objects) == 12 and list(objects["snmedian_r"]) == [20 + fiber for fiber in FIBERS]


def test_spectra_that_nobody_asked_for_are_listed(survey):
    other = survey / "spectra" / sdss.file_name(266, 51602, 1)
    small_survey.write_spectrum(other, small_survey.galaxy(1), small_survey.about(1))
    _, _, _, lost = run(survey)
    assert (
        list(lost["file"]) == ["0266/spec-0266-51602-0001.fits"] and lost["reasons"].iloc[0] == "no_catalogue"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [row | {"specObjID": "8.45595E+17"} for row in rows], "spreadsheet"),
        (lambda rows: [row | {"z": 0.12} for row in rows], "is not the spectrum's redshift in 12 of 12"),
        (lambda rows: [row | {"specObjID": specobjid(100 + i)} for i, row in enumerate(rows)], "none of 12"),
    ],
)
def test_spoilt_catalogues_stop_with_one_line(survey, capsys, change, message):
    small_survey.write_catalogue(survey / "catalogue.csv", change(small_survey.catalogue_rows(FIBERS)))
    assert run(survey) == (2,)
    error = capsys.readouterr().err.strip().split("\n")[-1]
    assert error.startswith("sanspec match: ") and message in error
    assert not (survey / "matched").exists() or not list((survey / "matched").iterdir())


def test_losses_are_counted_by_bit():
    table = pd.DataFrame({"warn": [int(Warn.NO_CUBE | Warn.OUTSIDE_Z), int(Warn.OUTSIDE_Z), 0]})
    assert list(count_reasons(table["warn"]).itertuples(index=False, name=None)) == [
        ("outside_z", 2),
        ("no_cube", 1),
    ]
