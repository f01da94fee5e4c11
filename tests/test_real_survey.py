"""match and prepare over every real spectrum: the galaxies in the window stay, each other has a reason."""

import csv
from collections import Counter

import numpy as np
import pytest

import small_survey
from sanspec import store
from sanspec.__main__ import main
from sanspec.errors import reasons

REASON = {"sdss_qso_star": "not_galaxy", "boss_eboss": "not_sdss", "sky_fibres": "sky_fibre"}
REASON |= {"califa_lowz": "outside_z", "galaxy_outside_window": "outside_z"}


@pytest.fixture(scope="module")
def survey(real_data, tmp_path_factory):
    """A catalogue of all real spectra, with cubes of noise; the folder and the index."""
    folder = tmp_path_factory.mktemp("real")
    with open(real_data / "spectra" / "index.csv") as file:
        index = list(csv.DictReader(file))
    names = {"specObjID": "specObjID", "ra": "ra", "dec": "dec", "z": "z", "zerr": "z_err"}
    rows = [{ours: row[theirs] for ours, theirs in names.items()} for row in index]
    small_survey.write_catalogue(folder / "catalogue.csv", rows)
    small_survey.write_cubes(folder / "sdss.npz", np.array([row["specObjID"] for row in rows], np.uint64))
    small_survey.write_settings(folder)
    settings = (folder / "config.yaml").read_text()
    settings = settings.replace(f"{folder}/spectra", str(real_data / "spectra"))
    (folder / "config.yaml").write_text(settings)
    return folder, index


def run(folder, stage, **paths):
    options = [part for name, path in paths.items() for part in (f"--{name}", str(folder / path))]
    assert main([stage, "--config", str(folder / "config.yaml"), *options]) == 0


def test_the_twelve_stay_and_are_prepared(survey):
    folder, index = survey
    run(folder, "match", out="objects.parquet", losses="losses.ecsv", lost="lost.parquet")
    products = {"spectra": "s.h5", "images": "i.h5", "statistics": "s.json", "table": "t.parquet"}
    run(folder, "prepare", objects="objects.parquet", **products)
    kept, lost = store.read_table(folder / "t.parquet"), store.read_table(folder / "lost.parquet")
    inside = {int(row["specObjID"]) for row in index if row["file"].startswith("window_005_015")}
    assert set(kept["specobjid"]) == inside and len(inside) == 12 and len(lost) == len(index) - 12
    assert (kept["split"] >= 0).all()
    why = dict(zip(lost["specobjid"], lost["reasons"]))
    for row in index:
        expected = REASON.get(row["file"].split("/")[0])
        assert expected is None or expected in why[int(row["specObjID"])], row["file"]
    flags = Counter(reason for bits in kept["warn"] for reason in reasons(bits))
    assert flags["bad_plate"] == 2 and flags["lsf_broad"] == 2
    with store.arrays(folder / "s.h5") as file:
        assert np.isfinite(file["flux"][:]).all() and (file["ivar"][:] > 0).mean() > 0.97
