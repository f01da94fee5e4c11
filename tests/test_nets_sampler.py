"""Every sampler against a closed form: for Gaussian data the denoiser is known, and so is what comes out."""

import numpy as np
import pytest
import torch
from scipy import stats

from sanspec.config import Sampler
from sanspec.nets import sampler

MEAN, STD = 0.7, 0.5
DRAWS, PIXELS = 4000, 8


def gaussian(x, noise):
    """The expectation of x0 ~ N(MEAN, STD^2) given x = x0 + noise * n."""
    share = STD**2 / (STD**2 + noise**2)
    return MEAN + share * (x - MEAN)


def drawn(method, levels, denoise=gaussian, clip=0.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    normal = lambda: torch.randn(DRAWS, PIXELS, generator=generator)  # noqa: E731
    return sampler.sample(denoise, levels, method, normal, clip).numpy()


@pytest.mark.parametrize(
    ("method", "levels", "tolerance"),
    [
        ("dpmpp_2m", sampler.karras_levels(25, 0.02, 80.0), 0.03),
        ("dpmpp_2m", sampler.karras_levels(60, 0.002, 80.0), 0.015),
        ("sde_dpmpp_2m", sampler.karras_levels(60, 0.02, 80.0), 0.03),
        ("sde_dpmpp_2m", sampler.karras_levels(120, 0.002, 80.0), 0.015),
        ("heun", sampler.karras_levels(30, 0.002, 80.0), 0.03),
        ("heun", sampler.karras_levels(60, 0.002, 80.0), 0.015),
        ("ddim", sampler.karras_levels(300, 0.002, 80.0), 0.03),
        ("ddpm", sampler.karras_levels(400, 0.002, 80.0), 0.03),
        ("ddpm", sampler.thinned(sampler.cosine_levels(250), 250), 0.03),
        ("ddim", sampler.thinned(sampler.cosine_levels(250), 250), 0.03),
    ],
)
def test_a_gaussian_comes_out_with_its_mean_and_variance(method, levels, tolerance):
    draws = drawn(method, levels)
    assert draws.mean() == pytest.approx(MEAN, abs=0.04 * STD)
    assert draws.std() == pytest.approx(STD, rel=tolerance)
    assert stats.kstest(draws[:, 0], "norm", args=(draws[:, 0].mean(), draws[:, 0].std())).pvalue > 1e-3


def test_with_few_steps_ddim_is_under_dispersed_and_dpmpp_much_less_off():
    levels = sampler.karras_levels(12, 0.02, 80.0)
    first, second = (drawn(method, levels).std() / STD for method in ("ddim", "dpmpp_2m"))
    assert first < 0.85 and abs(second - 1) < 0.5 * abs(first - 1)


def test_the_probability_flow_is_the_known_map_of_each_point():
    """For Gaussian data the flow carries x at noise s to MEAN + (x - MEAN) STD / sqrt(STD^2 + s^2)."""
    high, start = 5.0, torch.linspace(-9, 9, 7)[:, None]
    exact = MEAN + (start - MEAN) * STD / np.hypot(STD, high)
    for method in ("dpmpp_2m", "heun"):
        levels = sampler.karras_levels(80, 0.001, high)
        end = sampler.sample(gaussian, levels, method, lambda: start / high)
        assert torch.allclose(end, exact, atol=3e-3)


def test_order_of_convergence():
    """Halving the steps quarters the error of the second-order methods and halves that of the first-order
    one.
    """
    high, start = 5.0, torch.full((1, 1), 3.0)
    exact = float(MEAN + (start - MEAN) * STD / np.hypot(STD, high))

    def error(method, count):  # to a small level that is not 0, where the last step would be Euler's
        levels = np.geomspace(high, 0.05, count + 1)
        run = sampler.SAMPLERS[method](gaussian, start, [float(level) for level in levels], start.clone)
        return abs(float(run) - (MEAN + (3.0 - MEAN) * np.hypot(STD, 0.05) / np.hypot(STD, high)))

    assert np.isfinite(exact)
    assert error("ddim", 40) / error("ddim", 80) == pytest.approx(2, rel=0.2)
    assert error("heun", 40) / error("heun", 80) == pytest.approx(4, rel=0.4)
    assert error("dpmpp_2m", 40) / error("dpmpp_2m", 80) == pytest.approx(4, rel=0.5)


def test_ddpm_matches_the_posterior_of_the_forward_process():
    """One step from level 2 to 1 has mean x0 + (x - x0) / 4 and variance 1 * (4 - 1) / 4 (Ho et al. 2020, eq.
    7).
    """
    x = torch.full((200_000, 1), 3.0)
    normal = lambda: torch.randn(x.shape, generator=torch.Generator().manual_seed(1))  # noqa: E731
    step = sampler.SAMPLERS["ddpm"](lambda x, noise: torch.ones_like(x), x, [2.0, 1.0], normal)
    assert float(step.mean()) == pytest.approx(1.5, abs=0.01) and float(step.var()) == pytest.approx(
        0.75, rel=0.01
    )


def test_cosine_levels_are_those_of_the_schedule():
    """alpha_bar = cos^2((t/T + s)/(1 + s) pi/2) / cos^2(s/(1 + s) pi/2); level = sqrt((1 - alpha_bar) /
    alpha_bar).
    """
    levels = np.array(sampler.cosine_levels(250))
    assert (np.diff(levels) > 0).all() and levels[0] < 0.02 and levels[-1] == pytest.approx(316, abs=1)
    half = 1 / (1 + levels[124] ** 2)
    assert half == pytest.approx(
        np.cos((0.5 + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2
    )


def test_karras_levels_run_from_high_to_low_to_zero():
    levels = sampler.karras_levels(6, 0.02, 80.0)
    assert levels[0] == pytest.approx(80) and levels[-2] == pytest.approx(0.02) and levels[-1] == 0
    assert len(levels) == 7 and (np.diff(levels) < 0).all()
    assert sampler.karras_levels(1, 0.02, 80.0) == [80.0, 0.0]


def test_a_sampler_uses_the_evaluations_it_was_given():
    for method in sampler.SAMPLERS:
        calls = []
        levels = sampler.levels_of(Sampler(method=method, evaluations=9), 250)
        sampler.sample(lambda x, noise: calls.append(noise) or x, levels, method, lambda: torch.zeros(1, 1))  # noqa: B023
        assert len(calls) == 9, method


def test_clipping_bounds_what_the_denoiser_says():
    draws = drawn("ddpm", sampler.karras_levels(20, 0.02, 80.0), denoise=lambda x, noise: 100 * x, clip=3.0)
    assert np.abs(draws).max() <= 3.0
