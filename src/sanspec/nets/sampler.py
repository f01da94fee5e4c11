"""Samplers: from noise to a spectrum by a denoiser.

Everything is written for x = x0 + noise * n with n standard normal ("variance exploding"); a
variance-preserving process is the same one divided by sqrt(1 + noise^2). `denoise(x, noise)` gives the
expectation of x0.
"""

import itertools
import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sanspec.config import Sampler

NOISE_MAX = 80.0  # standard deviations of the data (Karras et al. 2022, table 1)
Denoise = Callable[[Float[Tensor, "draw pix"], float], Float[Tensor, "draw pix"]]
Normal = Callable[[], Float[Tensor, "draw pix"]]


def cosine_levels(steps: int, offset: float = 0.008, smallest: float = 1e-5) -> list[float]:
    """Noise levels of a cosine schedule, ascending (Nichol & Dhariwal 2021, eq. 17).

    The share of signal left is kept above `smallest`, which bounds the last level at 316.
    """
    share = [math.cos((step / steps + offset) / (1 + offset) * math.pi / 2) ** 2 for step in range(steps + 1)]
    shares = [max(value / share[0], smallest) for value in share[1:]]
    return [math.sqrt((1 - value) / value) for value in shares]


def karras_levels(evaluations: int, low: float, high: float, rho: float = 7.0) -> list[float]:
    """Noise levels from `high` down to `low`, then 0 (Karras et al. 2022, eq. 5)."""
    if evaluations == 1:
        return [high, 0.0]
    first, last = high ** (1 / rho), low ** (1 / rho)
    levels = [(first + step / (evaluations - 1) * (last - first)) ** rho for step in range(evaluations)]
    return [*levels, 0.0]


def thinned(levels: list[float], evaluations: int) -> list[float]:
    """`evaluations` of ascending levels, evenly spread over them, descending, then 0."""
    last = len(levels) - 1
    places = [round(last * (1 - step / max(evaluations - 1, 1))) for step in range(evaluations)]
    return [*(levels[place] for place in places), 0.0]


def levels_of(settings: Sampler, cosine_steps: int) -> list[float]:
    """The noise levels a sampler visits, ending at 0. Heun's method takes two evaluations a level but the
    last.
    """
    count = (settings.evaluations + 1) // 2 if settings.method == "heun" else settings.evaluations
    if settings.schedule == "cosine":
        return thinned(cosine_levels(cosine_steps), count)
    return karras_levels(count, settings.noise_min, NOISE_MAX)


def ddim(
    denoise: Denoise, x: Float[Tensor, "draw pix"], levels: list[float], normal: Normal
) -> Float[Tensor, "draw pix"]:
    """Euler steps of the probability-flow equation (Song et al. 2021a), which are those of DDIM (Song et al.
    2021b).
    """
    for high, low in itertools.pairwise(levels):
        clean = denoise(x, high)
        x = clean + (low / high) * (x - clean)
    return x


def heun(
    denoise: Denoise, x: Float[Tensor, "draw pix"], levels: list[float], normal: Normal
) -> Float[Tensor, "draw pix"]:
    """Second-order steps of the probability-flow equation (Karras et al. 2022, algorithm 1)."""
    for high, low in itertools.pairwise(levels):
        slope = (x - denoise(x, high)) / high
        trial = x + (low - high) * slope
        if low > 0:
            slope = (slope + (trial - denoise(trial, low)) / low) / 2
            trial = x + (low - high) * slope
        x = trial
    return x


def dpmpp_2m(
    denoise: Denoise, x: Float[Tensor, "draw pix"], levels: list[float], normal: Normal
) -> Float[Tensor, "draw pix"]:
    """DPM-Solver++(2M): a second-order multistep method at one evaluation a step (Lu et al. 2022, algorithm
    2).
    """
    before, width = None, 0.0
    for high, low in itertools.pairwise(levels):
        clean = denoise(x, high)
        if low == 0:
            return clean
        step = math.log(high / low)
        slope = clean if before is None else clean + (clean - before) * (step / (2 * width))
        x = (low / high) * x - math.expm1(-step) * slope
        before, width = clean, step
    return x


def sde_dpmpp_2m(
    denoise: Denoise, x: Float[Tensor, "draw pix"], levels: list[float], normal: Normal
) -> Float[Tensor, "draw pix"]:
    """SDE-DPM-Solver++(2M): the same second-order steps along the reverse stochastic equation, fresh noise at
    each, which mends the errors of earlier ones (Lu et al. 2022, section 4.4).
    """
    before, width = None, 0.0
    for high, low in itertools.pairwise(levels):
        clean = denoise(x, high)
        if low == 0:
            return clean
        step, share = math.log(high / low), (low / high) ** 2
        slope = clean if before is None else clean + (clean - before) * (step / (2 * width))
        x = share * x + (1 - share) * slope + low * math.sqrt(1 - share) * normal()
        before, width = clean, step
    return x


def ddpm(
    denoise: Denoise, x: Float[Tensor, "draw pix"], levels: list[float], normal: Normal
) -> Float[Tensor, "draw pix"]:
    """Ancestral sampling: each step from the posterior of the forward process (Ho et al. 2020, eq. 6-7)."""
    for high, low in itertools.pairwise(levels):
        clean = denoise(x, high)
        share = (low / high) ** 2
        x = clean + share * (x - clean)
        if low > 0:
            x = x + low * math.sqrt(1 - share) * normal()
    return x


SAMPLERS = {
    "sde_dpmpp_2m": sde_dpmpp_2m,
    "dpmpp_2m": dpmpp_2m,
    "heun": heun,
    "ddim": ddim,
    "ddpm": ddpm,
}


@torch.inference_mode()
def sample(
    denoise: Denoise, levels: list[float], method: str, normal: Normal, clip: float = 0.0
) -> Float[Tensor, "draw pix"]:
    """A draw: noise at the first level, brought down to 0 by `method`.

    normal: gives standard normal noise (draw, pix), anew at each call. clip: the expectation of x0 is kept
    within this many standard deviations of the data (0: free).
    """

    def bounded(x: Tensor, noise: float) -> Tensor:
        clean = denoise(x, noise)
        return clean.clamp(-clip, clip) if clip else clean

    return SAMPLERS[method](bounded, levels[0] * normal(), levels, normal)
