"""Draws judged as predictive distributions, in training and after it; none is chosen with the truth in hand."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sanspec.config import Config, Sampler
from sanspec.nets import ensembles
from sanspec.nets.cascade import draw
from sanspec.nets.data import Galaxies
from sanspec.nets.diffusion import Diffusion, FineDiffusion

DRAWS = 4  # a galaxy, in the scores taken while a network trains
BLOCK = 8  # galaxies side by side


@torch.inference_mode()
def drawn(
    model: Diffusion, sampler: Sampler, galaxies: Galaxies, draws: int, kind: str, seed: int = 0
) -> Float[np.ndarray, "gal draw pix"]:
    """Draws of log flux from the images, a fine network's from the true coarse spectra (and true redshifts,
    where it takes them).

    kind: a name for the draws, with `seed` and specobjid the key of their noise.
    """
    parts, fine = [], isinstance(model, FineDiffusion)
    for rows in torch.arange(len(galaxies)).split(
        BLOCK
    ):  # always the same blocks: the same bits at each call
        some = galaxies.take(rows)
        context = model.encode(some).repeat(draws)
        keys = [f"{seed}/{number}/{kind}/{i}" for number in some.specobjid for i in range(draws)]
        coarse = some.coarse.float().repeat_interleave(draws, 0) if fine else None
        z = some.z.repeat_interleave(draws) if fine and some.z is not None else None
        parts.append(draw(model, sampler, context, keys, coarse, z).unflatten(0, (-1, draws)).cpu())
    return torch.cat(parts).numpy()


def scorer(name: str, settings: Config, valid: Galaxies) -> Callable[[nn.Module], dict[str, float]] | None:
    """What a diffusion network's draws are worth on `train.scored` validation galaxies; None for other networks.

    The scores of `ensembles.summary`; those of a fine network from the true coarse spectrum and
    redshift.
    """
    count = min(settings.train.scored, len(valid))
    if not (name.startswith("diff") and count):
        return None
    some = valid.take(torch.linspace(0, len(valid) - 1, count).round().long())
    which = name.removeprefix("diff_")
    sampler: Sampler = getattr(settings.generate, which)
    truth, mask = (_host(getattr(some, part)) for part in (which, f"{which}_mask"))

    def score(model: nn.Module) -> dict[str, float]:
        found = ensembles.scores(drawn(model, sampler, some, DRAWS, "score"), truth, mask)
        return ensembles.summary(found, DRAWS)

    return score


def _host(tensor: Tensor) -> np.ndarray:
    """An array of the same numbers."""
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
