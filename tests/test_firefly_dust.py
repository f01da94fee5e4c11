"""Attenuation curves, filters, and E(B-V) of an attenuation."""

import numpy as np
import pytest

from made_populations import matched, spectrum
from sanspec.config import Firefly
from sanspec.physics import dust
from sanspec.stellar.firefly import compat, filtered
from sanspec.stellar.firefly.clean import CleanFit

WAVE = np.linspace(3600.0, 7400.0, 3000)


@pytest.mark.parametrize(
    "name, wave, value",
    [
        ("calzetti", 5500.0, 4.05),  # R_V; Calzetti et al. 2000, eq. 4
        ("odonnell", 1e4 / 1.82, 3.1),  # A(V) by construction; O'Donnell 1994
        ("odonnell", 4400.0, 4.13),  # A(B) / A(V) = 1.337 at R_V = 3.1; Cardelli et al. 1989, table 3
        ("allen", 5530.0, 3.1),
        ("allen", 4400.0, 4.092),  # 1.32 x 3.1; Allen 1976
        ("gordon", 1e4 / 1.818, 2.74),  # R_V; Gordon et al. 2003, table 2
        ("gordon", 1e4 / 2.273, 1.374 * 2.74),  # B; their table 4
    ],
)
def test_curves_have_their_published_values(name, wave, value):
    assert dust.CURVES[name](np.array([wave]))[0] == pytest.approx(value, rel=0.015)


@pytest.mark.parametrize("name", dust.CURVES)
def test_curves_fall_towards_the_red(name):
    assert (np.diff(dust.CURVES[name](WAVE)) < 0).mean() > 0.99


@pytest.mark.parametrize("name", dust.CURVES)
@pytest.mark.parametrize("ebv", [0.0, 0.11, 0.83])
def test_ebv_of_a_curve_is_its_own(name, ebv):
    curve = dust.CURVES[name](WAVE)
    through = dust.transmission(ebv, curve)
    through = through / np.median(through)
    assert compat.best_ebv(through, curve, 1.5) == pytest.approx(ebv, abs=1.5 / 199 / 2 + 1e-9)
    assert filtered.nearest_ebv(through, curve, 1.5) == pytest.approx(ebv, abs=2e-4)


def test_nearest_ebv_is_not_drawn_by_a_bad_stretch():
    curve = dust.calzetti(WAVE)
    through = dust.transmission(0.3, curve)
    through = through / np.median(through)
    through[:250] *= 1.3
    assert filtered.nearest_ebv(through, curve, 1.5) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("pixels", [2001, 2327, 2500])
def test_released_filter_is_the_complex_one(pixels):
    spectrum = 1 + np.random.default_rng(1).normal(size=pixels) / 10 + np.linspace(0, 1, pixels)
    window = np.zeros(pixels)
    window[0] = 1
    for step in range(20):
        window[20 + step] = (step + 1) / 20
        window[pixels - 1 - (40 - step)] = (20 - step) / 20
    window[40 : pixels - 40] = 1
    other = np.where(np.arange(pixels) == 0, 1, 1 - window)
    fast, slow = (np.real(np.fft.ifft(np.fft.fft(spectrum) * w)) for w in (window, other))
    oracle = (1 + (fast - np.median(fast)) / slow) * np.median(fast)
    assert np.allclose(compat.high_pass(spectrum), oracle, rtol=1e-10)


def test_released_filter_leaves_a_constant_alone():
    assert np.allclose(compat.high_pass(np.full(1000, 3.0)), 3.0)


def test_slow_part_is_linear_and_keeps_slow_things():
    x = np.arange(3000.0)
    slow = 2 + np.cos(np.pi * 7 * (x + 0.5) / 3000)
    fast = np.cos(np.pi * 200 * (x + 0.5) / 3000)
    assert np.allclose(filtered.slow_part(slow + fast), slow, atol=1e-10)
    assert np.allclose(filtered.slow_part(np.array([slow, 2 * fast])), [slow, 0 * x], atol=1e-10)


def test_a_slope_does_not_ring_at_the_ends():
    """The released filter wraps around and makes 30 % of the last pixels of a slope; mirrored ends do not."""
    slope = np.linspace(1.0, 2.0, 3000)
    assert np.abs(filtered.slow_part(slope) / slope - 1).max() < 0.005
    modes = np.fft.rfft(slope)
    modes[40:] = 0
    assert np.abs(np.fft.irfft(modes, 3000) / slope - 1).max() > 0.2


@pytest.mark.parametrize("ebv", [0.0, 0.15, 0.5])
@pytest.mark.parametrize("place", [4, 14])
def test_filter_finds_the_dust_of_a_population(ebv, place):
    fit = CleanFit(matched(spectrum({place: 1.0}, ebv=ebv)), Firefly())
    level = np.median(fit.flux)
    found = fit.attenuation(fit.flux / level, fit.matched.error / level)
    assert found.ebv == pytest.approx(ebv, abs=0.03)
    expected = dust.transmission(ebv, fit.curve)
    assert np.median(np.abs(found.relative / expected * np.median(expected) - 1)) < 0.01


def test_noise_scale_of_white_and_of_smoothed_noise():
    rng = np.random.default_rng(8)
    white = 2 * rng.normal(size=20000)
    assert filtered.noise_scale(white) == pytest.approx(4.0, rel=0.25)
    kernel = np.ones(5) / np.sqrt(5)  # 5 pixels act as one
    assert filtered.noise_scale(np.convolve(white, kernel, "same")) == pytest.approx(20.0, rel=0.25)
    assert filtered.noise_scale(np.zeros(100)) == 1.0
