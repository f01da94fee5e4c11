"""From native spectra to what the networks take: scales, logarithms, masks, and every fault of a spectrum."""

import numpy as np
import pytest

from conftest import benchmark
from sanspec.config import Prepare
from sanspec.errors import Warn
from sanspec.physics.constants import FWHM_PER_SIGMA
from sanspec.spectra import grid, linespread, preparing
from sanspec.spectra.native import NATIVE_FIRST, NATIVE_PIXELS, NativeBlock
from sanspec.survey import specfile

WAVE = linespread.native_wave(NATIVE_FIRST, NATIVE_PIXELS)
SETTINGS = Prepare()


def block(count=1, **changed):
    """Good spectra that rise with wavelength, ivar 4, wdisp 0.9."""
    arrays = {
        "flux": 10 * (WAVE / 6000) * np.ones((count, 1)),
        "ivar": np.full((count, NATIVE_PIXELS), 4.0),
        "wdisp": np.full((count, NATIVE_PIXELS), 0.85 * np.interp(WAVE, [4000, 8500], [1.2, 0.9])),
        "warn": np.zeros(count, np.uint32),
    }
    return NativeBlock(**(arrays | changed))


def prepare(native, z=0.1, **settings):
    return preparing.prepare_spectra(native, np.full(len(native.flux), z), Prepare(**settings))


@pytest.mark.parametrize("z", [0.05, 0.1, 0.15])
@pytest.mark.parametrize("frame", ["rest", "observed"])
def test_the_mean_in_the_window_is_one_and_absolute_flux_comes_back(z, frame):
    done = prepare(block(), z, norm_frame=frame)
    wave = grid.WAVE / (1 + z if frame == "rest" else 1)
    window = (wave >= 6900) & (wave <= 6950)
    assert done.flux[0, window].mean() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(done.flux[0] * done.norm[0], 10 * grid.WAVE / 6000, rtol=1e-4)
    assert done.warn[0] == 0 and (done.ivar > 0).all()


def test_scaling_the_flux_changes_the_norm_alone():
    first, second = prepare(block()), prepare(block(flux=1e3 * block().flux, ivar=block().ivar / 1e6))
    assert second.norm[0] == pytest.approx(1e3 * first.norm[0], rel=1e-12)
    np.testing.assert_allclose(second.flux, first.flux, rtol=1e-12)
    np.testing.assert_allclose(second.ivar, first.ivar, rtol=1e-12)
    assert second.snr[0] == pytest.approx(first.snr[0])


def test_logarithm_masks_what_is_not_positive_and_bridges_it():
    native = block()
    native.flux[0, 2000:2012] = -5
    done = prepare(native)
    low = done.flux[0] <= SETTINGS.log_floor
    assert low.sum() > 5 and done.warn[0] == Warn.NONPOSITIVE_FLUX
    np.testing.assert_array_equal(done.mask[0], ~low)
    np.testing.assert_allclose(done.log_flux[0, ~low], np.log(done.flux[0, ~low]))
    assert np.isfinite(done.log_flux).all() and (done.ivar[0, low] > 0).all()  # linear flux keeps them
    first, last = np.flatnonzero(low)[[0, -1]]
    between = np.linspace(done.log_flux[0, first - 1], done.log_flux[0, last + 1], last - first + 3)
    np.testing.assert_allclose(done.log_flux[0, first - 1 : last + 2], between)


def test_ends_are_bridged_by_the_nearest_value():
    values, good = np.arange(6.0)[None], np.array([[False, False, True, True, True, False]])
    np.testing.assert_array_equal(preparing.fill_gaps(values, good)[0], [2, 2, 2, 3, 4, 4])
    assert np.isnan(preparing.fill_gaps(values, np.zeros((1, 6), bool))).all()


def test_coarse_spectra_leave_masked_pixels_out():
    native = block()
    hole = (WAVE > 5000) & (WAVE < 5040)
    native.ivar[0, hole] = 0
    done = prepare(native)
    assert 3 <= (~done.coarse_mask).sum() <= 5
    use = done.mask[0, :4496].reshape(562, 8)
    values = done.log_flux[0, :4496].reshape(562, 8)
    for k in np.flatnonzero(use.any(axis=1)):
        assert done.coarse_log_flux[0, k] == pytest.approx(values[k, use[k]].mean(), abs=1e-6)


def warned(native, bit, **settings):
    done = prepare(native, **settings)
    assert Warn(int(done.warn[0])) & bit, Warn(int(done.warn[0]))
    return done


def empty(done):
    return (
        np.isnan(done.flux).all()
        and not done.ivar.any()
        and not done.mask.any()
        and np.isnan(done.norm).all()
    )


def test_a_spectrum_without_good_pixels():
    done = warned(block(ivar=np.zeros((1, NATIVE_PIXELS))), Warn.NO_SIGNAL)
    assert empty(done) and not done.correlation.any() and np.isnan(done.snr[0])


def test_a_negative_or_masked_window_cannot_normalise():
    assert empty(warned(block(flux=-block().flux), Warn.NOT_NORMALISABLE))
    ivar = np.where(np.abs(WAVE / 1.1 - 6925) < 40, 0.0, 4.0)[None]
    assert empty(warned(block(ivar=ivar), Warn.NOT_NORMALISABLE))
    assert empty(warned(block(), Warn.NOT_NORMALISABLE, z=0.3))  # the window lies beyond the grid
    assert empty(warned(block(), Warn.NOT_NORMALISABLE, z=np.nan))


@pytest.mark.parametrize("lost", [WAVE < 4100, WAVE > 8400])
def test_short_coverage(lost):
    done = warned(block(ivar=np.where(lost, 0.0, 4.0)[None]), Warn.SHORT_COVERAGE)
    assert np.isfinite(done.flux).all() and 0 < (done.ivar == 0).sum() < 120


def test_many_masked_pixels():
    every = np.where(np.arange(NATIVE_PIXELS) % 40 < 12, 0.0, 4.0)[None]
    warned(block(ivar=every), Warn.MASKED_PIXELS)
    few = np.where(np.arange(NATIVE_PIXELS) % 400 < 12, 0.0, 4.0)[None]
    assert prepare(block(ivar=few)).warn[0] == 0


@pytest.mark.parametrize(("excess", "flagged"), [(1.10, False), (1.20, True)])
def test_a_broad_lsf_is_flagged_only_beyond_the_tolerance(excess, flagged):
    width = linespread.native_width(NATIVE_FIRST, NATIVE_PIXELS)
    wdisp = excess * SETTINGS.fwhm / FWHM_PER_SIGMA / width
    done = prepare(block(wdisp=wdisp[None]))
    assert bool(done.warn[0] & Warn.LSF_BROAD) == flagged
    assert (done.lsf[0] > excess * SETTINGS.fwhm).all()


def test_an_unknown_lsf_is_flagged_and_nan():
    done = warned(block(wdisp=np.zeros((1, NATIVE_PIXELS))), Warn.LSF_BROAD)
    assert np.isnan(done.lsf).all() and np.isfinite(done.flux).all()


def test_one_bad_spectrum_leaves_the_others_alone():
    native = block(3)
    native.ivar[1] = 0
    done, alone = prepare(native), prepare(block())
    for row in (0, 2):
        np.testing.assert_array_equal(done.flux[row], alone.flux[0])
        np.testing.assert_array_equal(done.correlation[row], alone.correlation[0])


def test_real_galaxies_keep_their_fluxes(real_data):
    """Synthetic r-band counts before and after, and the pipeline's own S/N."""
    folder = real_data / "spectra" / "window_005_015"
    paths = sorted(folder.glob("*.fits"))
    native = specfile.read_many(paths, masked=0)
    z = np.array([about.z for about in native.about])
    done = preparing.prepare_spectra(native, z, SETTINGS)
    assert len(paths) == 12 and np.isfinite(done.flux).all()
    inside = (WAVE > 6000) & (WAVE < 7000)
    width = linespread.native_width(NATIVE_FIRST, NATIVE_PIXELS)
    before = (native.flux * width)[:, inside].sum(axis=1)
    after = (done.flux * done.norm[:, None])[:, (grid.WAVE > 6000) & (grid.WAVE < 7000)].sum(axis=1)
    np.testing.assert_allclose(after, before, rtol=3e-3)
    recorded = np.array([about.snr_r for about in native.about])
    assert np.corrcoef(done.snr, recorded)[0, 1] > 0.95
    broad = (done.warn & Warn.LSF_BROAD) != 0
    assert broad.sum() == 2  # 0266-51630-0168 at 8480 A, 0346-51693-0161 redwards of 6000 A


def test_agrees_with_the_loop_of_astropy_and_scipy(tmp_path):
    script = benchmark("prepare")
    paths = script.write_spectra(tmp_path, 4)
    found = script.differences(script.ours(paths), script.loop(paths))
    assert set(found) >= {"flux", "ivar", "correlation", "lsf", "norm", "log_flux", "coarse_log_flux"}
    assert max(found.values()) < 1e-5
