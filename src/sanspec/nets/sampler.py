"""Samplers: from noise to a spectrum, by repeated denoising.

Everything is written for x = x0 + noise * n with n standard normal ("variance exploding"); a variance-preserving
process is the same one divided by sqrt(1 + noise^2). `denoise(x, noise)` returns the expectation of x0 given x.
"""

import itertools
import math
from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from sanspec.config import Sampler

NOISE_MAX = 80.0  # standard deviations of the data (Karras et al. 2022, table 1)
Spectra = Float[Tensor, "draw pix"]
Denoise = Callable[[Spectra, float], Spectra]
Levels = list[float]
Normal = Callable[[], Spectra]  # standard normal noise, new at each call


def cosine_levels(steps: int, offset: float = 0.008, smallest: float = 1e-5) -> Levels:
    """Noise levels of a cosine schedule, ascending (Nichol & Dhariwal 2021, eq. 17).

    The fraction of signal left stays above `smallest`, which bounds the last level at 316.
    """
    share = [math.cos((step / steps + offset) / (1 + offset) * math.pi / 2) ** 2 for step in range(steps + 1)]
    shares = [max(value / share[0], smallest) for value in share[1:]]
    return [math.sqrt((1 - value) / value) for value in shares]


def karras_levels(evaluations: int, low: float, high: float, rho: float = 7.0) -> Levels:
    """Noise levels from `high` down to `low`, then 0 (Karras et al. 2022, eq. 5)."""
    if evaluations == 1:
        return [high, 0.0]
    first, last = high ** (1 / rho), low ** (1 / rho)
    levels = [(first + step / (evaluations - 1) * (last - first)) ** rho for step in range(evaluations)]
    return [*levels, 0.0]


def thinned(levels: Levels, evaluations: int) -> Levels:
    """`evaluations` of the ascending levels, evenly spaced among them, in descending order, then 0."""
    last = len(levels) - 1
    places = [round(last * (1 - step / max(evaluations - 1, 1))) for step in range(evaluations)]
    return [*(levels[place] for place in places), 0.0]


def levels_of(settings: Sampler, cosine_steps: int) -> Levels:
    """Noise levels that a sampler visits, ending at 0.

    Heun's method evaluates the network twice per level, but once at the last.
    """
    count = (settings.evaluations + 1) // 2 if settings.method == "heun" else settings.evaluations
    if settings.schedule == "cosine":
        return thinned(cosine_levels(cosine_steps), count)
    return karras_levels(count, settings.noise_min, NOISE_MAX)


def first_order(denoise: Denoise, x: Spectra, levels: Levels, normal: Normal, fresh: bool = False) -> Spectra:
    """DDIM (Song et al. 2021b): Euler steps of the probability-flow equation (Song et al. 2021a).

    fresh: DDPM, ancestral sampling; each step is drawn from the posterior of the forward process (Ho et al. 2020,
    eq. 6-7).
    """
    for high, low in itertools.pairwise(levels):
        clean, share = denoise(x, high), (low / high) ** (2 if fresh else 1)
        x = clean + share * (x - clean)
        if fresh and low > 0:
            x = x + low * math.sqrt(1 - share) * normal()
    return x


def heun(denoise: Denoise, x: Spectra, levels: Levels, normal: Normal) -> Spectra:
    """Second-order steps of the probability-flow equation (Karras et al. 2022, algorithm 1)."""
    for high, low in itertools.pairwise(levels):
        slope = (x - denoise(x, high)) / high
        trial = x + (low - high) * slope
        if low > 0:
            slope = (slope + (trial - denoise(trial, low)) / low) / 2
            trial = x + (low - high) * slope
        x = trial
    return x


def dpmpp_2m(denoise: Denoise, x: Spectra, levels: Levels, normal: Normal, fresh: bool = False) -> Spectra:
    """DPM-Solver++(2M): second-order multistep, one evaluation per step (Lu et al. 2022, algorithm 2).

    fresh: SDE-DPM-Solver++(2M), the same along the reverse stochastic equation; the noise that each step adds
    corrects the errors of earlier steps (Lu et al. 2022, section 4.4).
    """
    before, width = None, 0.0
    for high, low in itertools.pairwise(levels):
        clean = denoise(x, high)
        if low == 0:
            return clean
        step, share = math.log(high / low), (low / high) ** 2
        slope = clean if before is None else clean + (clean - before) * (step / (2 * width))
        if fresh:
            x = share * x + (1 - share) * slope + low * math.sqrt(1 - share) * normal()
        else:
            x = (low / high) * x - math.expm1(-step) * slope
        before, width = clean, step
    return x


SAMPLERS = {
    "sde_dpmpp_2m": partial(dpmpp_2m, fresh=True),
    "dpmpp_2m": dpmpp_2m,
    "heun": heun,
    "ddim": first_order,
    "ddpm": partial(first_order, fresh=True),
}


@torch.inference_mode()
def sample(denoise: Denoise, levels: Levels, method: str, normal: Normal, clip: float = 0.0) -> Spectra:
    """A draw: noise at the first level, denoised to 0 by `method`.

    clip: the expectation of x0 is bounded by this many standard deviations of the data; 0: unbounded.
    """

    def bounded(x: Tensor, noise: float) -> Tensor:
        clean = denoise(x, noise)
        return clean.clamp(-clip, clip) if clip else clean

    return SAMPLERS[method](bounded, levels[0] * normal(), levels, normal)
