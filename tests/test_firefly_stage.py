"""The stage `firefly` on a small survey: shards, alone or together, and files that do not fit."""

import numpy as np
import pandas as pd
import pytest
import yaml

import made_populations as made
from made_populations import spectrum
from sanspec import __main__, store
from sanspec.errors import Warn
from sanspec.spectra import grid
from sanspec.stellar import models, results

IDS = np.array([2**63 + 7, 21, 3, 14, 5, 8, 13], np.uint64)
MIXES = [{4: 1.0}, {12: 0.6, 2: 0.4}, {20: 1.0}, {14: 0.5, 6: 0.5}, {9: 1.0}, {17: 0.3, 22: 0.7}, {3: 1.0}]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with spectra of seven galaxies and their predictions, redshifts, dispersions, templates."""
    folder = tmp_path_factory.mktemp("firefly")
    observed = [spectrum(mix, snr=30, seed=i + 1) for i, mix in enumerate(MIXES)]
    predicted = [spectrum(mix, snr=60, seed=i + 50) for i, mix in enumerate(MIXES)]
    good = np.array([one.mask for one in observed])
    flux = np.array([np.nan_to_num(one.flux) for one in observed])
    flux[2], good[2] = 0.0, False  # one galaxy without a good pixel
    wave = np.linspace(4000, 8499, 563)
    with store.create(folder / "spectra.h5", {}) as file:
        store.put(file, "specobjid", IDS, "gal")
        store.put(file, "split", np.full(7, 2, np.int8), "gal")
        store.put(file, "z", np.full(7, 0.1), "gal")
        store.put(file, "norm", np.full(7, 12.0), "gal")
        store.put(file, "flux", flux.astype("f4"), "gal pix")
        store.put(file, "ivar", np.where(good, 900.0, 0.0).astype("f4"), "gal pix")
        store.put(file, "coarse_wave", wave, "coarse")
        store.put(file, "lsf", np.full((7, 563), 10 / 3), "gal coarse")
        store.put(file, "lsf_median", np.full(grid.WAVE.size, 10 / 3), "pix")
        store.put(file, "warn", np.zeros(7, np.uint32), "gal")
    with store.create(folder / "predicted.h5", {}) as file:
        store.put(file, "specobjid", IDS[::-1], "gal")
        store.put(file, "flux", np.array([one.flux for one in predicted[::-1]]), "gal pix")
        store.put(file, "lsf", np.full(grid.WAVE.size, 10 / 3), "pix")
        store.put(file, "warn", np.zeros(7, np.uint32), "gal")
    z = np.full(7, 0.1)
    z[4] = np.nan
    store.write_table(folder / "redshift.ecsv", pd.DataFrame({"specobjid": IDS, "z_predicted": z}))
    store.write_table(
        folder / "objects.parquet", pd.DataFrame({"specobjid": IDS, "extinction_r": np.full(7, 0.05)})
    )
    rows = [results.row(i, kind, vdisp=150.0) for i in IDS.tolist() for kind in results.KINDS if i != 13]
    meta = {"code": "", "library": "", "imf": "", "limits": {}}
    results.write(folder / "ppxf.parquet", results.assemble(rows), meta)
    (folder / "templates").mkdir()
    made.write_folder(folder / "templates", made.library())
    settings = {"stellar": {"firefly": {"draws": 2, "bootstrap_objects": 2}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return folder


def command(folder, out="firefly", **changed):
    """The command line."""
    files = {
        "config": "config.yaml",
        "spectra": "spectra.h5",
        "predicted": "predicted.h5",
        "redshifts": "redshift.ecsv",
        "kinematics": "ppxf.parquet",
        "templates": "templates",
        "out": f"{out}.parquet",
        "models": f"{out}.h5",
    }
    words = [
        w for name, value in files.items() for w in (f"--{name}", str(changed.get(name, folder / value)))
    ]
    return ["firefly", *words, "--shard", changed.get("shard", "1/1")]


@pytest.fixture(scope="module")
def whole(run):
    """All in one shard."""
    assert __main__.main(command(run)) == 0
    return results.read(run / "firefly.parquet")


def test_every_spectrum_has_its_row(whole):
    assert len(whole) == 14 and set(whole["specobjid"]) == set(IDS.tolist())
    fitted = whole[(whole["warn"] & int(Warn.NOT_FITTED)) == 0]
    assert len(fitted) == 12 and np.isfinite(fitted[["log_age_light", "metal_light", "ebv_stars_err"]]).all(
        axis=None
    )


def test_what_is_amiss_is_said(whole):
    warn = whole.set_index(["specobjid", "kind"])["warn"]
    assert warn[(3, "observed")] == warn[(3, "predicted")] == Warn.NOT_FITTED | Warn.NO_SIGNAL
    assert warn[(5, "predicted")] & Warn.NO_REDSHIFT
    assert warn[(13, "observed")] & Warn.NO_VDISP and warn[(13, "predicted")] & Warn.NO_VDISP
    assert warn[(21, "observed")] == 0


def test_two_objects_have_draws(whole):
    drawn = whole[whole["n_draws"] > 0]
    assert 1 <= drawn["specobjid"].nunique() <= 2 and (drawn["n_draws"] == 2).all()
    assert drawn["log_age_light_std"].notna().all()


def test_the_header_says_what_it_is(whole):
    meta = whole.attrs["meta"]
    assert meta["library"] == "M11-MILES" and meta["imf"] == "Salpeter 1955" and "clean" in meta["code"]
    assert meta["limits"]["wave_air"][0] >= 3550 and meta["averages"] == "log10 of the mean"


def test_the_fitted_spectra_are_there(run, whole):
    stored = models.read(run / "firefly.h5", [21, 14], "observed")
    assert stored["stars"].shape == (2, grid.WAVE.size) and np.isfinite(stored["stars"]).sum() > 6000
    with store.arrays(run / "spectra.h5") as file:
        flux = file["flux"][:][[1, 3]]
    assert np.std((flux - stored["stars"])[stored["mask"]] * 30) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("shards", [2, 7])
def test_results_are_the_same_however_the_work_is_split(run, whole, shards):
    names = [f"{shards}_{i}" for i in range(1, shards + 1)]
    for i, name in enumerate(names, 1):
        assert __main__.main(command(run, out=name, shard=f"{i}/{shards}")) == 0
    merged = results.merge([run / f"{name}.parquet" for name in names]).drop(columns="seconds")
    alone = whole.sort_values(["specobjid", "kind"], ignore_index=True).drop(columns="seconds")
    pd.testing.assert_frame_equal(merged, alone, check_exact=True)


def refused(capsys, *arguments):
    """The one line on standard error of a command that is refused."""
    assert __main__.main(*arguments) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("sanspec firefly:")]
    assert len(lines) == 1
    return lines[0]


def test_templates_cut_short_are_refused(run, tmp_path, capsys):
    made.write_folder(tmp_path, made.library())
    path = tmp_path / "ssp_M11_MILES.ssz002"
    path.write_text("\n".join(path.read_text().splitlines()[:-100]))
    assert "cut short" in refused(capsys, command(run, templates=tmp_path))


def test_templates_of_another_grid_are_refused(run, tmp_path, capsys):
    made.write_folder(tmp_path, made.library())
    path = tmp_path / "ssp_M11_MILES.ssz002"
    table = np.loadtxt(path)
    table[:, 2] += 0.4
    np.savetxt(path, table)
    assert "different wavelengths" in refused(capsys, command(run, templates=tmp_path))


def test_missing_dispersions_are_refused(run, tmp_path, capsys):
    assert "run the rule" in refused(capsys, command(run, kinematics=tmp_path / "none.parquet"))


def test_another_table_is_no_table_of_dispersions(run, capsys):
    assert "not a stellar population table" in refused(capsys, command(run, kinematics=run / "redshift.ecsv"))


@pytest.mark.parametrize("shard", ["0/2", "3/2", "a/b"])
def test_shards_that_cannot_be_are_refused(run, capsys, shard):
    assert shard in refused(capsys, command(run, shard=shard))
