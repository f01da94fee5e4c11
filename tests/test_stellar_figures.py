"""Figures 4, 8, 9, 10 and the truth of the mock: drawn from tables of the layout, with the numbers that they hold."""

import numpy as np
import pandas as pd
import pytest

from populations import library_path
from sanspec import config, store
from sanspec.errors import SanspecError, Warn
from sanspec.figures import fig04, fig08, fig09, fig10, populations, stellar_truth, style
from sanspec.spectra import grid
from sanspec.stellar import models, results
from test_stellar_agreement import galaxy

SETTINGS = config.Config()
META = {"code": "c", "library": "l", "imf": "i", "limits": {}}
COUNT = 60
KINDS = ("elliptical", "spiral", "uncertain")


def table(rng, scatter):
    """Both kinds of `COUNT` objects; the last could not be fitted."""
    rows = []
    for i in range(COUNT):
        true = {
            "log_age_light": rng.uniform(9, 10),
            "metal_light": -0.5 + 0.012 * i,
            "ebv_stars": 0.1,
            "vdisp": 100.0 + i,
        }
        for kind in results.KINDS:
            noise = {name: rng.normal(0, scatter * abs(value)) for name, value in true.items()}
            noise |= {"metal_light": rng.normal(0, scatter), "log_age_light": rng.normal(0, 2 * scatter)}
            drawn = {"metal_light_std": 0.08, "log_age_light_std": 0.1, "vdisp_std": 10.0} if i < 48 else {}
            values = {name: value + noise[name] for name, value in true.items()}
            rows.append(
                results.row(i, kind, z=0.1, chi2=1 + i / 100, snr=5.0 + i, n_pix=3000, **values, **drawn)
            )
    rows[-1] = results.row(COUNT - 1, "predicted", int(Warn.NOT_FITTED), z=0.1)
    return results.assemble(rows)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Every product that the figures read."""
    folder, rng = tmp_path_factory.mktemp("run"), np.random.default_rng(0)
    paths = {name: folder / f"{name}.parquet" for name in ("ppxf", "firefly", "objects", "indices", "truth")}
    for code, scatter in (("ppxf", 0.05), ("firefly", 0.12)):
        results.write(paths[code], table(rng, scatter), META)
        level = np.linspace(0.5, 1.0, grid.WAVE.size)
        gas = np.exp(-0.5 * ((grid.WAVE - 7221) / 4) ** 2) * (code == "ppxf")
        used = np.abs(grid.WAVE - 5579) > 20
        made = [models.FittedSpectrum(i, "predicted", 0.1, level, gas, used) for i in range(COUNT)]
        paths[f"{code}_models"] = folder / f"{code}.h5"
        models.write(paths[f"{code}_models"], made, {})
    ids = np.arange(COUNT).astype(np.uint64)
    kinds = [KINDS[i % 3] for i in range(COUNT)]
    mass = 9.0 + 2.5 * np.arange(COUNT) / COUNT
    about = {"specobjid": ids, "morphology": kinds, "ra": 10.0 + ids, "dec": 1.0, "logmass_maraston09": mass}
    store.write_table(paths["objects"], pd.DataFrame(about))
    store.write_table(paths["indices"], pd.DataFrame({"specobjid": ids, "dn4000_predicted": 1.2 + mass / 20}))
    store.write_table(paths["truth"], pd.DataFrame([galaxy(specobjid=np.uint64(i)) for i in range(COUNT)]))
    paths |= {name: folder / f"{name}.h5" for name in ("predicted", "images")} | {"templates": library_path()}
    with store.create(paths["predicted"], {}) as file:
        store.put(file, "specobjid", ids, "gal")
        store.put(file, "flux", np.tile(level + 0.01 * np.sin(grid.WAVE), (COUNT, 1)), "gal pix")
    with store.create(paths["images"], {}) as file:
        store.put(file, "specobjid", ids, "gal")
        store.put(file, "images", rng.random((COUNT, 5, 64, 64)).astype(np.float16), "gal band y x")
    return paths


def draw(module, inputs):
    """A figure with its numbers, saved once so that it is known to render."""
    with style.applied():
        figure, numbers = module.draw({key: inputs[key] for key in module.INPUTS}, SETTINGS)
        figure.savefig(inputs["ppxf"].with_name("shown.png"), dpi=60)
    return figure, numbers


def test_figure_8_counts_the_pairs_and_their_agreement(inputs):
    figure, numbers = draw(fig08, inputs)
    pairs = populations.read_pairs(inputs)["ppxf"]
    metal = numbers["scores"]["ppxf"]["metal_light"]
    assert numbers["n"] == metal["all"]["count"] == COUNT - 1 == len(pairs)
    assert metal["all"]["within_0.1"] == pytest.approx((pairs["d_metal_light"].abs() <= 0.1).mean())
    assert metal["all"]["with_errors"] == 48 and metal["all"]["median_error"] == pytest.approx(
        0.08 * np.sqrt(2)
    )
    assert sum(metal[kind]["count"] for kind in KINDS) == COUNT - 1
    assert numbers["scores"]["firefly"]["metal_light"]["all"]["scatter"] > metal["all"]["scatter"]
    assert {"mean", "std"} <= set(numbers["scores"]["ppxf"]["vdisp"]["elliptical"])
    assert len(figure.axes) == 8
    flat = numbers["numbers"]
    assert flat["metal_within_010_ppxf"] == metal["all"]["within_0.1"]
    assert flat["vdisp_std_spiral_ppxf"] == numbers["scores"]["ppxf"]["vdisp"]["spiral"]["std"]
    assert flat["at_bound_predicted_ppxf"] == 0.0
    text = figure.axes[-1].texts[0].get_text()
    for code in ("ppxf", "firefly"):
        assert f"|d[M/H]| < 0.1: {100 * flat[f'metal_within_010_{code}']:.0f}%" in text
        assert f"scatter of log age: {flat[f'log_age_scatter_{code}']:.2f} dex" in text


def test_the_figures_declare_their_numbers(inputs):
    """Every number of figures 8 to 10 is measured, and has a meaning that names its code."""
    expected = {
        fig08: "metal_within_010 metal_within_errors log_age_scatter ebv_median vdisp_std_spiral at_bound_predicted",
        fig09: "spearman rms_zahid2017 rms_gallazzi2005",
        fig10: "correlation_age_metal correlation_age_ebv angle",
    }
    paper = {}
    for module, names in expected.items():
        _, numbers = draw(module, inputs)
        found, about = numbers["numbers"], numbers["about"]
        assert {f"{name}_{code}" for name in names.split() for code in populations.CODES} <= set(found)
        assert set(found) == set(about) and all(map(np.isfinite, found.values()))
        for code, label in populations.CODES.items():
            assert all(label in one["meaning"] for name, one in about.items() if name.endswith(code))
        paper |= {name: one["paper"] for name, one in about.items()}
    assert paper["metal_within_010_ppxf"] == "0.86 (section 5.4)"
    assert paper["vdisp_mean_all_ppxf"] == "-1.4 (section 5.4)" and paper["offset_ppxf_minus_firefly"]


def test_figure_9_bins_by_quarter_dex_and_compares_with_both_relations(inputs):
    _, numbers = draw(fig09, inputs)
    relation = numbers["relation"]["ppxf"]
    assert relation["count"] == COUNT - 1 and relation["spearman"] > 0.9
    assert (
        np.allclose(np.diff(relation["bins"]["mass"]), 0.25) and sum(relation["bins"]["count"]) <= COUNT - 1
    )
    assert set(relation["against"]) == {"zahid2017", "gallazzi2005"}
    assert np.isfinite(numbers["numbers"]["offset_ppxf_minus_firefly"])


def test_the_published_relations_are_those_published():
    """Zahid et al. 2017, table 4 and Gallazzi et al. 2005, table 2: ends and shape."""
    assert fig09.ZAHID[:, 0].tolist() == [8.55, -0.657] and fig09.ZAHID[:, -1].tolist() == [10.95, 0.043]
    assert fig09.ZAHID.shape == (2, 25) and (np.diff(fig09.ZAHID[0]) > 0).all()
    assert fig09.GALLAZZI.shape == (4, 16) and fig09.GALLAZZI[:, 6].tolist() == [10.11, -0.23, -0.80, 0.14]
    assert (fig09.GALLAZZI[2] < fig09.GALLAZZI[1]).all() and (fig09.GALLAZZI[1] < fig09.GALLAZZI[3]).all()


def test_figure_10_gives_the_covariance_of_the_differences(inputs):
    _, numbers = draw(fig10, inputs)
    found, pairs = numbers["degeneracy"]["firefly"], populations.read_pairs(inputs)["firefly"]
    columns = pairs[["d_metal_light", "d_log_age_light", "d_ebv_stars"]].to_numpy()
    assert np.allclose(found["covariance"], np.cov(columns.T)) and -90 <= found["angle"] <= 90


def test_figure_4_shows_two_fits_of_each_code_and_no_galaxy_twice(inputs):
    figure, numbers = draw(fig04, inputs)
    fits = pd.DataFrame(numbers["fits"])
    assert fits["code"].tolist() == ["firefly", "firefly", "ppxf", "ppxf"] and fits["specobjid"].is_unique
    assert fits["morphology"].tolist() == ["elliptical", "spiral"] * 2
    assert np.isfinite(fits[["vdisp", "log_age_light", "metal_light", "ebv_stars", "chi2"]]).all().all()
    assert any("gas" in axes.get_legend_handles_labels()[1] for axes in figure.axes)


def test_the_truth_is_subtracted(inputs):
    _, numbers = draw(stellar_truth, inputs)
    scores = numbers["scores"]["ppxf"]
    assert numbers["n"] == COUNT and scores["ebv_stars"]["all"]["count"] == COUNT
    expect = 0.7 * 0.1 + 0.3 * 0.3  # of the one galaxy that all rows are
    assert scores["ebv_stars"]["all"]["bias"] == pytest.approx(0.1 - expect, abs=0.01)
    assert scores["vdisp"]["all"]["with_errors"] == 48


def test_nothing_fitted_is_told(inputs, tmp_path):
    empty = results.assemble([results.row(1, kind, int(Warn.NOT_FITTED)) for kind in results.KINDS])
    results.write(tmp_path / "ppxf.parquet", empty, META)
    with pytest.raises(SanspecError, match="no pair of spectra was fitted"):
        populations.read_pairs(inputs | {"ppxf": tmp_path / "ppxf.parquet"})
    for module in (fig04, fig08, fig09):
        with pytest.raises(SanspecError), style.applied():
            both = inputs | {code: tmp_path / "ppxf.parquet" for code in ("ppxf", "firefly")}
            module.draw({key: both[key] for key in module.INPUTS}, SETTINGS)
