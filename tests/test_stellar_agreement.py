"""Scores of pairs and of truth: by hand, by construction, by the normal distribution."""

import numpy as np
import pandas as pd
import pytest

from populations import read_library
from sanspec.errors import Warn
from sanspec.mock import expected as truth
from sanspec.mock import stars
from sanspec.mock.population import Population
from sanspec.stellar import agreement, results

NAN = np.array([np.nan])


def table(count=400, seed=0, correlation=-0.8):
    """Pairs whose differences in [M/H] and log age are drawn with a known covariance."""
    rng = np.random.default_rng(seed)
    cov = np.array([[0.01, correlation * 0.1 * 0.2], [correlation * 0.1 * 0.2, 0.04]])
    moved = rng.multivariate_normal([0, 0], cov, count)
    rows = []
    for i, (metal, age) in enumerate(moved):
        shared = {"ebv_stars": 0.1, "vdisp": 100.0, "metal_light_std": 0.1 / np.sqrt(2)}
        rows.append(results.row(i, "observed", metal_light=metal, log_age_light=9.5 + age, **shared))
        rows.append(
            results.row(i, "predicted", metal_light=0.0, log_age_light=9.5, **(shared | {"vdisp": 105.0}))
        )
    return results.assemble(rows)


def test_scores_by_hand():
    d = np.array([-0.3, -0.05, 0.0, 0.1, 0.25, np.nan])
    found = agreement.scores(d, np.array([0.1, 0.1, 0.1, 0.1, np.nan, 0.1]), (0.1, 0.2))
    assert found["count"] == 5 and found["median"] == 0.0 and found["mean"] == pytest.approx(0.0)
    assert found["within_0.1"] == 0.6 and found["within_0.2"] == 0.6
    assert (found["with_errors"], found["within_errors"], found["median_abs"]) == (4, 0.75, 0.1)
    assert agreement.scores(NAN, NAN, (0.1,)) == {"count": 0}


def test_differences_are_observed_minus_predicted_and_leave_out_failures():
    pairs = table(5)
    pairs.loc[3, "warn"] = int(Warn.NOT_FITTED)
    found = agreement.differences(pairs)
    assert found["specobjid"].tolist() == [0, 2, 3, 4] and (found["d_vdisp"] == -5).all()
    assert np.allclose(found["error_metal_light"], 0.1)


def test_summary_by_class():
    kinds = pd.Series(["elliptical"] * 100 + ["spiral"] * 300, index=np.arange(400))
    found = agreement.summary(agreement.differences(table()), kinds)
    assert found["metal_light"]["elliptical"]["count"] == 100
    assert found["metal_light"]["all"]["within_errors"] == pytest.approx(0.683, abs=0.06)
    assert found["vdisp_fraction"]["all"]["median"] == pytest.approx(0.05)


def test_degeneracy_finds_the_axis_that_was_put_in():
    found = agreement.degeneracy(agreement.differences(table(4000)))
    assert found["correlation"][0][1] == pytest.approx(-0.8, abs=0.02)
    cov = np.array([[0.01, -0.016], [-0.016, 0.04]])
    expect = np.degrees(0.5 * np.arctan2(2 * cov[0, 1], cov[0, 0] - cov[1, 1]))
    assert found["angle"] == pytest.approx((expect + 90) % 180 - 90, abs=2)
    assert agreement.degeneracy(agreement.differences(table(2))) == {"count": 2}


# ------------------------------------------------------------------------------------------------- truth of the mock

OLD = Population(onset=12.0, tau=0.3, quench=11.0, burst=0.0, burst_age=1.0, metal=0.0)
YOUNG = Population(onset=2.0, tau=8.0, quench=0.0, burst=0.0, burst_age=1.0, metal=-0.4)


def galaxy(**changes):
    """A row of the truth table."""
    row = {"specobjid": 1, "bulge_fraction": 0.5, "bulge_ebv": 0.1, "disk_ebv": 0.3}
    row |= {"bulge_vdisp": 200.0, "disk_vdisp": 50.0, "fibre_vdisp": np.sqrt(0.7 * 200**2 + 0.3 * 50**2)}
    for part, history in (("bulge", OLD), ("disk", YOUNG)):
        row |= {f"{part}_{name}": getattr(history, name) for name in Population.__slots__}
    return row | changes


def test_the_share_of_the_bulge_comes_back():
    assert truth.bulge_share(galaxy()) == pytest.approx(0.7)
    assert np.isnan(truth.bulge_share(galaxy(disk_vdisp=200.0)))
    assert truth.bulge_share(galaxy(disk_vdisp=200.0, bulge_fraction=0.0)) == 0.0


def test_one_component_gives_its_own_means_and_a_mixture_lies_between():
    library = read_library()
    rows = [galaxy(), galaxy(fibre_vdisp=200.0, specobjid=2), galaxy(fibre_vdisp=50.0, specobjid=3)]
    mixed, old, young = truth.expected(pd.DataFrame(rows), library).to_dict("records")
    sky = stars.prepare(library)
    formed = stars.weights(sky, OLD)
    assert old["log_age_light"] == pytest.approx(np.log10(formed.sum(1) @ library.ages) + 9, abs=0.05)
    assert old["metal_light"] == pytest.approx(0.0, abs=0.15) and young["metal_light"] < -0.2
    assert young["log_age_light"] < mixed["log_age_light"] < old["log_age_light"]
    assert (old["ebv_stars"], young["ebv_stars"]) == (0.1, 0.3)
    assert mixed["ebv_stars"] == pytest.approx(0.7 * 0.1 + 0.3 * 0.3)
    assert all(one["log_age_linear"] >= one["log_age_light"] for one in (mixed, old, young))  # Jensen


def test_coverage_of_honest_errors_is_68_per_cent():
    rng = np.random.default_rng(3)
    error = rng.uniform(0.5, 2, 20000)
    found = truth.scores(error * rng.standard_normal(20000), error)
    assert found["coverage"] == pytest.approx(0.6827, abs=0.01) and found["bias"] == pytest.approx(
        0, abs=0.03
    )


def test_residuals_use_the_average_of_the_code():
    expected = pd.DataFrame(
        [
            {
                "specobjid": 1,
                "log_age_light": 9.0,
                "metal_light": 0.0,
                "log_age_linear": 9.5,
                "metal_linear": 0.1,
                "ebv_stars": 0.1,
                "vdisp": 100.0,
            }
        ]
    )
    table = results.assemble(
        [results.row(1, "observed", log_age_light=9.6, log_age_light_std=0.2, vdisp=90.0)]
    )
    assert truth.residuals(table, expected)["d_log_age_light"][0] == pytest.approx(0.6)
    linear = truth.residuals(table, expected, linear=True)
    assert linear["d_log_age_light"][0] == pytest.approx(0.1) and linear["error_log_age_light"][0] == 0.2
