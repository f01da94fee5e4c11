"""Grids, air and vacuum, and rebinning: constants stay, flux is conserved, rival libraries agree."""

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given, settings
from hypothesis import strategies as st
from ppxf import ppxf_util
from specutils import Spectrum
from specutils.manipulation import FluxConservingResampler

from sanspec.physics.air import air_to_vac, vac_to_air
from sanspec.spectra import grid

REST = np.arange(4000.0, 7000.0)


def test_the_grids_have_the_papers_sizes():
    assert len(grid.WAVE) == 4500 and grid.WAVE[0] == 4000 and grid.WAVE[-1] == 8499
    centres = grid.coarse_wave()
    assert len(centres) == 563 and centres[0] == 4003.5 and centres[-1] == 8497.5


def test_loglam_index_forgives_float32():
    index = np.arange(35700, 39700)
    assert (grid.loglam_index((1e-4 * index).astype(np.float32)) == index).all()


@pytest.mark.parametrize(
    ("vacuum", "shift"), [(3900, 1.105), (5000, 1.394), (5177, 1.442), (6565, 1.813), (8000, 2.200)]
)
def test_air_shift_known_values(vacuum, shift):
    """Recorded from ppxf 9.5.2 and the Edlen formula, which agree to 1e-4 A."""
    assert vacuum - vac_to_air(np.array(float(vacuum))) == pytest.approx(shift, abs=1e-3)


def test_air_is_ppxf_and_inverts_exactly():
    wave = np.linspace(3000, 10000, 501)
    np.testing.assert_allclose(vac_to_air(wave), ppxf_util.vac_to_air(wave), atol=1e-6)
    np.testing.assert_allclose(air_to_vac(vac_to_air(wave)), wave, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rebinning_conserves_flux_and_constants(seed):
    rng = np.random.default_rng(seed)
    edges_in = np.sort(rng.uniform(0, 100, 40))
    inner = np.sort(rng.uniform(edges_in[0], edges_in[-1], 15))
    edges_out = np.concatenate([edges_in[:1], inner, edges_in[-1:]])
    flux = rng.normal(size=(2, 39))
    out = grid.rebin(edges_in, flux, edges_out)
    np.testing.assert_allclose(out @ np.diff(edges_out), flux @ np.diff(edges_in), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(grid.rebin(edges_in, np.full(39, 3.0), edges_out), 3.0, rtol=1e-12)


def test_rebinning_agrees_with_specutils():
    wave = np.exp(np.linspace(np.log(4500), np.log(5500), 700))
    flux = 1 + np.random.default_rng(0).random(700)
    target = np.arange(4600.0, 5400.0)
    theirs = FluxConservingResampler()(
        Spectrum(flux=flux * u.Jy, spectral_axis=wave * u.AA), target * u.AA
    ).flux.value
    ours = grid.rebin(grid.bin_edges(wave), flux, grid.bin_edges(target))
    np.testing.assert_allclose(ours, theirs, rtol=2e-6)


def test_a_masked_pixel_has_no_weight_and_no_coverage_is_nan():
    edges = np.arange(11.0)
    flux = np.ones(10)
    flux[4] = np.nan
    out = grid.rebin(edges, flux, np.array([0.0, 3.0, 4.4, 4.8, 6.0, 12.0, 18.0]))
    np.testing.assert_array_equal(np.isnan(out), [False, False, True, False, False, True])
    np.testing.assert_array_equal(out[[0, 1, 3, 4]], 1.0)


def test_rest_frame_keeps_constants_and_ends_where_the_data_do():
    z = np.array([0.0, 0.05, 0.15])
    rest = grid.rest_frame(np.full((3, 4500), 2.5), z, np.arange(3400.0, 8600.0))
    wave = np.arange(3400.0, 8600.0)
    for row, shift in zip(rest, z):
        inside = (wave > 4000 / (1 + shift) + 1) & (wave < 8499 / (1 + shift) - 1)
        np.testing.assert_allclose(row[inside], 2.5, rtol=1e-12)
        assert np.isnan(row[(wave < 3999 / (1 + shift)) | (wave > 8500.5 / (1 + shift))]).all()


def test_rest_frame_puts_lines_at_rest():
    z = np.array([0.05, 0.1, 0.15])
    lines = np.exp(-0.5 * ((grid.WAVE - 5008.24 * (1 + z[:, None])) / 2.0) ** 2)
    rest = grid.rest_frame(lines, z, REST)
    np.testing.assert_allclose((rest @ REST) / rest.sum(axis=1), 5008.24, atol=0.03)
    np.testing.assert_allclose(rest.sum(axis=1) * (1 + z), lines.sum(axis=1), rtol=1e-9)


def test_rows_do_not_know_each_other():
    rng = np.random.default_rng(1)
    flux, z = rng.random((5, 4500)), rng.uniform(0, 0.2, 5)
    batch = grid.rest_frame(flux, z, REST)
    for row in range(5):
        np.testing.assert_array_equal(
            batch[row], grid.rest_frame(flux[row : row + 1], z[row : row + 1], REST)[0]
        )


def test_loglam_and_back_conserve_flux():
    flux = 1 + np.random.default_rng(2).random((2, 4500))
    log = grid.to_loglam(flux, 36022, 3270)
    edges = grid.loglam_edges(36022, 3270)
    inside = (edges[0] < grid.WAVE - 0.5) & (edges[-1] > grid.WAVE + 0.5)
    total, expected = np.nansum(log * np.diff(edges), axis=1), flux[:, inside].sum(axis=1)
    np.testing.assert_allclose(total, expected, rtol=1e-3)
    np.testing.assert_allclose(grid.to_loglam(flux, 36022, 3270, z=np.zeros(2)), log)


def test_coarse_is_the_mean_of_valid_pixels():
    values = np.tile(np.arange(4500.0), (2, 1))
    mask = np.ones((2, 4500), bool)
    mask[1, :7] = False
    mask[1, 16:24] = False
    coarse, use = grid.coarse(values, mask)
    assert coarse.shape == (2, 563) and coarse[0, 0] == 3.5 and coarse[0, -1] == 4497.5
    assert coarse[1, 0] == 7 and use[1, 0] and coarse[1, 2] == 19.5 and not use[1, 2] and use.sum() == 1125


def test_rebinning_takes_spectra_with_any_leading_axes():
    rng, edges, out = np.random.default_rng(3), np.linspace(0, 1, 11), np.linspace(0.1, 0.9, 6)
    flux = rng.normal(size=(2, 3, 10))
    rebinned = grid.rebin(edges, flux, out)
    assert rebinned.shape == (2, 3, 5)
    np.testing.assert_array_equal(rebinned[1, 2], grid.rebin(edges, flux[1, 2], out))
