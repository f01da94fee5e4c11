"""The generating stage by its command line: products, FITS files, determinism, bad input."""

import h5py
import numpy as np
import pytest
from astropy.io import fits
from specutils import Spectrum

import toy
from conftest import ROOT
from sanspec import config, store
from sanspec.__main__ import main
from sanspec.errors import Warn
from sanspec.nets import predict

TINY = ROOT / "config" / "tiny.yaml"
NAMES = predict.CASCADE
FINE = 5 + 2 * 3  # draws of config/tiny.yaml: one for each coarse draw, three for each of the two kept


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    return toy.make(tmp_path_factory.mktemp("toy"), 80)


@pytest.fixture(scope="module")
def nets(sky, tmp_path_factory):
    """Networks of config/tiny.yaml, not trained."""
    return toy.networks(tmp_path_factory.mktemp("nets"), sky, config.load(TINY).train, NAMES)


def command(sky, nets, folder, settings=TINY, **change):
    files = {
        "config": settings,
        "spectra": sky.spectra,
        "images": sky.images,
        "statistics": sky.statistics,
        "nets": nets,
        "out": folder / "predicted.h5",
        "scores": folder / "scores.parquet",
        "device": "cpu",
    } | change
    return ["generate", *(text for key, value in files.items() for text in (f"--{key}", str(value)))]


@pytest.fixture(scope="module")
def made(sky, nets, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    assert main(command(sky, nets, folder, fits=folder / "fits")) == 0
    return folder


def read(folder):
    with store.arrays(folder / "predicted.h5") as file:
        return {name: file[name][:] for name in file}


def test_products_have_the_shapes_and_meanings_of_the_contract(sky, made):
    held = read(made)
    test = sky.sky.split == 2
    np.testing.assert_array_equal(held["specobjid"], sky.sky.specobjid[test])
    count = int(test.sum())
    for name in ("flux", "mean", "medoid", "std", "low", "high"):
        assert held[name].shape == (count, 4500) and np.isfinite(held[name]).all() and (held[name] > 0).all()
    assert (held["low"] < held["high"]).all()
    assert held["draws_coarse"].shape == (count, 5, 563) and held["draws_fine"].shape == (count, FINE, 4500)
    assert (
        held["score_coarse"].shape == (count, 5)
        and held["score_fine"].shape == (count, FINE) == held["parent"].shape
    )
    rows = np.arange(count)
    chosen = held["draws_fine"][rows, held["best"]].astype(np.float64)
    np.testing.assert_allclose(np.log(held["flux"]), chosen, atol=3e-3)
    assert held["selected"][rows, held["best"]].all() and (held["warn"] == 0).all()
    np.testing.assert_allclose(held["lsf"], 10 / 3, rtol=1e-6)
    with store.arrays(made / "predicted.h5") as file:
        assert set(store.meta(file)["nets"]) == set(NAMES) and file["wave"].attrs["unit"] == "Angstrom"


def test_the_table_of_scores_tells_every_draw(sky, made):
    table, held = store.read_table(made / "scores.parquet"), read(made)
    count = len(held["specobjid"])
    assert len(table) == count * (5 + FINE) and table["specobjid"].dtype == np.uint64
    for stage, draws, chosen in (("coarse", 5, 2), ("fine", FINE, 1)):
        part = table[table["stage"] == stage]
        assert (part.groupby("specobjid")["chosen"].sum() == chosen).all() and len(part) == count * draws
        np.testing.assert_array_equal(part["score"].to_numpy().reshape(count, draws), held[f"score_{stage}"])
    best = table[(table["stage"] == "fine") & table["chosen"]].set_index("specobjid").loc[held["specobjid"]]
    np.testing.assert_array_equal(best["draw"], held["best"])


def test_specutils_opens_every_fits_file(made):
    held = read(made)
    files = sorted((made / "fits").iterdir())
    assert [path.name for path in files] == sorted(f"{number}.fits" for number in held["specobjid"])
    for row, number in enumerate(held["specobjid"]):
        spectrum = Spectrum.read(made / "fits" / f"{number}.fits")
        np.testing.assert_allclose(spectrum.spectral_axis.to_value("Angstrom"), held["wave"], rtol=1e-9)
        np.testing.assert_allclose(spectrum.flux.value, held["flux"][row], rtol=1e-6)
        np.testing.assert_allclose(spectrum.uncertainty.array, held["std"][row], rtol=1e-6)
        with fits.open(made / "fits" / f"{number}.fits") as file:
            assert (
                file[0].header["OBJECT"] == str(number)
                and "not observed" in file[0].header.comments["ORIGIN"]
            )
            assert [hdu.name for hdu in file[1:]] == ["STD", "MEAN", "MEDOID", "LSF"]


def test_two_processes_draw_what_one_does(sky, nets, made, tmp_path):
    assert main(command(sky, nets, tmp_path, threads=2)) == 0
    one, two = read(made), read(tmp_path)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)


def test_some_galaxies_are_drawn_as_all_are(sky, nets, made, tmp_path):
    assert main(command(sky, nets, tmp_path, limit=3)) == 0
    all_of, some = read(made), read(tmp_path)
    rows = np.flatnonzero(np.isin(all_of["specobjid"], some["specobjid"]))
    assert len(rows) == 3
    for name in ("flux", "draws_coarse", "draws_fine", "score_fine", "best"):
        np.testing.assert_array_equal(some[name], all_of[name][rows], err_msg=name)


def test_draws_need_not_be_kept(sky, nets, tmp_path):
    settings = tmp_path / "c.yaml"
    settings.write_text(TINY.read_text().replace("generate:\n", "generate:\n  keep_draws: false\n"))
    assert main(command(sky, nets, tmp_path, settings=settings, split="valid", limit=2)) == 0
    held = read(tmp_path)
    assert "draws_fine" not in held and held["flux"].shape == (2, 4500)
    assert len(store.read_table(tmp_path / "scores.parquet")) == 2 * (5 + FINE)


def test_an_image_with_nan_keeps_its_row_and_gets_a_bit(sky, nets, tmp_path):
    other = toy.make(tmp_path / "toy", sky=sky.sky)
    row = int(np.flatnonzero(sky.sky.split == 2)[1])
    with h5py.File(other.images, "r+") as file:
        file["images"][row, 2, 10, 10] = np.nan
        file["images"][row + 1] = 0.1  # constant: drawn all the same
    assert main(command(other, nets, tmp_path, fits=tmp_path / "fits")) == 0
    held = read(tmp_path)
    assert held["warn"].tolist() == [0, int(Warn.NOT_GENERATED), *([0] * (len(held["warn"]) - 2))]
    assert np.isnan(held["flux"][1]).all() and held["best"][1] == -1 and np.isfinite(held["flux"][2]).all()
    assert len(list((tmp_path / "fits").iterdir())) == len(held["warn"]) - 1


# ------------------------------------------------------------------------------------------- bad input


def refused(arguments, capsys, said):
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said in lines[0], lines


def test_a_checkpoint_of_another_preset_is_one_line(sky, nets, tmp_path, capsys):
    settings = tmp_path / "c.yaml"
    settings.write_text(TINY.read_text().replace("latent: 16", "latent: 24"))
    refused(
        command(sky, nets, tmp_path, settings=settings),
        capsys,
        "train.clip_coarse.latent=16, the settings say 24",
    )
    assert not (tmp_path / "predicted.h5").exists()


def test_a_checkpoint_cut_short_or_missing_is_one_line(sky, nets, tmp_path, capsys):
    for name in NAMES:
        (tmp_path / f"{name}.safetensors").write_bytes((nets / f"{name}.safetensors").read_bytes())
    path = tmp_path / "clip_fine.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    refused(command(sky, tmp_path, tmp_path), capsys, "clip_fine.safetensors is not a whole safetensors file")
    path.unlink()
    refused(command(sky, tmp_path, tmp_path), capsys, "no checkpoint")


def test_spectra_on_another_grid_are_refused(sky, nets, tmp_path, capsys):
    other = toy.make(tmp_path / "toy", sky=sky.sky)
    with h5py.File(other.spectra, "r+") as file:
        file["wave"][:] = file["wave"][:] + 0.5
    refused(command(other, nets, tmp_path), capsys, "another wavelength grid")


def test_keeping_more_draws_than_are_made_is_refused(sky, nets, tmp_path, capsys):
    settings = tmp_path / "c.yaml"
    settings.write_text(TINY.read_text().replace("keep: 2", "keep: 6"))
    refused(command(sky, nets, tmp_path, settings=settings), capsys, "keep=6 must not exceed draws=5")
