"""The validating stage by its command line, on what untrained networks draw of the toy sky."""

import numpy as np
import pytest

import toy
from conftest import ROOT
from sanspec import config, store
from sanspec.__main__ import main
from sanspec.products.members import PREDICTORS

TINY = ROOT / "config" / "tiny.yaml"
KINDS = ("coarse", "fine", "fine_from_true")
SCORES = ("mse_single", "mse_mean", "crps", "coverage", "spread_skill", "hf_power")
NAMES = ("diff_coarse", "clip_coarse", "diff_fine", "clip_fine", "regressor")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Paths of everything the stage reads."""
    folder = tmp_path_factory.mktemp("run")
    paths = toy.make(folder, 80)
    toy.networks(folder, paths, config.load(TINY).train, NAMES)
    paths.config, paths.nets, paths.baselines = TINY, folder, folder / "baselines.h5"
    paths.regressor, paths.record = folder / "regressor.safetensors", folder / "regressor.json"
    paths.contrastive = folder / "clip_fine.safetensors"
    for name, split in (("predicted", "test"), ("valid", "valid")):
        setattr(paths, name, folder / f"{name}.h5")
        words = command(paths, "generate", "spectra images statistics nets", out=getattr(paths, name))
        assert main([*words, "--split", split, "--scores", str(folder / "s.parquet"), "--device", "cpu"]) == 0
    inputs = "spectra images statistics regressor record contrastive"
    assert main(command(paths, "baselines", inputs, out=paths.baselines)) == 0
    return paths


def command(paths, stage, names, **change):
    files = {name: getattr(paths, name) for name in ("config", *names.split())} | change
    return [stage, *(text for key, value in files.items() for text in (f"--{key}", str(value)))]


def validate(paths, folder, **change):
    inputs = "spectra images predicted valid baselines nets"
    out = {"out": folder / "validation.ecsv", "summary": folder / "validation.json", "device": "cpu"}
    return command(paths, "validate", inputs, **out | change)


@pytest.fixture(scope="module")
def made(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("validated")
    assert main(validate(run, folder)) == 0
    return store.read_json(folder / "validation.json")["numbers"], store.read_table(
        folder / "validation.ecsv"
    )


def test_every_number_of_the_summary_is_there(made):
    numbers, _ = made
    expected = {f"{score}_{kind}{end}" for score in SCORES for kind in KINDS for end in ("", "_valid")}
    expected |= {
        f"{score}_{kind}_calibrated"
        for score in ("crps", "coverage", "spread_skill")
        for kind in ("coarse", "fine")
    }
    baselines = [name for name, predictor in PREDICTORS.items() if predictor.is_baseline]
    expected |= {f"{score}_{name}" for score in ("crps", "mse_log") for name in baselines}
    expected |= {
        f"retrieval_{top}_{which}{end}"
        for top in ("top1", "top5")
        for which in ("coarse", "fine")
        for end in ("", "_valid")
    }
    expected |= {f"rho_h_alpha_{name}" for name in ("predicted", "predicted_mean", "regression", "cnn")}
    expected |= {
        "n_validated",
        "n_validated_valid",
        "spread_scale_coarse",
        "spread_scale_fine",
        "rho_dn4000_cnn",
    }
    assert set(numbers) == expected
    missing = [name for name, value in numbers.items() if value is None or not np.isfinite(value)]
    assert not missing


def test_the_table_holds_each_galaxy_and_agrees_with_the_numbers(run, made):
    numbers, table = made
    np.testing.assert_array_equal(table["specobjid"], run.sky.specobjid[run.sky.split == 2])
    assert numbers["n_validated"] == len(table) and numbers["n_validated_valid"] == int(
        (run.sky.split == 1).sum()
    )
    for kind in ("coarse", "fine", "fine_from_true"):
        for name in ("crps", "mse_single", "mse_mean", "coverage"):
            assert np.mean(table[f"{name}_{kind}"]) == pytest.approx(numbers[f"{name}_{kind}"])


def test_untrained_draws_are_noise_of_the_training_spread(run, made):
    """Their denoiser knows the mean alone, so the cascade's spread is of the size of the population's."""
    numbers, _ = made
    sky = run.sky
    spread = sky.coarse_log_flux[sky.split == 0].std(axis=0).mean() ** 2
    assert 0.3 * spread < numbers["mse_single_coarse"] < 6 * spread
    assert numbers["mse_single_fine_from_true"] < numbers["mse_single_fine"]
    assert numbers["mse_log_regression"] < numbers["mse_single_fine"]


def test_the_factor_of_the_validation_split_brings_the_test_split_near_one(made):
    numbers, _ = made
    before, after = (abs(np.log(numbers[f"spread_skill_coarse{end}"])) for end in ("", "_calibrated"))
    assert after < before or after < 0.15
    assert numbers["spread_scale_coarse"] > 0


def test_galaxies_without_a_spectrum_are_left_out(run, tmp_path):
    import h5py

    other = tmp_path / "predicted.h5"
    other.write_bytes(run.predicted.read_bytes())
    with h5py.File(other, "r+") as file:
        file["warn"][1] = int(toy_warn())
        file["draws_fine"][1] = np.nan
    assert main(validate(run, tmp_path, predicted=other)) == 0
    table = store.read_table(tmp_path / "validation.ecsv")
    assert len(table) == int((run.sky.split == 2).sum()) - 1 and np.isfinite(table["crps_fine"]).all()


def toy_warn():
    from sanspec.errors import Warn

    return Warn.NOT_GENERATED


def refused(arguments, capsys, said):
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said in lines[0], lines


def test_draws_that_were_not_kept_are_one_line(run, tmp_path, capsys):
    import h5py

    bare = tmp_path / "predicted.h5"
    bare.write_bytes(run.predicted.read_bytes())
    with h5py.File(bare, "r+") as file:
        del file["draws_fine"]
    refused(validate(run, tmp_path, predicted=bare), capsys, "set generate.keep_draws")


def test_draws_of_another_split_are_one_line(run, tmp_path, capsys):
    refused(validate(run, tmp_path, valid=run.predicted), capsys, "are not in it")
