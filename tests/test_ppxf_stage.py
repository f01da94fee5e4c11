"""The stages ppxf and stellar-merge on a small product tree: pairs, shards, rows that keep their warnings."""

import numpy as np
import pandas as pd
import pytest
import yaml

from populations import library_path
from sanspec import __main__ as cli
from sanspec import store
from sanspec.config import Stellar
from sanspec.errors import SanspecError, reasons
from sanspec.products.members import Members
from sanspec.spectra import grid
from sanspec.stellar import models, results
from sanspec.stellar.library import open_library
from sanspec.stellar.resampling import chosen
from sanspec.stellar.shards import shard
from sanspec.stellar.spectra import pair_noise
from sanspec.stellar.spectra import pairs as pairs_of
from test_ppxf_fit import Z, made

IDS = np.array([30, 10, 20, 2**63 + 7], np.uint64)
BROKEN = 20  # the object whose observed spectrum is masked and whose prediction is NaN
SETTINGS = {"stellar": {"ppxf": {"draws": 3, "bootstrap_objects": 1}}}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """prepared, generated and tables of four test objects and one training object."""
    folder = tmp_path_factory.mktemp("run")
    library = open_library(library_path(), "Salpeter")
    spectra = [made(library, 100.0 + 40 * k, halpha=10.0 * k, snr=30.0, seed=k) for k in range(4)]
    flux = np.array([np.nan_to_num(s.flux, nan=1.0) for s in spectra])
    ivar = np.array([np.where(s.mask, s.noise**-2, 0.0) for s in spectra])
    ivar[IDS == BROKEN] = 0.0
    write_prepared(folder, flux, ivar)
    predicted = flux * (1 + 0.01 * np.sin(grid.WAVE / 300))
    predicted[IDS == BROKEN] = np.nan
    with store.create(folder / "predicted.h5", {}) as file:
        store.put(file, "specobjid", IDS[::-1].copy(), "gal")
        store.put(file, "flux", predicted[::-1].astype(np.float32), "gal pix")
        store.put(file, "lsf", np.full(grid.WAVE.size, 10 / 3), "pix", "Angstrom")
        store.put(file, "warn", np.zeros(4, np.uint32), "gal")
    z = pd.DataFrame({"specobjid": IDS, "z_predicted": [Z, Z + 3e-4, np.nan, Z]})
    store.write_table(folder / "redshift.ecsv", z)
    (folder / "config.yaml").write_text(yaml.safe_dump(SETTINGS))
    return folder


def write_prepared(folder, flux, ivar):
    """spectra.h5 with a training object in front of the four, and objects.parquet."""
    coarse = grid.coarse_wave()
    ids = np.append(np.uint64(1), IDS)
    with store.create(folder / "spectra.h5", {}) as file:
        store.put(file, "specobjid", ids, "gal")
        store.put(file, "split", np.array([0, 2, 2, 2, 2], np.int8), "gal")
        store.put(file, "z", np.full(5, Z), "gal")
        store.put(file, "norm", np.full(5, 20.0), "gal")
        store.put(file, "flux", np.vstack([flux[:1], flux]).astype(np.float32), "gal pix")
        store.put(file, "ivar", np.vstack([ivar[:1], ivar]).astype(np.float32), "gal pix")
        store.put(file, "lsf", np.full((5, coarse.size), 10 / 3, np.float32), "gal coarse", "Angstrom")
        store.put(file, "coarse_wave", coarse, "coarse", "Angstrom")
        store.put(file, "lsf_median", np.full(grid.WAVE.size, 10 / 3), "pix", "Angstrom")
        store.put(file, "warn", np.zeros(5, np.uint32), "gal")
    store.write_table(folder / "objects.parquet", pd.DataFrame({"specobjid": ids, "extinction_r": 0.1}))


def command(folder, part, name):
    """The command line of one shard."""
    inputs = [f"--{key}={folder / file}" for key, file in FILES.items()]
    outputs = [f"--out={folder / name}.parquet", f"--models={folder / name}.h5"]
    return ["ppxf", *inputs, f"--templates={library_path()}", "--shard", part, *outputs]


FILES = {
    "config": "config.yaml",
    "spectra": "spectra.h5",
    "predicted": "predicted.h5",
    "redshifts": "redshift.ecsv",
}


@pytest.fixture(scope="module")
def whole(tree):
    """All objects in one job."""
    assert cli.main(command(tree, "1/1", "whole")) == 0
    return results.read(tree / "whole.parquet")


def test_every_spectrum_has_its_row_in_order(whole):
    assert whole["specobjid"].tolist() == [int(i) for i in np.sort(IDS) for _ in results.KINDS]
    assert whole["kind"].tolist() == list(results.KINDS) * 4
    assert set(whole.attrs["meta"]) >= {"code", "library", "imf", "limits", "settings"}


def test_a_failed_object_keeps_its_rows_and_stops_nothing(whole):
    broken = whole[whole["specobjid"] == BROKEN]
    assert all({"not_fitted", "no_signal"} <= set(reasons(warn)) for warn in broken["warn"])
    assert broken["vdisp"].isna().all() and (broken["n_pix"] == 0).all()
    others = whole[whole["specobjid"] != BROKEN]
    assert others["vdisp"].notna().all() and (others["chi2"] < 2).all()


def test_what_was_put_in_comes_out(whole):
    observed = whole[(whole["kind"] == "observed") & (whole["specobjid"] != BROKEN)].set_index("specobjid")
    for number, key in enumerate(IDS):
        if key != BROKEN:
            assert observed.loc[int(key), "vdisp"] == pytest.approx(100 + 40 * number, rel=0.12)
    assert observed.loc[int(IDS[3]), "ew_h_alpha"] > 10


def test_only_the_chosen_get_draws_both_members_alike(whole):
    drawn = whole[whole["n_draws"] > 0]
    assert len(drawn) <= 2 and drawn["specobjid"].nunique() <= 1
    assert drawn["metal_light_std"].notna().all()


@pytest.mark.parametrize("count", [2, 7])
def test_results_are_the_same_however_the_work_is_split(tree, whole, count):
    """With seven jobs every object is fitted alone, and three jobs have nothing to do."""
    names = [f"{count}_{part}" for part in range(1, count + 1)]
    for part, name in enumerate(names, 1):
        assert cli.main(command(tree, f"{part}/{count}", name)) == 0
    tables, shards = ([str(tree / f"{k}.{suffix}") for k in names[::-1]] for suffix in ("parquet", "h5"))
    out = ["--out", str(tree / "all.parquet"), "--models-out", str(tree / "all.h5")]
    assert cli.main(["stellar-merge", "--tables", *tables, "--models", *shards, *out]) == 0
    merged = results.read(tree / "all.parquet")
    pd.testing.assert_frame_equal(
        merged.drop(columns="seconds"), whole.drop(columns="seconds"), check_exact=True
    )
    for kind in results.KINDS:
        one, other = (models.read(tree / f"{name}.h5", IDS, kind) for name in ("whole", "all"))
        assert all(np.array_equal(one[key], other[key], equal_nan=True) for key in one)


def test_the_model_lies_on_the_spectrum(tree, whole):
    found = models.read(tree / "whole.h5", [10], "observed")
    with store.arrays(tree / "spectra.h5") as file:
        row = list(file["specobjid"][:]).index(10)
        flux, ivar = file["flux"][row], file["ivar"][row]
    use = found["mask"][0] & (ivar > 0)
    residual = (flux - found["stars"][0] - found["gas"][0])[use] * np.sqrt(ivar[use])
    assert use.sum() > 3000 and 0.5 < np.std(residual) < 1.5  # the Milky Way's dust is back in the model


def test_a_wrong_shard_and_an_ungridded_library_are_told_in_one_line(tree, tmp_path, capsys):
    assert cli.main(command(tree, "4/3", "x")) == 2
    assert "allowed: I/N with 1 <= I <= N" in capsys.readouterr().err
    np.savez(tmp_path / "m.npz", **ungridded())
    line = [
        f"--templates={tmp_path / 'm.npz'}" if t.startswith("--templates") else t
        for t in command(tree, "1/1", "x")
    ]
    assert cli.main(line) == 2
    assert "fill no grid of age and metallicity" in capsys.readouterr().err


def ungridded():
    """A packed library of two populations."""
    lam = np.arange(3500.0, 8500.0)
    ones = np.ones(2)
    arrays = {"flux": np.ones((lam.size, 2)), "lam": lam, "age": ones, "metal": 0 * ones, "mass": ones}
    return arrays | {"fwhm": np.full(lam.size, 2.5), "name": np.array("m11"), "imf": np.array("Kroupa")}


# -------------------------------------------------------------------------------------------------------------- pairs


def pairs(tree, **changes):
    """The pairs of the tree under some settings."""
    members = Members(tree / "spectra.h5", tree / "predicted.h5", redshifts=tree / "redshift.ecsv")
    return pairs_of(members, Stellar(**changes))


def test_both_members_have_the_same_noise_and_sky_mask(tree):
    for one, other in zip(*[iter(pairs(tree))] * 2):
        assert (one.specobjid, one.kind, other.kind) == (other.specobjid, *results.KINDS)
        assert np.array_equal(one.noise, other.noise, equal_nan=True)
        assert not (one.mask | other.mask)[np.abs(grid.WAVE - 5578.9) < 8].any()


def test_a_prediction_is_fitted_at_its_own_redshift_or_the_true_one(tree):
    own, true = (
        {s.specobjid: s for s in pairs(tree, predicted_z=z) if s.kind == "predicted"}
        for z in ("measured", "true")
    )
    assert own[10].z == pytest.approx(Z + 3e-4) and true[10].z == Z
    assert own[BROKEN].z == Z and "no_redshift" in reasons(own[BROKEN].warn)


def test_the_milky_way_is_taken_out_of_both(tree):
    plain, free = (next(pairs(tree, milky_way=way)) for way in ("none", "catalogue"))
    ratio = free.flux / plain.flux
    assert np.nanmedian(ratio) == pytest.approx(10**0.04, rel=0.02) and np.nanargmax(ratio) < 50
    assert np.allclose(free.noise / plain.noise, free.flux / plain.flux, equal_nan=True)


def test_constant_noise_is_the_median_of_the_observed_errors():
    ivar = np.array([4.0, 0.0, 1.0, 16.0])
    assert pair_noise(ivar, "constant").tolist() == [0.5] * 4
    assert pair_noise(ivar, "observed").tolist() == [0.5, 0.5, 1.0, 0.25]
    assert np.isnan(pair_noise(np.zeros(3), "constant")).all()


def test_the_choice_of_objects_does_not_depend_on_their_order():
    ids = np.arange(1000, 1100, dtype=np.uint64)
    some = chosen(ids, 10, 0)
    assert len(some) == 10 and some == chosen(ids[::-1], 10, 0) and some != chosen(ids, 10, 1)
    assert chosen(ids, None, 0) == set(ids.tolist()) and chosen(ids, 20, 0) > some


@pytest.mark.parametrize("text", ["0/3", "4/3", "a/b", "3", "1/0", "-1/2"])
def test_a_shard_is_i_of_n(text):
    with pytest.raises(SanspecError, match="1 <= I <= N"):
        shard(text)
    assert shard("3/8") == (2, 8)
