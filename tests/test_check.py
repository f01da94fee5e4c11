"""Truths: they hold for a coherent run, and each is seen to break on products doctored to break it."""

import json
import logging
import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

import fake_run
from sanspec import __main__, config, store
from sanspec.errors import SanspecError, Warn
from sanspec.nets import source
from sanspec.scores import evidence, truths
from sanspec.stages import check as stage

SETTINGS = config.Config()
KEYS = ("summary", "quality", "redshifts", "indices", "objects", "predicted", "spectra")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A coherent run with its summary."""
    paths = fake_run.make(tmp_path_factory.mktemp("run"))
    tables = sorted((paths.folder / "tables").glob("*.json"))
    found = {name: value for path in tables for name, value in store.read_json(path)["numbers"].items()}
    store.write_json(paths.folder / "summary.json", found)
    (paths.folder / "prepared" / "images.h5").unlink()
    return paths


@pytest.fixture
def run(whole, tmp_path):
    """A copy to doctor."""
    folder = tmp_path / "run"
    shutil.copytree(whole.folder, folder)
    paths = {key: folder / name for key, name in fake_run.FILES.items()}
    return SimpleNamespace(folder=folder, summary=folder / "summary.json", out=folder / "check.json", **paths)


def broken(run):
    """Names of the truths that do not hold."""
    products = stage.read(run, SETTINGS)
    return {truth.name for truth in truths.examine(products, SETTINGS) if not truth.holds}


def command(run):
    (run.folder / "config.yaml").write_text("{}")
    files = [part for key in (*KEYS, "out") for part in (f"--{key}", str(getattr(run, key)))]
    return ["check", "--config", str(run.folder / "config.yaml"), *files]


def edit(path, change):
    """A table changed in place."""
    table = store.read_table(path)
    store.write_table(path, change(table))


def setting(table, column, values):
    """The table with one column replaced."""
    return table.assign(**{column: values})


# ------------------------------------------------------------------------------------------- the stage


def test_a_coherent_run_holds_every_truth(run):
    assert __main__.main(command(run)) == 0
    written = json.loads(run.out.read_text())
    assert written["broken"] == [] and written["simulated"] is True and written["run"] == "main"
    assert [truth["name"] for truth in written["truths"]] == [truth.__name__ for truth in truths.TRUTHS]
    for truth in written["truths"]:
        assert truth["holds"] is True and truth["statement"] and truth["relation"] in ("<=", ">=")


def test_a_broken_run_fails_with_one_line_and_is_still_written(run, capsys):
    numbers = store.read_json(run.summary)
    store.write_json(run.summary, numbers | {"mse_mean_spectrum": 1e-9})
    assert __main__.main(command(run)) == 2
    fault = capsys.readouterr().err.splitlines()[-1]
    assert "beats_mean" in fault and "must be <= 1" in fault
    assert json.loads(run.out.read_text())["broken"] == ["beats_mean"]


def test_the_log_says_of_each_truth_whether_it_holds(run, caplog):
    with caplog.at_level(logging.INFO):
        __main__.main(command(run))
    assert all(any(truth.__name__ in text for text in caplog.messages) for truth in truths.TRUTHS)


def test_networks_trained_by_other_code_are_named_and_break_nothing(run, caplog):
    paths = [run.folder / f"{name}.json" for name in ("diff_coarse", "clip_fine")]
    for path, digest in zip(paths, (source.digest(), "0" * 64)):
        store.write_json(path, {"network": path.stem, "source": digest})
    assert __main__.main([*command(run), "--networks", *map(str, paths)]) == 0
    assert json.loads(run.out.read_text())["other_source"] == ["clip_fine"]
    assert any("other code" in text and text.endswith("clip_fine") for text in caplog.messages)


def test_a_missing_product_is_one_line(run, capsys):
    run.predicted.unlink()
    assert __main__.main(command(run)) == 2
    assert "predicted.h5" in capsys.readouterr().err and not run.out.exists()


# --------------------------------------------------------------------------------------- doctored runs


def repeat_an_id(run):
    edit(run.quality, lambda t: setting(t, "specobjid", [t["specobjid"][1], *t["specobjid"][1:]]))


def forget_an_object(run):
    edit(run.redshifts, lambda t: t.iloc[1:])


def reorder_the_objects(run):
    edit(run.objects, lambda t: t.iloc[::-1])


def put_an_object_in_two_splits(run):
    edit(run.objects, lambda t: setting(t, "split", np.where(t.index == 0, 1, t["split"]).astype(np.int8)))


def bring_two_splits_together(run):
    def change(table):
        place = table.loc[len(table) - 1, ["ra", "dec"]].to_numpy(float)
        table.loc[0, ["ra", "dec"]] = place + [0.0, 4.9 / 3600]
        return table

    edit(run.objects, change)


def scale_one_spectrum(run):
    with h5py.File(run.spectra, "r+") as file:
        file["flux"][3] *= 1.01


def lose_the_normalisation(run):
    with h5py.File(run.spectra, "r+") as file:
        file["flux"][3] = np.nan


def brighten_the_fibres(run):
    with h5py.File(run.spectra, "r+") as file:
        file["norm"][:] *= 2


def leave_one_out_silently(run):
    with h5py.File(run.predicted, "r+") as file:
        file["flux"][0, 17] = np.nan


def leave_many_out_with_a_bit(run):
    with h5py.File(run.predicted, "r+") as file:
        file["flux"][:3] = np.nan
        file["warn"][:3] = int(Warn.NOT_GENERATED)


def darken_one_pixel(run):
    with h5py.File(run.predicted, "r+") as file:
        file["flux"][5, 1000] = -0.01


def predict_one_spectrum_for_all(run):
    with h5py.File(run.predicted, "r+") as file:
        file["flux"][:] = file["flux"][:].mean(axis=0)


def change_the_summary(**numbers):
    def change(run):
        store.write_json(run.summary, store.read_json(run.summary) | numbers)

    return change


def shuffle(key, column):
    def change(run):
        order = np.random.default_rng(1).permutation
        edit(getattr(run, key), lambda t: setting(t, column, order(t[column].to_numpy())))

    return change


def shift_observed_redshifts(run):
    noise = np.random.default_rng(2).normal(0, 0.01, 60)
    edit(run.redshifts, lambda t: setting(t, "z_observed", t["z_spec"] + noise))


def turn_the_break_round(kind):
    def change(run):
        edit(run.indices, lambda t: setting(t, f"dn4000_{kind}", 3 - t[f"dn4000_{kind}"]))

    return change


DOCTORED = {
    "ids_unique": (repeat_an_id, {"ids_agree"}),
    "ids_agree": (forget_an_object, set()),
    "ids_agree (order)": (reorder_the_objects, set()),
    "splits_disjoint": (put_an_object_in_two_splits, set()),
    "splits_apart": (bring_two_splits_together, set()),
    "normalised": (scale_one_spectrum, set()),
    "normalised (lost)": (lose_the_normalisation, set()),
    "fibre_flux": (brighten_the_fibres, set()),
    "all_predicted": (leave_one_out_silently, {"some_predicted"}),
    "some_predicted": (leave_many_out_with_a_bit, set()),
    "predictions_positive": (darken_one_pixel, set()),
    "predictions_differ": (predict_one_spectrum_for_all, set()),
    "beats_mean": (change_the_summary(mse_mean_spectrum=1e-9), set()),
    "beats_mean (none)": (change_the_summary(mse_mean_spectrum=None), set()),
    "beats_nearest": (change_the_summary(mse_nearest_image=1e-9), set()),
    "summary_true": (change_the_summary(mse_predicted=1e-9), set()),
    "observed_redshift": (shift_observed_redshifts, set()),
    "redshift_follows": (shuffle("redshifts", "z_predicted"), set()),
    "redshift_beats_median": (change_the_summary(sigma_mad=0.05), set()),
    "blue_is_young_observed": (turn_the_break_round("observed"), set()),
    "blue_is_young_predicted": (turn_the_break_round("predicted"), set()),
    "dispersion_removed": (change_the_summary(vdisp_correction_worst=0.2), set()),
    "intervals_honest": (change_the_summary(coverage_fine=0.55), set()),
    "lines_agree": (change_the_summary(h_alpha_over_ppxf=0.8), set()),
    "lines_agree (none)": (change_the_summary(h_alpha_over_ppxf=None), set()),
}


@pytest.mark.parametrize("name", DOCTORED)
def test_doctored_products_break_the_truth(run, name):
    doctor, also = DOCTORED[name]
    doctor(run)
    assert broken(run) == {name.split()[0]} | also


def test_every_truth_is_seen_to_break():
    assert {name.split()[0] for name in DOCTORED} == {truth.__name__ for truth in truths.TRUTHS}


def test_a_nan_never_holds():
    for relation in ("<=", ">="):
        assert not truths.Truth("x", "a statement", float("nan"), relation, 1.0).holds
    line = truths.broken(
        [truths.Truth("x", "a statement", 2.0, "<=", 1.0), truths.Truth("y", "", 0.0, "<=", 1.0)]
    )
    assert line == "x: a statement: 2, must be <= 1"


def test_an_excused_object_breaks_nothing(run):
    """One prediction of sixty is missing with its bit: less than the settings of this test allow."""
    with h5py.File(run.predicted, "r+") as file:
        file["flux"][0] = np.nan
        file["warn"][0] = int(Warn.NOT_GENERATED)
    lenient = config.Config(check={"predicted_fraction": 0.95})
    found = truths.examine(stage.read(run, lenient), lenient)
    assert truths.broken(found) == ""


# -------------------------------------------------------------------------------------------- evidence


@pytest.mark.parametrize("declination", [0.0, 80.0])
@pytest.mark.parametrize("apart", [0.5, 4.999, 5.001, 60.0])
def test_separations_are_astropys(declination, apart):
    one = SkyCoord(359.9999 * u.deg, declination * u.deg)
    two = one.directional_offset_by(70 * u.deg, apart * u.arcsec)
    sky = pd.DataFrame({"ra": [one.ra.deg, two.ra.deg], "dec": [one.dec.deg, two.dec.deg], "split": [0, 2]})
    assert evidence.separation(sky, 5.0) == pytest.approx(min(one.separation(two).arcsec, 5.0), abs=1e-4)
    assert evidence.separation(sky.assign(split=[0, 0]), 5.0) == 5.0
    assert evidence.separation(sky.assign(split=[0, -1]), 5.0) == 5.0


def test_a_flat_spectrum_has_the_magnitude_of_its_flux():
    """F_nu = 3631 Jy is AB magnitude 0 (Oke & Gunn 1983)."""
    wave = fake_run.WAVE
    flat = 3631e-23 * 2.99792458e18 / wave**2 / 1e-17
    flux = np.stack([flat, flat * 1e-8, np.full_like(wave, np.nan), -flat])
    flux[1, 2000:2010] = np.nan
    magnitudes = evidence.r_magnitude(flux, wave)
    assert magnitudes[:2] == pytest.approx([0.0, 20.0], abs=2e-3)
    assert np.isnan(magnitudes[2:]).all()


@pytest.mark.parametrize(("frame", "first"), [("rest", 6900 * 1.1), ("observed", 6900)])
def test_the_window_stands_in_the_frame_of_the_settings(frame, first):
    inside = evidence.in_window(fake_run.WAVE, np.array([0.1]), config.Prepare(norm_frame=frame))
    assert fake_run.WAVE[inside[0]][0] == pytest.approx(first, abs=1)


def test_masked_pixels_do_not_count_in_the_window():
    flux, inside = np.array([[1.0, np.nan, 3.0, 9.0]]), np.array([[True, True, True, False]])
    assert evidence.mean_inside(flux, inside)[0] == 2.0
    assert np.isnan(evidence.mean_inside(flux, np.zeros((1, 4), bool))[0])


def test_the_break_is_compared_between_halves_in_colour():
    colour, index = np.array([1.0, 1.1, 2.0, 2.1, np.nan]), np.array([1.2, 1.3, 1.8, 1.9, 9.0])
    assert truths.contrast(colour, index) == pytest.approx(0.6)
    assert np.isnan(truths.contrast(np.ones(3), index[:3])) and np.isnan(
        truths.contrast(colour[4:], index[4:])
    )


def test_a_run_of_no_use_raises_no_error_of_ours(run):
    """Every prediction missing: truths break, nothing crashes."""
    with h5py.File(run.predicted, "r+") as file:
        file["flux"][:] = np.nan
        file["warn"][:] = int(Warn.NOT_GENERATED)
    edit(run.redshifts, lambda t: setting(t, "z_predicted", np.nan))
    with pytest.raises(SanspecError, match="some_predicted"):
        stage.run(SimpleNamespace(**vars(run), config=config_file(run), run="main", networks=[]))


def config_file(run):
    path = run.folder / "config.yaml"
    path.write_text("{}")
    return path
