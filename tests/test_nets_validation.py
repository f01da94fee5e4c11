"""Scores that a diffusion network gets while it trains: of its own draws, the same at each call."""

import numpy as np
import pytest
import torch

import toy
from sanspec.config import Config, Sampler
from sanspec.nets import build, data, loop, validation
from sanspec.scores import ensembles

SMALL = {
    "widths": (16, 24),
    "patch": 8,
    "attention": (1,),
    "encoder_widths": (8, 16),
    "batch": 16,
    "steps": 8,
}
TRAIN = {
    "scored": 10,
    "valid_every": 4,
    "diff_coarse": SMALL,
    "diff_fine": SMALL | {"patch": 32, "attention": ()},
}
SETTINGS = Config(train=TRAIN, generate={"coarse": {"evaluations": 3}, "fine": {"evaluations": 2}})


@pytest.fixture(scope="module")
def galaxies():
    sky = toy.draw(60, seed=8)
    spectra = {"coarse": sky.coarse_log_flux, "coarse_mask": sky.coarse_mask, "z": sky.z}
    return data.galaxies(
        sky.specobjid, sky.images, 4, fine=sky.log_flux, fine_mask=sky.mask, **spectra
    ), build.Layout(64, toy.statistics(sky.images), toy.WAVE.tolist(), toy.COARSE_WAVE.tolist())


def network(name, galaxies):
    some, layout = galaxies
    torch.manual_seed(0)
    model = build.build(name, SETTINGS.train, layout)
    with torch.inference_mode():
        model.fit(some)
    return model.eval()


@pytest.mark.parametrize("name", ["diff_coarse", "diff_fine"])
def test_scores_are_those_of_the_draws_and_equal_from_call_to_call(galaxies, name):
    model, score = (
        network(name, galaxies),
        validation.scorer(name, SETTINGS, galaxies[0], ensembles.mean_scores),
    )
    found = score(model)
    assert found == score(model) and set(found) == {
        *("mse_single", "mse_mean", "crps", "coverage", "spread_skill", "hf_power"),
    }
    some = galaxies[0].take(torch.linspace(0, 59, 10).round().long())
    which, sampler = name.removeprefix("diff_"), getattr(SETTINGS.generate, name.removeprefix("diff_"))
    drawn = validation.drawn(model, sampler, some, validation.DRAWS, "score")
    truth, mask = getattr(some, which).float().numpy(), getattr(some, f"{which}_mask").numpy()
    assert found["crps"] == pytest.approx(ensembles.scores(drawn, truth, mask)["crps"].mean())


def test_other_networks_and_no_galaxies_are_not_scored(galaxies):
    none = SETTINGS.model_copy(update={"train": SETTINGS.train.model_copy(update={"scored": 0})})
    assert validation.scorer("clip_coarse", SETTINGS, galaxies[0], ensembles.mean_scores) is None
    assert validation.scorer("diff_coarse", none, galaxies[0], ensembles.mean_scores) is None


def test_weights_can_be_chosen_by_the_score_of_draws(galaxies):
    own = SETTINGS.train.diff_coarse.model_copy(update={"metric": "crps"})
    train = SETTINGS.train.model_copy(update={"diff_coarse": own})
    model, some = network("diff_coarse", galaxies), galaxies[0]
    score = validation.scorer("diff_coarse", SETTINGS, some, ensembles.mean_scores)
    run = loop.Trainer("diff_coarse", model, train, some, some, {}, score)
    run.run()
    points = run.progress.valid
    assert [point["step"] for point in points] == [4, 8] and all("crps" in point for point in points)
    assert run.progress.best_value == min(point["crps"] for point in points)


def test_a_draw_does_not_depend_on_its_company(galaxies):
    """Within rounding: blocks here are of several galaxies (the cascade's own blocks give the same bits)."""
    model, some = network("diff_coarse", galaxies), galaxies[0].take(torch.arange(12))
    together = validation.drawn(model, Sampler(evaluations=2), some, 3, "x")
    alone = validation.drawn(model, Sampler(evaluations=2), some.take(torch.tensor([7])), 3, "x")
    np.testing.assert_allclose(alone[0], together[7], atol=1e-4)
