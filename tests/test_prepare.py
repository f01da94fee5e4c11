"""The stage from files to files: the contract's datasets, splits, statistics, bad objects kept."""

import h5py
import numpy as np
import pytest

import small_survey
from sanspec import store
from sanspec.__main__ import main
from sanspec.errors import Warn
from sanspec.products import prepared
from sanspec.stages import prepare

FIBERS = range(1, 31)
NAMES = {
    "spectra": "spectra.h5",
    "images": "images.h5",
    "statistics": "statistics.json",
    "table": "objects.parquet",
}


def paths(folder):
    return {key: folder / "prepared" / name for key, name in NAMES.items()}


def run(folder, extra="", products=None):
    """match and prepare from the command line; the exit status of prepare."""
    settings, matched = folder / "config.yaml", folder / "matched"
    settings.write_text(settings.read_text() + extra)
    objects = str(matched / "objects.parquet")
    outputs = [
        "--out",
        objects,
        "--losses",
        str(matched / "losses.ecsv"),
        "--lost",
        str(matched / "lost.parquet"),
    ]
    assert main(["match", "--config", str(settings), *outputs]) == 0
    outputs = [part for key, path in (products or paths(folder)).items() for part in (f"--{key}", str(path))]
    return main(["prepare", "--config", str(settings), "--objects", objects, *outputs])


@pytest.fixture(scope="module")
def done(template, tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")
    small_survey.copy(template, folder)
    assert run(folder) == 0
    return folder


def test_every_dataset_of_the_contract(done):
    with store.arrays(paths(done)["spectra"]) as file:
        shapes = {name: (data.dtype.str[1:], data.attrs["axes"]) for name, data in file.items()}
        assert file["flux"].shape == (30, 4500) and file["coarse_log_flux"].shape == (30, 563)
        assert file["correlation"].shape == (30, 7, 4500)
        assert store.meta(file)["settings"]["fwhm"] == pytest.approx(10 / 3)
        assert all({"unit", "axes", "description"} <= set(data.attrs) for data in file.values())
    expected = {
        "specobjid": ("u8", "gal"),
        "split": ("i1", "gal"),
        "z": ("f8", "gal"),
        "z_err": ("f8", "gal"),
        "warn": ("u4", "gal"),
        "norm": ("f8", "gal"),
        "snr": ("f4", "gal"),
        "flux": ("f4", "gal pix"),
        "ivar": ("f4", "gal pix"),
        "correlation": ("f2", "gal lag pix"),
        "log_flux": ("f4", "gal pix"),
        "mask": ("b1", "gal pix"),
        "coarse_log_flux": ("f4", "gal coarse"),
        "coarse_mask": ("b1", "gal coarse"),
        "lsf": ("f4", "gal coarse"),
        "wave": ("f8", "pix"),
        "coarse_wave": ("f8", "coarse"),
        "lsf_median": ("f8", "pix"),
        "log_flux_mean": ("f8", "pix"),
        "coarse_log_flux_mean": ("f8", "coarse"),
    }
    assert shapes == expected


def test_rows_agree_between_the_files(done):
    table = store.read_table(paths(done)["table"])
    with store.arrays(paths(done)["spectra"]) as spectra, store.arrays(paths(done)["images"]) as images:
        for file in (spectra, images):
            np.testing.assert_array_equal(file["specobjid"][:], table["specobjid"])
        np.testing.assert_array_equal(spectra["split"][:], table["split"])
        np.testing.assert_array_equal(spectra["warn"][:], table["warn"])
        assert images["images"].shape == (30, 5, 64, 64) and images["images"].dtype == np.float16
        with np.load(done / "sdss.npz") as cubes:
            expected = np.moveaxis(cubes["cube"][table["row"]], -1, 1)
        np.testing.assert_allclose(images["images"][:], expected, rtol=1e-3, atol=1e-6)
    assert [(table["split"] == value).sum() for value in (0, 1, 2)] == [21, 3, 6]
    assert set(table["morphology"]) == {"spiral", "elliptical", "uncertain"}


def test_statistics_come_from_the_training_split_alone(done):
    numbers = store.read_json(paths(done)["statistics"])
    with store.arrays(paths(done)["spectra"]) as spectra, store.arrays(paths(done)["images"]) as images:
        train = spectra["split"][:] == 0
        scaled = np.arcsinh(
            images["images"][:][train].astype(float) / np.array(numbers["softening"])[:, None, None]
        )
        np.testing.assert_allclose(numbers["mean"], scaled.mean(axis=(0, 2, 3)), rtol=1e-4)
        np.testing.assert_allclose(numbers["std"], scaled.std(axis=(0, 2, 3)), rtol=1e-4)
        for kind in ("", "coarse_"):
            values = np.where(spectra[f"{kind}mask"][:], spectra[f"{kind}log_flux"][:], np.nan)[train]
            np.testing.assert_allclose(
                spectra[f"{kind}log_flux_mean"][:], np.nanmean(values, axis=0), atol=1e-6
            )
        median = np.median(spectra["lsf"][:][train], axis=0)
        np.testing.assert_allclose(spectra["lsf_median"][4:-4:8], median[:-1], rtol=5e-3)
    assert numbers["bands"] == list("ugriz")
    np.testing.assert_allclose(numbers["softening"], 0.02, rtol=0.1)  # the noise of the simulated sky
    assert numbers["counts"]["train"] == 21


def test_running_again_gives_the_same_products(done, tmp_path):
    again = {key: tmp_path / name for key, name in NAMES.items()}
    assert run(done, products=again) == 0
    with h5py.File(paths(done)["spectra"]) as first, h5py.File(again["spectra"]) as second:
        for name in first:
            np.testing.assert_array_equal(first[name][:], second[name][:])


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("template")
    small_survey.make(folder, FIBERS)
    return folder


@pytest.fixture
def survey(template, tmp_path):
    small_survey.copy(template, tmp_path)
    return tmp_path


def respoil(folder, fiber, **columns):
    """Rewrite a spectrum with some columns changed."""
    coadd = small_survey.galaxy(fiber)
    coadd |= {name: change(coadd[name].copy()) for name, change in columns.items()}
    small_survey.write_spectrum(small_survey.spectrum_path(folder, fiber), coadd, small_survey.about(fiber))


def test_bad_objects_keep_their_rows_and_the_rest_is_done(survey):
    respoil(survey, 1, flux=lambda flux: flux * np.nan)
    respoil(survey, 2, ivar=lambda ivar: ivar * 0)
    respoil(survey, 3, flux=lambda flux: -flux)
    respoil(survey, 4, ivar=lambda ivar: np.where(np.log10(4300) > small_survey.LOGLAM, 0, ivar))
    respoil(survey, 5, flux=lambda flux: np.where(np.arange(len(flux)) % 500 == 0, -50, flux))
    cube = small_survey.write_cubes(
        survey / "sdss.npz", [row["specObjID"] for row in small_survey.catalogue_rows(FIBERS)]
    )
    cube[5, 10, 10, 2] = np.nan
    cube[6, :, :, 0] = 0.0
    ids = np.array([row["specObjID"] for row in small_survey.catalogue_rows(FIBERS)], np.uint64)
    small_survey.write_cubes(survey / "sdss.npz", ids, cube=cube)
    assert run(survey) == 0
    table = store.read_table(paths(survey)["table"])
    bits = [Warn(int(value)) for value in table["warn"]]
    assert bits[:3] == [Warn.NO_SIGNAL, Warn.NO_SIGNAL, Warn.NOT_NORMALISABLE]
    assert bits[3:5] == [Warn.SHORT_COVERAGE, Warn.NONPOSITIVE_FLUX]
    assert bits[5] == bits[6] == Warn.BAD_IMAGE and not any(bits[7:])
    assert list(table["split"][:3]) == [-1] * 3 and list(table["split"][5:7]) == [-1] * 2
    assert (table["split"][7:] >= 0).all() and table["split"][3] >= 0
    with store.arrays(paths(survey)["spectra"]) as file:
        assert np.isnan(file["flux"][:3]).all() and not file["ivar"][:3].any() and not file["mask"][:3].any()
        assert np.isfinite(file["flux"][3:]).all() and np.isfinite(file["log_flux_mean"][:]).all()
    with store.arrays(paths(survey)["images"]) as file:
        assert np.isfinite(file["images"][:]).all()


def test_a_spectrum_that_vanishes_after_matching_costs_its_row(survey):
    assert run(survey) == 0
    small_survey.spectrum_path(survey, 9).unlink()
    outputs = [part for key, path in paths(survey).items() for part in (f"--{key}", str(path))]
    objects = str(survey / "matched" / "objects.parquet")
    assert main(["prepare", "--config", str(survey / "config.yaml"), "--objects", objects, *outputs]) == 0
    warn = store.read_table(paths(survey)["table"])["warn"]
    assert warn[8] == Warn.UNREADABLE and not warn.drop(8).any()


@pytest.mark.parametrize("covariance", ["test", "none"])
def test_the_covariance_may_be_stored_for_the_test_split_or_not_at_all(done, survey, covariance):
    settings = survey / "config.yaml"
    settings.write_text(settings.read_text().replace("valid: 0.1", f"valid: 0.1, covariance: {covariance}"))
    assert run(survey) == 0
    with store.arrays(paths(done)["spectra"]) as whole, store.arrays(paths(survey)["spectra"]) as part:
        assert ("correlation" in part) == (covariance == "test")
        np.testing.assert_array_equal(whole["flux"][:], part["flux"][:])
        if covariance == "test":
            test = part["split"][:] == 2
            np.testing.assert_array_equal(part["correlation"][:][test], whole["correlation"][:][test])
            assert not part["correlation"][:][~test].any()


def test_the_chunk_size_changes_nothing(done, survey, monkeypatch):
    monkeypatch.setattr(prepare, "CHUNK", 7)
    assert run(survey) == 0
    with store.arrays(paths(done)["spectra"]) as first, store.arrays(paths(survey)["spectra"]) as second:
        for name in set(first) - {"log_flux_mean", "coarse_log_flux_mean"}:
            np.testing.assert_array_equal(first[name][:], second[name][:])
        np.testing.assert_allclose(first["log_flux_mean"][:], second["log_flux_mean"][:], atol=1e-12)


def test_compressed_cubes_give_the_same_images(done, survey):
    ids = [row["specObjID"] for row in small_survey.catalogue_rows(FIBERS)]
    small_survey.write_cubes(survey / "sdss.npz", ids, compressed=True)
    assert run(survey) == 0
    with store.arrays(paths(done)["images"]) as first, store.arrays(paths(survey)["images"]) as second:
        np.testing.assert_array_equal(first["images"][:], second["images"][:])


def test_cubes_in_another_unit_are_noticed(survey, caplog):
    ids = [row["specObjID"] for row in small_survey.catalogue_rows(FIBERS)]
    rows = [row | {"fiberMag_r": 12.0} for row in small_survey.catalogue_rows(FIBERS)]
    small_survey.write_catalogue(survey / "catalogue.csv", rows)
    small_survey.write_cubes(survey / "sdss.npz", ids)
    assert run(survey) == 0
    assert "fiberMag_r differs from the images" in caplog.text
    assert abs(store.read_json(paths(survey)["statistics"])["fibre_magnitude"]["scatter"]) < 0.05


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("test: 0.2", "test: 30"), "leave no training object"),
        (("test: 0.2", "test: 1.5"), "fraction below 1"),
        (("valid: 0.1", "fwhm: 0"), "greater than 0"),
        (("valid: 0.1", "norm_min: 7000"), "must be below norm_max"),
    ],
)
def test_settings_that_cannot_be_are_one_line(done, survey, capsys, change, message):
    settings = survey / "config.yaml"
    settings.write_text(settings.read_text().replace(*change))
    outputs = [part for key, path in paths(survey).items() for part in (f"--{key}", str(path))]
    objects = str(done / "matched" / "objects.parquet")
    assert main(["prepare", "--config", str(settings), "--objects", objects, *outputs]) == 2
    assert message in capsys.readouterr().err.strip().split("\n")[-1]
    assert not (survey / "prepared").exists() or not list((survey / "prepared").iterdir())


def test_a_full_disk_is_one_line_and_leaves_nothing(survey, capsys, monkeypatch):
    def full(*anything):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepared, "write_block", full)
    assert run(survey) == 2
    assert "disk is full" in capsys.readouterr().err
    assert not list((survey / "prepared").iterdir())
