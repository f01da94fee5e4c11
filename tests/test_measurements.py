"""The measuring stages from the command line on a toy sky, from baselines to quality."""

import json
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

import toy
from sanspec import config, neighbours, store
from sanspec.__main__ import main
from sanspec.errors import Warn
from sanspec.spectra import grid

COUNT = 120
SHIFT = 0.004  # of the predicted spectra's redshifts


def write_predicted(path, sky, shift=SHIFT):
    """Predictions: the truth at a redshift off by SHIFT; that of the last object cannot be measured."""
    test = sky.split == 2
    flux = toy.spectrum(sky.age[test], sky.z[test] + shift)
    flux[-1] = np.nan
    with store.create(path, {}) as file:
        store.put(file, "specobjid", sky.specobjid[test][::-1], "gal")  # in an order of its own
        store.put(file, "z_draws", np.repeat(sky.z[test][::-1, None] + shift, 3, 1), "gal draw")
        store.put(file, "lsf", np.full(4500, 10 / 3), "pix", "Angstrom")
        for name in ("flux", "mean", "medoid"):
            store.put(file, name, flux[::-1].astype(np.float32), "gal pix")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """All five stages run in order; paths of their products."""
    folder = tmp_path_factory.mktemp("run")
    paths = toy.make(folder, COUNT)
    for name in ["predicted.h5", "baselines.h5", "eigenspectra.h5", "config.yaml"]:
        setattr(paths, name.split(".")[0], folder / name)
    paths.config.write_text("redshift: {components: 5, z_max: 0.2}\n")
    toy.networks(folder, paths, config.load(paths.config).train, ("regressor", "clip_fine"))
    paths.regressor, paths.record = folder / "regressor.safetensors", folder / "regressor.json"
    paths.contrastive = folder / "clip_fine.safetensors"
    write_predicted(paths.predicted, paths.sky)
    for stage in ("redshift", "indices", "quality"):
        setattr(paths, stage, SimpleNamespace(out=folder / f"{stage}.ecsv", summary=folder / f"{stage}.json"))
    for stage in STAGES:
        assert main(command(paths, stage)) == 0, stage
    return paths


STAGES = {
    "baselines": ("spectra", "images", "statistics", "regressor", "record", "contrastive"),
    "eigenspectra": ("spectra",),
    "redshift": ("spectra", "predicted", "baselines", "eigenspectra"),
    "indices": ("spectra", "predicted", "redshifts", "objects"),
    "quality": ("spectra", "predicted", "baselines", "redshifts", "objects"),
}


def command(paths, stage, **changed):
    """The command line of a stage, some of its files exchanged."""
    files = vars(paths) | {"redshifts": paths.redshift.out} | changed
    words = [stage, "--config", str(paths.config)]
    for name in STAGES[stage]:
        words += [f"--{name}", str(files[name])]
    product = getattr(paths, stage)
    if isinstance(product, SimpleNamespace):
        return words + ["--out", str(product.out), "--summary", str(product.summary)]
    return words + ["--out", str(product)]


def numbers(product):
    return json.loads(product.summary.read_text())["numbers"]


@pytest.mark.parametrize(
    ("stage", "paper"),
    [
        ("redshift", {"sigma_mad": "0.01177 (section 5.2)", "outliers_005": "0.0013 (2 of 1506)"}),
        ("quality", {"mse_predicted": "0.0107 (table 3)", "delta_bar_median": "0.055 (section 5.1)"}),
        ("indices", {"rho_dn4000": "0.91 (fig. 7, no spirals)"}),
    ],
)
def test_every_number_has_a_meaning_and_the_papers_values_are_the_papers(run, stage, paper):
    found = json.loads(getattr(run, stage).summary.read_text())
    assert set(found["numbers"]) == set(found["about"]) and all(
        one["meaning"] for one in found["about"].values()
    )
    assert paper.items() <= {name: one["paper"] for name, one in found["about"].items()}.items()


# -------------------------------------------------------------------------------- baselines


def test_the_nearest_image_gives_its_galaxy(run):
    sky, train, test = run.sky, np.flatnonzero(run.sky.split == 0), np.flatnonzero(run.sky.split == 2)
    statistics = toy.statistics(sky.images[train])
    scaled = neighbours.standardise(sky.images, *(statistics[key] for key in ("softening", "mean", "std")))
    distance = np.linalg.norm(scaled[test][:, None] - scaled[train][None], axis=2)
    nearest = train[distance.argmin(axis=1)]
    with store.arrays(run.baselines) as file:
        assert (file["nearest_image/neighbour"][:] == sky.specobjid[nearest]).all()
        assert file["nearest_image/z"][:] == pytest.approx(sky.z[nearest])
        assert file["nearest_image/flux"][:] == pytest.approx(sky.flux[nearest], rel=1e-5)
        assert file["nearest_image/distance"][:] == pytest.approx(distance.min(axis=1), rel=1e-5)


def test_the_mean_spectrum_is_normalised_and_at_rest(run):
    with store.arrays(run.baselines) as file:
        wave, mean = file["rest_wave"][:], file["mean_rest"][:]
    assert mean[(wave > 6900) & (wave < 6950)].mean() == pytest.approx(1, abs=0.01)
    line = (wave > 6555) & (wave < 6573)
    assert wave[line][np.argmax(mean[line])] == pytest.approx(6564.6, abs=1.0)


def test_the_regressor_is_asked(run):
    with store.arrays(run.baselines) as file:
        flux = file["regression/flux"][:]
    assert flux.shape == ((run.sky.split == 2).sum(), len(grid.WAVE)) and (flux > 0).all()
    assert np.median(flux) == pytest.approx(np.median(run.sky.clean), rel=0.3)


def test_a_record_of_other_weights_is_refused(run, tmp_path, capsys):
    other = tmp_path / "record.json"
    store.write_json(other, {"weights": "0" * 64})
    assert main(command(run, "baselines", record=other)) == 2
    assert "is not the record of" in capsys.readouterr().err


# -------------------------------------------------------------------------------- redshift


def test_observed_redshifts_are_true_and_predicted_ones_off_by_what_they_are(run):
    table = store.read_table(run.redshift.out)
    sky = run.sky
    assert (table["specobjid"].to_numpy() == sky.specobjid[sky.split == 2]).all()
    assert table["z_observed"].to_numpy() == pytest.approx(table["z_spec"].to_numpy(), abs=5e-4)
    measured = table["z_predicted"].notna()
    assert list(np.flatnonzero(~measured)) == [len(table) - 1]
    assert table["z_predicted_warn"].iloc[-1] == Warn.NO_REDSHIFT
    shift = (table["z_predicted"] - table["z_spec"])[measured]
    assert shift.to_numpy() == pytest.approx(SHIFT, abs=5e-4)
    assert table["z_median"].unique() == pytest.approx(np.median(sky.z[sky.split == 0]))


def test_redshift_scores_stand_under_their_documented_names(run):
    found, whole = numbers(run.redshift), json.loads(run.redshift.summary.read_text())
    assert found["sigma_mad_observed"] < 2e-4 and found["bias"] == pytest.approx(SHIFT / 1.1, rel=0.03)
    assert found["outliers_005"] == found["outliers_003"] == 0
    assert whole["predicted"]["missing"] == 1 and whole["observed"]["count"] == (run.sky.split == 2).sum()
    spread = 1.4826 * np.median(abs(run.sky.z[run.sky.split == 2] - np.median(run.sky.z)))
    assert found["sigma_mad_median_baseline"] == pytest.approx(spread / 1.1, rel=0.2)
    assert {"sigma_mad", "sigma_mad_regression", "sigma_mad_nearest_image"} <= set(found)


# -------------------------------------------------------------------------------- indices


def test_the_break_grows_with_age_in_both(run):
    table, old = store.read_table(run.indices.out), run.sky.age[run.sky.split == 2] > 0.5
    for kind in ("observed", "predicted"):
        value = table[f"dn4000_{kind}"].to_numpy()
        assert np.nanmedian(value[old]) > np.nanmedian(value[~old]) + 0.2
    assert (table["dn4000_observed_err"] > 0).all()
    assert np.isnan(table["dn4000_predicted"].iloc[-1]) and table["warn"].iloc[-1] == Warn.NO_INDEX
    assert numbers(run.indices)["rho_dn4000"] > 0.99


def test_correlations_are_given_by_morphology(run):
    found = json.loads(run.indices.summary.read_text())["dn4000"]
    counts = [found[name]["count"] for name in ("elliptical", "spiral", "uncertain")]
    assert sum(counts) == found["all"]["count"] == (run.sky.split == 2).sum() - 1


# -------------------------------------------------------------------------------- quality


def test_a_prediction_in_its_own_rest_frame_is_as_good_as_the_truth(run):
    """The shift in redshift costs nothing: what is left is the noise, which `mse_noise` foretells."""
    table, found = store.read_table(run.quality.out), numbers(run.quality)
    good = table["mse_predicted"].notna()
    assert good.sum() == len(table) - 1 == found["n_quality"]
    assert table["chi2_predicted"][good].to_numpy() == pytest.approx(1.0, abs=0.35)
    assert found["mse_predicted"] == pytest.approx(found["mse_noise"], rel=0.25)
    assert found["delta_bar_median"] == pytest.approx(0.04 * np.sqrt(2 / np.pi), rel=0.1)
    assert found["chi2_per_pixel_median"] == pytest.approx(1.0, abs=0.2)


def test_without_the_move_the_shift_costs(run):
    """In place, where no redshift is measured, the lines that stand 20 A off are an error."""
    sky, test = run.sky, run.sky.split == 2
    rest = grid.WAVE / (1 + sky.z[test][:, None])
    use = (rest >= 4000) & (rest <= 7000) & sky.mask[test]
    wrong = toy.spectrum(sky.age[test], sky.z[test] + SHIFT) - sky.flux[test]
    oracle = np.where(use, wrong, 0) ** 2
    table, found = store.read_table(run.quality.out), numbers(run.quality)
    assert table["mse_in_place_predicted"][:-1].to_numpy() == pytest.approx(
        (oracle.sum(axis=1) / use.sum(axis=1))[:-1], rel=1e-4
    )
    assert found["mse_predicted_in_place"] > 1.3 * found["mse_predicted"]


def test_baselines_are_scored_too_and_are_worse(run):
    found, table = numbers(run.quality), store.read_table(run.quality.out)
    for name in ("mean_spectrum", "nearest_image", "regression"):
        ratio = found[f"mse_predicted_over_{name}"]
        both = table["mse_predicted"].notna() & table[f"mse_{name}"].notna()
        assert ratio == pytest.approx(table["mse_predicted"][both].mean() / table[f"mse_{name}"][both].mean())
        assert 0 < ratio < 1 and 0 < found[f"mse_predicted_over_{name}_error"] < ratio
    assert found["mse_predicted"] == pytest.approx(table["mse_predicted"].mean())  # the summary's truth


def test_the_neighbour_is_scored_at_its_own_redshift(run):
    """Computed anew, by interpolation: the neighbour's spectrum moved from its redshift to the galaxy's."""
    sky, test = run.sky, np.flatnonzero(run.sky.split == 2)
    table = store.read_table(run.quality.out)
    with store.arrays(run.baselines) as file:
        flux, z = file["nearest_image/flux"][:], file["nearest_image/z"][:]
    for row, galaxy in enumerate(test[:5]):
        rest = grid.WAVE / (1 + sky.z[galaxy])
        moved = np.interp(rest, grid.WAVE / (1 + z[row]), flux[row])
        use = (rest >= 4000) & (rest <= 7000) & sky.mask[galaxy]
        oracle = np.mean((moved - sky.flux[galaxy])[use] ** 2)
        assert table["mse_nearest_image"][row] == pytest.approx(
            oracle, rel=0.1
        )  # rebinning smooths the noise


# -------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("stage", "name", "words"),
    [
        ("baselines", "images", "no file"),
        ("baselines", "statistics", "cannot read"),
        ("baselines", "regressor", "is not the record of"),
        ("eigenspectra", "spectra", "no file"),
        ("redshift", "eigenspectra", "no file"),
        ("redshift", "predicted", "no file"),
        ("indices", "redshifts", "no table"),
        ("quality", "objects", "no table"),
    ],
)
def test_a_missing_input_is_one_line(run, stage, name, words, tmp_path, capsys):
    assert main(command(run, stage, **{name: tmp_path / "none.ecsv"})) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith(f"sanspec {stage}: ") and words in said


@pytest.mark.parametrize("stage", ["redshift", "indices", "quality"])
def test_predictions_of_another_run_are_refused(run, stage, tmp_path, capsys):
    sky = toy.draw(COUNT, seed=0)
    sky.specobjid = sky.specobjid + np.uint64(7)
    write_predicted(tmp_path / "other.h5", sky)
    assert main(command(run, stage, predicted=tmp_path / "other.h5")) == 2
    assert "it is of another run" in capsys.readouterr().err


def test_images_of_other_objects_are_refused(run, tmp_path, capsys):
    with h5py.File(run.images) as old, store.create(tmp_path / "images.h5", {}) as new:
        store.put(new, "specobjid", old["specobjid"][:][::-1], "gal")
        store.put(new, "images", old["images"][:], "gal band y x")
    assert main(command(run, "baselines", images=tmp_path / "images.h5")) == 2
    assert "holds other galaxies than" in capsys.readouterr().err


def test_too_few_training_spectra_are_refused(run, tmp_path, capsys):
    (tmp_path / "config.yaml").write_text("redshift: {components: 500}\n")
    words = [
        "--config",
        str(tmp_path / "config.yaml"),
        "--spectra",
        str(run.spectra),
        "--out",
        str(tmp_path / "e.h5"),
    ]
    assert main(["eigenspectra", *words]) == 2 and "lower redshift.components" in capsys.readouterr().err
