"""One layout for both codes: tables, shards, pairs, fitted spectra."""

import numpy as np
import pandas as pd
import pytest

from sanspec import store
from sanspec.errors import SanspecError
from sanspec.spectra import grid
from sanspec.stellar import models, results
from sanspec.stellar.spectra import Spectrum

META = {"code": "c", "library": "l", "imf": "i", "limits": {}}


def rows(ids, kinds=results.KINDS):
    return [results.row(i, kind, vdisp=100.0 + i, metal_light=0.1, n_pix=10) for i in ids for kind in kinds]


@pytest.mark.parametrize("suffix", [".parquet", ".ecsv"])
def test_a_table_keeps_types_units_and_ids(tmp_path, suffix):
    big = 2**63 + 5
    table = results.assemble(rows([big, 3]))
    results.write(tmp_path / f"a{suffix}", table, META)
    again = results.read(tmp_path / f"a{suffix}")
    assert list(again.columns) == list(results.columns()) and again["specobjid"].tolist()[0] == big
    assert again.attrs["units"]["vdisp_std"] == "km / s" or again.attrs["units"]["vdisp_std"] == "km/s"
    assert again["n_draws"].tolist() == [0] * 4 and np.isnan(again["v"]).all()


def test_every_quantity_has_its_four_columns():
    names = results.columns()
    assert all(f"{q.name}{s}" in names for q in results.QUANTITIES for s in ("", "_err", "_boot", "_std"))


def test_a_wrong_column_and_a_silent_table_are_ours_to_mend(tmp_path):
    with pytest.raises(KeyError, match="sigma"):
        results.row(1, "observed", sigma=3.0)
    with pytest.raises(KeyError, match="imf"):
        results.write(tmp_path / "a.parquet", results.assemble(rows([1])), {"code": "c"})


def test_draws_become_mean_and_spread():
    found = results.from_draws({"vdisp": np.array([1.0, 3.0, np.nan]), "v": np.array([np.nan])})
    assert (
        found["vdisp_boot"] == 2
        and found["vdisp_std"] == pytest.approx(np.sqrt(2))
        and np.isnan(found["v_std"])
    )


def test_shards_join_in_order(tmp_path):
    for name, ids in (("b", [4, 2]), ("a", [1, 3])):
        results.write(tmp_path / f"{name}.parquet", results.assemble(rows(ids)), META | {"shard": name})
    table = results.merge([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert table["specobjid"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4] and "shard" not in table.attrs["meta"]


def test_shards_that_do_not_belong_together_are_refused(tmp_path):
    results.write(tmp_path / "a.parquet", results.assemble(rows([1])), META)
    results.write(tmp_path / "b.parquet", results.assemble(rows([2])), META | {"imf": "other"})
    with pytest.raises(SanspecError, match="different settings"):
        results.merge([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    with pytest.raises(SanspecError, match="overlap"):
        results.merge([tmp_path / "a.parquet", tmp_path / "a.parquet"])
    store.write_table(tmp_path / "c.parquet", pd.DataFrame({"specobjid": [1]}))
    with pytest.raises(SanspecError, match="not a stellar population table"):
        results.read(tmp_path / "c.parquet")


def test_pairs_need_both_members():
    table = results.assemble([*rows([1]), results.row(2, "observed")])
    joined = results.pairs(table)
    assert joined["specobjid"].tolist() == [1] and joined["vdisp_predicted"].tolist() == [101.0]


def spectrum(foreground=None):
    ones = np.ones(grid.WAVE.size)
    good = ones.astype(bool)
    return Spectrum(7, "observed", 0.1, grid.WAVE, ones, ones, good, 3 * ones, 1.0, 0, foreground)


def test_a_smooth_model_survives_the_way_to_the_product_grid():
    wave = np.exp(np.arange(np.log(4200.0), np.log(8000.0), 2.3e-4))
    flux = 1 + 0.5 * np.exp(-0.5 * ((wave - 6000) / 2) ** 2)
    found = models.on_product_grid(wave, flux)
    inside = (wave[0] <= grid.WAVE) & (wave[-1] >= grid.WAVE)
    assert np.isnan(found[~inside]).all()
    expect = 1 + 0.5 * np.exp(-0.5 * ((grid.WAVE - 6000) / 2) ** 2)
    assert np.abs(found - expect)[inside].max() < 2e-3


def test_the_milky_way_is_put_back():
    wave = np.linspace(3990.0, 8510.0, 5000)
    found = models.on_product_grid(wave, np.ones(5000), spectrum(np.linspace(0.8, 0.9, grid.WAVE.size)))
    assert np.allclose(found, np.linspace(0.8, 0.9, grid.WAVE.size))


def test_models_join_and_are_found_by_key(tmp_path):
    nothing = models.blank(5, "predicted", 0.2)
    level = np.full(grid.WAVE.size, 2.0)
    one = models.FittedSpectrum(9, "observed", 0.1, level, level / 2, level > 0)
    models.write(tmp_path / "a.h5", [one], {})
    models.write(tmp_path / "b.h5", [nothing, models.blank(9, "predicted", 0.1)], {})
    models.merge([tmp_path / "a.h5", tmp_path / "b.h5"], tmp_path / "c.h5", {})
    found = models.read(tmp_path / "c.h5", [9], "observed")
    assert (
        (found["stars"] == 2).all()
        and (found["gas"] == 1).all()
        and found["mask"].all()
        and found["z"] == [0.1]
    )
    assert np.isnan(models.read(tmp_path / "c.h5", [5], "predicted")["stars"]).all()
    with pytest.raises(SanspecError, match="no observed spectrum of specobjid 5"):
        models.read(tmp_path / "c.h5", [5], "observed")
    with pytest.raises(SanspecError, match="two shards hold"):
        models.merge([tmp_path / "a.h5", tmp_path / "a.h5"], tmp_path / "d.h5", {})
