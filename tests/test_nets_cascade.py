"""A draw depends on (seed, specobjid, draw index) alone, to the bit; selection and products are as
documented.
"""

import numpy as np
import pytest
import torch

import toy
from sanspec.config import Generate, Sampler, Train
from sanspec.nets import build, data
from sanspec.nets.cascade import Cascade, Draws, Noise, products

DIFFUSION = {"widths": (16, 24), "encoder_widths": (8, 16), "attention": (1,)}
CONTRASTIVE = {"encoder_widths": (8, 16), "widths": (8, 16), "patch": 8, "latent": 16}
TRAIN = Train(
    diff_coarse=DIFFUSION | {"patch": 8},
    clip_coarse=CONTRASTIVE,
    diff_fine=DIFFUSION | {"patch": 32},
    clip_fine=CONTRASTIVE | {"patch": 32},
)
NAMES = ("diff_coarse", "clip_coarse", "diff_fine", "clip_fine")
GENERATE = Generate(
    draws=7, keep=2, fine_draws=3, coarse=Sampler(evaluations=3), fine=Sampler(method="ddpm", evaluations=3)
)
FIELDS = ("coarse", "score_coarse", "fine", "score_fine", "parent", "selected", "best", "z")


@pytest.fixture(scope="module")
def sky():
    return toy.draw(40, seed=5)


@pytest.fixture(scope="module")
def models(sky):
    """Networks with random weights everywhere, the last layers included, so that draws differ."""
    layout = build.Layout(64, toy.statistics(sky.images), toy.WAVE.tolist(), toy.COARSE_WAVE.tolist())
    galaxies = toy.galaxies(sky)
    made, generator = {}, torch.Generator().manual_seed(0)
    for name in NAMES:
        made[name] = build.build(name, TRAIN, layout).eval().requires_grad_(False)
        made[name].fit(galaxies)
        for weight in made[name].parameters():
            if weight.ndim > 1:
                weight.copy_(0.1 * torch.randn(weight.shape, generator=generator))
    return made


def generate(models, sky, rows, **change):
    galaxies = data.galaxies(sky.specobjid[rows], sky.images[rows], 4)
    return Cascade(models, GENERATE.model_copy(update=change))(galaxies)


@pytest.fixture(scope="module")
def reference(models, sky):
    return generate(models, sky, np.arange(6))


@pytest.mark.parametrize("rows", [[3], [5, 4, 3, 2, 1, 0], [2, 2, 0], [1, 5]])
def test_a_draw_does_not_depend_on_the_other_galaxies(models, sky, reference, rows):
    some = generate(models, sky, np.array(rows))
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(some, field), getattr(reference, field)[rows], err_msg=field)


def test_a_draw_does_not_depend_on_how_many_are_asked_for(models, sky, reference):
    more = generate(models, sky, np.arange(2), draws=13, keep=4, fine_draws=6)
    np.testing.assert_array_equal(more.coarse[:, :7], reference.coarse[:2])
    np.testing.assert_array_equal(more.fine[:, :7], reference.fine[:2, :7])
    for row in range(2):
        theirs = {
            (int(p), k): f for p, k, f in zip(more.parent[row, 13:], list(range(6)) * 4, more.fine[row, 13:])
        }
        for parent, number, fine in zip(
            reference.parent[row, 7:], list(range(3)) * 2, reference.fine[row, 7:]
        ):
            if (int(parent), number) in theirs:
                np.testing.assert_array_equal(theirs[int(parent), number], fine)


def test_blocks_of_several_galaxies_agree_to_rounding(models, sky, reference, monkeypatch):
    monkeypatch.setattr("sanspec.nets.cascade.AT_ONCE", {"cpu": 4})
    several = generate(models, sky, np.arange(6))
    np.testing.assert_allclose(several.coarse, reference.coarse, atol=1e-4)
    again = generate(models, sky, np.arange(6)[::-1].copy())
    np.testing.assert_allclose(again.coarse[::-1], several.coarse, atol=1e-4)


def test_another_seed_or_galaxy_gives_other_draws(models, sky, reference):
    other = generate(models, sky, np.arange(2), seed=1)
    assert np.abs(other.coarse - reference.coarse[:2]).min(axis=2).max() > 0
    assert len(np.unique(reference.coarse.reshape(-1, 563), axis=0)) == 6 * 7
    assert len(np.unique(reference.fine.reshape(-1, 4500), axis=0)) == 6 * 13


def test_the_best_are_kept_and_the_best_of_theirs_is_chosen(reference):
    for row in range(6):
        kept = np.argsort(-reference.score_coarse[row])[:2]
        assert reference.parent[row].tolist() == [*range(7), *np.repeat(kept, 3)]
        assert reference.selected[row].tolist() == [False] * 7 + [True] * 6
        best = reference.best[row]
        assert best >= 7 and reference.score_fine[row, best] == reference.score_fine[row, 7:].max()


def test_without_spread_only_the_kept_are_painted(models, sky, reference):
    paper = generate(models, sky, np.arange(2), spread=False)
    assert paper.fine.shape == (2, 6, 4500) and paper.selected.all()
    np.testing.assert_array_equal(paper.fine, reference.fine[:2, 7:])


def test_every_draw_has_a_redshift_of_its_own_within_the_training_range(models, sky, reference):
    assert reference.z.shape == (6, 7) and len(np.unique(reference.z)) == 42
    assert reference.z.min() >= sky.z.min() - 1e-6 and reference.z.max() <= sky.z.max() + 1e-6


def test_images_are_encoded_once_per_galaxy(models, sky):
    calls = []
    hooks = [
        models[name].encoder.register_forward_hook(lambda *_, name=name: calls.append(name)) for name in NAMES
    ]
    generate(models, sky, np.arange(3))
    for hook in hooks:
        hook.remove()
    assert sorted(calls) == sorted(NAMES * 3)


# ---------------------------------------------------------------------------------------------- noise


def test_noise_is_the_same_on_every_machine():
    """The first numbers of one key: Philox4x64-10 keyed by BLAKE2b, numpy's ziggurat."""
    first = Noise(["0/845594848269461504/coarse/0"], 4)().numpy()[0]
    np.testing.assert_allclose(first, GOLDEN, atol=1e-6)


GOLDEN = [-1.3377522, 1.5503651, 0.5718601, 0.1339990]


def test_noise_of_a_key_does_not_depend_on_its_company_and_goes_on():
    alone, company = Noise(["b"], 50), Noise(["a", "b", "c"], 50)
    for _ in range(3):
        assert torch.equal(alone()[0], company()[1])
    assert not torch.equal(Noise(["b"], 50)(), alone())


def test_noise_is_standard_normal_and_uncorrelated():
    noise = Noise([str(key) for key in range(400)], 500)().numpy()
    assert abs(noise.mean()) < 0.01 and noise.std() == pytest.approx(1, abs=0.01)
    assert np.abs(np.corrcoef(noise[:50])[np.triu_indices(50, 1)]).max() < 0.25


# -------------------------------------------------------------------------------------------- products


def hand_made(fine, selected, best):
    count, draws, _ = fine.shape
    blank = np.zeros((count, 1, 1))
    return Draws(
        *(blank, blank[..., 0], fine, np.zeros((count, draws)), np.zeros((count, draws), int)),
        *(selected, best, blank[..., 0]),
    )


def test_products_by_hand():
    fine = np.log(np.array([[[1.0, 1.0], [2.0, 2.0], [9.0, 9.0], [5.0, 7.0]]]))
    selected = np.array([[False, False, False, True]])
    made = products(hand_made(fine, selected, np.array([3])), spread=True)
    np.testing.assert_allclose(made["flux"], [[5.0, 7.0]])
    np.testing.assert_allclose(made["mean"], [[4.0, 4.0]])
    np.testing.assert_allclose(made["medoid"], [[2.0, 2.0]])  # nearest to the mean of the logs, ln 2.62
    np.testing.assert_allclose(made["std"], np.std([1, 2, 9]) * np.ones((1, 2)))
    np.testing.assert_allclose((made["low"], made["high"]), [[[1.0, 1.0]], [[9.0, 9.0]]])  # of three: all
    everything = products(hand_made(fine, selected, np.array([0])), spread=False)
    np.testing.assert_allclose(everything["mean"], [[17 / 4, 19 / 4]])
