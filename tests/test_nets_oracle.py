"""Our samplers against the schedulers of diffusers, step for step on the same noise."""

import itertools
import math

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_edm_dpmsolver_multistep import EDMDPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler

from sanspec.nets import sampler

SHAPE = (16, 5)


def denoise(x, noise):
    """A denoiser that is neither linear nor the same in every pixel."""
    own = torch.arange(1, SHAPE[1] + 1, dtype=x.dtype)
    return torch.tanh(x / (1 + noise) + 0.3 * own) - 0.2 * own * torch.exp(-((x - 1) ** 2)) / (1 + noise)


def normals(generator=None):
    """Standard normal noise, always the same, anew at each call."""
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    return lambda: torch.randn(SHAPE, generator=generator, dtype=torch.float64)


def betas(levels):
    """Variance-preserving steps of noise levels: the share of signal left is 1 / (1 + level^2)."""
    shares = [1.0] + [1 / (1 + level**2) for level in levels]
    return [1 - low / high for high, low in itertools.pairwise(shares)]


def preserving(scheduler, count, levels):
    """The scheduler's own loop, on x / sqrt(1 + level^2), and the levels it visits."""
    generator = torch.Generator().manual_seed(0)
    scheduler.set_timesteps(count)
    steps = scheduler.timesteps.tolist()
    x = levels[steps[0]] * normals(generator)() / math.hypot(1, levels[steps[0]])
    for step in steps:
        clean = denoise(x * math.hypot(1, levels[step]), levels[step])
        x = scheduler.step(clean, step, x, generator=generator).prev_sample
    return x, [*(levels[step] for step in steps), 0.0]


def ours(method, levels):
    return sampler.sample(denoise, levels, method, normals())


def test_ddpm_250_is_that_of_diffusers():
    levels = sampler.cosine_levels(250)
    scheduler = DDPMScheduler(
        num_train_timesteps=250, trained_betas=betas(levels), prediction_type="sample", clip_sample=False
    )
    theirs, visited = preserving(scheduler, 250, levels)
    assert visited == sampler.thinned(levels, 250)
    torch.testing.assert_close(
        ours("ddpm", visited), theirs, atol=2e-4, rtol=2e-4
    )  # its betas are in float32


@pytest.mark.parametrize("count", [250, 125, 25])
def test_ddim_is_that_of_diffusers(count):
    levels = sampler.cosine_levels(250)
    scheduler = DDIMScheduler(
        num_train_timesteps=250,
        trained_betas=betas(levels),
        prediction_type="sample",
        clip_sample=False,
        timestep_spacing="leading",
    )
    theirs, visited = preserving(scheduler, count, levels)
    torch.testing.assert_close(ours("ddim", visited), theirs, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("count", [6, 12, 25])
@pytest.mark.parametrize("kind", ["", "sde-"])
def test_dpmpp_2m_is_that_of_diffusers(count, kind):
    scheduler = EDMDPMSolverMultistepScheduler(
        sigma_min=0.02, sigma_max=80.0, sigma_data=0.5, algorithm_type=f"{kind}dpmsolver++"
    )
    scheduler.set_timesteps(count)
    levels = [float(level) for level in scheduler.sigmas]
    assert levels == pytest.approx(sampler.karras_levels(count, 0.02, 80.0), rel=1e-5)
    generator = torch.Generator().manual_seed(0)
    x = levels[0] * normals(generator)()
    for step, level in zip(scheduler.timesteps, levels):
        total = math.hypot(level, 0.5)
        skip, out = (0.5 / total) ** 2, level * 0.5 / total
        x = scheduler.step((denoise(x, level) - skip * x) / out, step, x, generator=generator).prev_sample
    torch.testing.assert_close(ours(f"{kind[:3]}_dpmpp_2m".strip("_"), levels), x, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("count", [5, 20])
def test_heun_is_that_of_diffusers(count):
    scheduler = HeunDiscreteScheduler(use_karras_sigmas=True)
    scheduler.set_timesteps(count)
    twice = [float(level) for level in scheduler.sigmas]
    levels = [*twice[0:-1:2], 0.0]
    assert len(levels) == count + 1
    x = levels[0] * normals()()
    for number, step in enumerate(scheduler.timesteps):
        level = [*levels[:1], *(level for level in levels[1:-1] for _ in range(2))][number]
        x = scheduler.step((x - denoise(x, level)) / level, step, x).prev_sample
    torch.testing.assert_close(ours("heun", levels), x, atol=2e-5, rtol=2e-5)
