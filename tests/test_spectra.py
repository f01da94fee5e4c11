"""The container of spectra on the product grid: shapes checked, noise borrowed, spectra moved and averaged."""

from dataclasses import replace

import numpy as np
import pytest

from made_spectra import made
from noise_draws import draw_noise
from sanspec.spectra import grid
from sanspec.spectra.spectra import masked_mean, near_lines

PIXELS = grid.WAVE.size


@pytest.mark.parametrize("name", ["z", "flux", "ivar", "correlation", "lsf", "norm", "warn"])
def test_an_array_of_another_shape_is_refused_by_name(name):
    whole = made()
    array = getattr(whole, name)
    for wrong in (array[:2], *([array[..., :-1]] if array.ndim > 1 else [])):
        with pytest.raises(ValueError, match=name):
            replace(whole, **{name: wrong})


@pytest.mark.parametrize("rows", [slice(1, None), np.array([2, 1]), np.array([False, True, True])])
def test_rows_are_those_of_every_array(rows):
    rng = np.random.default_rng(0)
    spectra = made(rng.normal(size=(3, PIXELS)), rng.random(3))
    part = spectra[rows]
    assert len(part) == 2 and part.kind == "observed"
    for name in ("specobjid", "z", "flux", "ivar", "lsf", "norm", "warn"):
        assert np.array_equal(getattr(part, name), getattr(spectra, name)[rows])


def test_borrowed_noise_is_the_median_of_the_good_pixels_and_its_correlation():
    ivar = np.where(np.arange(PIXELS) % 3 == 0, 0.0, 9.0) * np.ones((2, 1))
    ivar[1] = 0.0
    observed = made(count=2, ivar=ivar, correlation=np.full((2, 1, PIXELS), 0.3))
    flux = np.ones((2, PIXELS))
    flux[:, :5] = np.nan
    predicted = made(flux, kind="predicted").with_noise_of(observed)
    assert (
        (predicted.ivar[0, 5:] == 9.0).all()
        and not predicted.ivar[0, :5].any()
        and not predicted.ivar[1].any()
    )
    assert predicted.correlation is observed.correlation and predicted.kind == "predicted"
    assert np.array_equal(predicted.good, np.isfinite(flux) & (np.arange(2) == 0)[:, None])


def test_inflation_is_the_variance_of_a_broad_mean():
    """The mean of many pixels of correlated noise scatters sqrt(inflation) more than of independent ones."""
    correlation = np.outer([0.7, 0.3, 0.05], np.ones(PIXELS))
    drawn = draw_noise(np.ones(PIXELS), correlation, np.random.default_rng(0), 4000)
    measured = drawn[:, 100:4400].mean(axis=1).var() * 4300
    spectra = made(count=1, correlation=correlation[None])
    assert spectra.noise_inflation() == pytest.approx([3.1]) and measured == pytest.approx(3.1, rel=0.07)
    assert made(count=1, correlation=correlation[None], ivar=np.zeros((1, PIXELS))).noise_inflation() == [1.0]
    assert made(count=1).noise_inflation() == [1.0]


def test_a_constant_stays_constant_at_any_redshift_and_an_unknown_one_gives_nothing():
    spectra = made(z=np.array([0.05, 0.1, np.nan]))
    moved = spectra.at_redshift(np.full(3, 0.1))
    assert np.allclose(moved[:2][np.isfinite(moved[:2])], 1.0) and np.isfinite(moved[1]).all()
    assert np.isnan(moved[2]).all()
    rest = spectra.in_rest_frame(np.arange(4200.0, 7000.0))
    assert np.allclose(rest[:2], 1.0)


def test_a_line_stays_at_its_rest_wavelength_when_moved():
    line = np.exp(-0.5 * ((grid.WAVE - 6000.0) / 5.0) ** 2)[None]
    moved = made(line, 0.10).at_redshift(np.array([0.05]))
    centre = np.nansum(moved * grid.WAVE) / np.nansum(moved)
    assert centre == pytest.approx(6000.0 * 1.05 / 1.10, abs=0.02)


def test_pixels_near_lines():
    near = near_lines((5578.9, 6301.7), 2.0)
    assert set(grid.WAVE[near]) == {5577.0, 5578.0, 5579.0, 5580.0, 6300.0, 6301.0, 6302.0, 6303.0}


def test_a_masked_mean_leaves_out_what_is_masked_or_missing():
    values = np.array([[1.0, 2.0, np.nan, 9.0], [1.0, 1.0, 1.0, 1.0]])
    mask = np.array([[True, True, True, False], [False] * 4])
    assert masked_mean(values, mask)[0] == 1.5 and np.isnan(masked_mean(values, mask)[1])
