"""Both recipes, one code path: trained for moments on the toy sky, their draws already know the galaxies."""

import numpy as np
import pytest
import toy
import torch

from sanspec.config import Sampler, Train
from sanspec.nets import build, data, loop
from sanspec.nets.cascade import draw

COMMON = {"batch": 32, "warmup": 10, "rate": 3e-3, "ema": 0.95, "encoder_widths": (8, 16), "dropout": 0.0}
MODERN = COMMON | {"steps": 120, "widths": (16, 24), "patch": 8, "attention": (1,), "sketch": 32}
PAPER = COMMON | {
    "steps": 120,
    "rate": 1e-3,
    "architecture": "paper",
    "prediction": "epsilon",
    "noise": "cosine",
    "optimiser": "adam",
    "weight_decay": 0.0,
    "schedule": "constant",
    "widths": (32, 32, 32),
    "attention": (2,),
    "sketch": 0,
}
ANCESTRAL = Sampler(method="ddpm", evaluations=50, schedule="cosine", clip=4.0)


@pytest.fixture(scope="module")
def sky():
    return toy.draw(260, seed=11)


def trained(sky, recipe):
    train = Train(diff_coarse=recipe, valid_every=120)
    galaxies = data.galaxies(
        sky.specobjid, sky.images, 4, coarse=sky.coarse_log_flux, coarse_mask=sky.coarse_mask
    )
    parts = galaxies.take(torch.arange(200)), galaxies.take(torch.arange(200, 260))
    layout = build.Layout(64, toy.statistics(sky.images), toy.WAVE.tolist(), toy.COARSE_WAVE.tolist())
    torch.manual_seed(0)
    model = build.build("diff_coarse", train, layout)
    model.fit(parts[0])
    run = loop.Trainer("diff_coarse", model, train, *parts, {})
    return run.run(), run, parts[1]


def draws_of(model, galaxies, sampler, count):
    with torch.inference_mode():
        context = model.encode(galaxies)
        keys = [[f"{number}/{i}" for number in galaxies.specobjid] for i in range(count)]
        return torch.stack([draw(model, sampler, context, row) for row in keys], 1).numpy()


@pytest.mark.parametrize(
    ("recipe", "sampler", "ratio"),
    [(MODERN, Sampler(evaluations=8), 0.5), (PAPER, ANCESTRAL, 1.5)],
    ids=["modern", "paper"],
)
def test_a_recipe_learns_and_its_draws_stay_bounded(sky, recipe, sampler, ratio):
    model, run, valid = trained(sky, recipe)
    losses = run.progress.curve["loss"]
    assert np.mean(losses[-3:]) < 0.75 * losses[0]
    draws = draws_of(model, valid, sampler, 4)
    truth, mean = valid.coarse.float().numpy(), model.standard.mean.numpy()
    assert np.isfinite(draws).all() and np.abs(draws - mean).max() < 8 * float(model.standard.scale)
    error, prior = ((draws.mean(1) - truth) ** 2).mean(), ((mean - truth) ** 2).mean()
    assert error < ratio * prior


def test_every_sampler_draws_from_a_trained_network(sky):
    """The same network by four samplers: the same galaxies come out, if not the same noise."""
    model, _, valid = trained(sky, MODERN)
    valid = valid.take(torch.arange(20))
    means = {}
    for method, evaluations in (("dpmpp_2m", 15), ("heun", 31), ("ddim", 40), ("ddpm", 80)):
        means[method] = draws_of(model, valid, Sampler(method=method, evaluations=evaluations), 4).mean(1)
    spread = means["dpmpp_2m"].std(axis=0).mean()
    for method, mean in means.items():
        assert np.sqrt(((mean - means["dpmpp_2m"]) ** 2).mean()) < 0.6 * spread, method
