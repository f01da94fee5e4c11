"""Scores of draws as predictive distributions, in training and afterwards; no draw is chosen by the truth."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from sanspec.config import Config, Sampler
from sanspec.nets.cascade import draw
from sanspec.nets.data import Galaxies
from sanspec.nets.diffusion import Diffusion, FineDiffusion

DRAWS = 4  # draws per galaxy in the scores computed while a network trains
BLOCK = 8  # galaxies at a time: always the same blocks, so that every call returns the same bits


@torch.inference_mode()
def drawn(
    model: Diffusion, sampler: Sampler, galaxies: Galaxies, draws: int, kind: str, seed: int = 0
) -> Float[np.ndarray, "gal draw pix"]:
    """Draws of log flux given the images; those of a fine network given also the true coarse spectra and redshifts.

    kind: a name for the draws that, with `seed` and specobjid, is the key of their noise.
    """
    parts, fine = [], isinstance(model, FineDiffusion)
    for rows in torch.arange(len(galaxies)).split(BLOCK):
        some = galaxies.take(rows)
        context = model.encode(some).repeat(draws)
        keys = [f"{seed}/{number}/{kind}/{i}" for number in some.specobjid for i in range(draws)]
        coarse = some.coarse.float().repeat_interleave(draws, 0) if fine else None
        z = some.z.repeat_interleave(draws) if fine and some.z is not None else None
        parts.append(draw(model, sampler, context, keys, coarse, z).unflatten(0, (-1, draws)).cpu())
    return torch.cat(parts).numpy()


def scorer(
    name: str, settings: Config, valid: Galaxies, scores: Callable[..., dict[str, float]]
) -> Callable[[nn.Module], dict[str, float]] | None:
    """Function that scores a diffusion network's draws on `train.scored` validation galaxies; None for other networks.

    scores: of draws (gal, draw, pix), truth and mask (gal, pix). Draws of a fine network are given the true
    coarse spectrum and redshift.
    """
    count = min(settings.train.scored, len(valid))
    if not (name.startswith("diff") and count):
        return None
    some = valid.take(torch.linspace(0, len(valid) - 1, count).round().long())
    which = name.removeprefix("diff_")
    sampler: Sampler = getattr(settings.generate, which)
    truth, mask = getattr(some, which).float().cpu().numpy(), getattr(some, f"{which}_mask").cpu().numpy()

    def score(model: nn.Module) -> dict[str, float]:
        return scores(drawn(model, sampler, some, DRAWS, "score"), truth, mask)

    return score
