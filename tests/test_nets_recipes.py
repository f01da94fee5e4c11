"""Both recipes, one code path: trained for moments on the toy sky, their draws already know the galaxies."""

import numpy as np
import pytest
import torch

import toy
from sanspec.config import Sampler, Train
from sanspec.nets import build, data, loop
from sanspec.nets.cascade import draw

COMMON = {"batch": 32, "warmup": 10, "rate": 3e-3, "ema": 0.95, "encoder_widths": (8, 16), "dropout": 0.0}
MODERN = COMMON | {"steps": 120, "widths": (16, 24), "patch": 8, "attention": (1,), "sketch": 32}
PAPER = COMMON | {
    "steps": 30,
    "batch": 16,
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
    "redshift": "free",
}
ANCESTRAL = Sampler(method="ddpm", evaluations=50, schedule="cosine", clip=4.0)


@pytest.fixture(scope="module")
def sky():
    return toy.draw(260, seed=11)


def trained(sky, recipe):
    train = Train(diff_coarse=recipe, diff_fine={"redshift": "free"}, valid_every=120)
    galaxies = data.galaxies(
        sky.specobjid, sky.images, 4, coarse=sky.coarse_log_flux, coarse_mask=sky.coarse_mask, z=sky.z
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


def test_the_modern_recipe_learns_and_its_draws_know_the_galaxies(sky):
    model, run, valid = trained(sky, MODERN)
    losses = run.progress.curve["loss"]
    assert np.mean(losses[-3:]) < 0.75 * losses[0]
    draws = draws_of(model, valid, Sampler(evaluations=8), 4)
    truth, mean = valid.coarse.float().numpy(), model.standard.mean.numpy()
    error, prior = ((draws.mean(1) - truth) ** 2).mean(), ((mean - truth) ** 2).mean()
    assert error < 0.5 * prior
    for method, evaluations in (
        ("heun", 15),
        ("ddim", 20),
        ("ddpm", 40),
    ):  # the same galaxies, by other samplers
        other = draws_of(
            model, valid.take(torch.arange(20)), Sampler(method=method, evaluations=evaluations), 2
        )
        assert np.corrcoef((other.mean(1) - mean).ravel(), (draws[:20].mean(1) - mean).ravel())[0, 1] > 0.7, (
            method
        )


def test_the_papers_recipe_learns_and_its_draws_stay_bounded(sky):
    model, run, valid = trained(sky, PAPER)
    losses = run.progress.curve["loss"]
    assert losses[-1] < 0.8 * losses[0]
    draws = draws_of(model, valid.take(torch.arange(3)), ANCESTRAL, 2)
    bound = ANCESTRAL.clip * float(model.standard.scale)
    assert np.isfinite(draws).all() and np.abs(draws - model.standard.mean.numpy()).max() <= bound * (
        1 + 1e-5
    )
