"""The fine network is told the redshift of its coarse draw: its sketch stands there, as sharp as a fine spectrum."""

import numpy as np
import pytest
import torch

import toy
from sanspec.config import Sampler, Train
from sanspec.nets import build, validation
from sanspec.nets.cascade import draw
from sanspec.nets.diffusion import Align
from sanspec.nets.expectation import RestFrame
from sanspec.spectra import grid

WAVE = torch.from_numpy(grid.WAVE.copy())
SMALL = {"widths": (16, 24), "patch": 32, "attention": (), "encoder_widths": (8, 16), "dropout": 0.0}


@pytest.fixture(scope="module")
def galaxies():
    return toy.galaxies(toy.draw(200, seed=4, noise=0.005))


def network(galaxies, **change):
    torch.manual_seed(0)
    statistics = toy.statistics(galaxies.images.float().numpy())
    layout = build.Layout(64, statistics, toy.WAVE.tolist(), toy.COARSE_WAVE.tolist())
    model = build.build("diff_fine", Train(diff_fine=SMALL | change), layout)
    with torch.inference_mode():
        model.fit(galaxies)
    return model


@pytest.mark.parametrize("z", [0.052, 0.0871, 0.1483])
def test_the_fine_rest_frame_keeps_a_line_of_the_survey_resolution(z):
    """FWHM 3.33 A, the resolution of the survey, at another redshift than in training: place to 0.05 A, depth to 7
    per cent, width to 12 (it is interpolated twice between pixels of 1 A, and scales with 1 + z in the rest frame).
    """
    trained = torch.linspace(0.05, 0.15, 97)

    def line(z):
        return -0.5 * torch.exp(-0.5 * ((WAVE - 5176.0 * (1 + z[:, None])) / (3.333 / 2.355)) ** 2).float()

    frame = RestFrame(WAVE, 2)
    spectra = line(trained)
    frame.fit(spectra, torch.ones_like(spectra, dtype=bool), trained, torch.zeros(4500))
    found, wanted = frame(torch.zeros(1, 2), torch.tensor([z]))[0].double(), line(torch.tensor([z]))[0]
    near = (WAVE - 5176.0 * (1 + z)).abs() < 12
    place, width = (WAVE * found)[near].sum() / found[near].sum(), found[near].sum() / found.min()
    assert float(place) == pytest.approx(5176.0 * (1 + z), abs=0.05)
    assert float(found.min()) == pytest.approx(float(wanted.min()), rel=0.07)
    assert float(width) == pytest.approx(float(wanted[near].sum() / wanted.min()), rel=0.12)


def test_what_is_diffused_of_a_spectrum_is_what_its_own_coarse_spectrum_leaves(galaxies):
    """Binned as the survey's spectra are: the last coarse pixel is made of four."""
    model = network(galaxies)
    coarse, _ = grid.coarse(galaxies.fine[:5].double().numpy(), np.ones((5, 4500), bool))
    aligned = Align(WAVE, torch.from_numpy(toy.COARSE_WAVE))(torch.from_numpy(coarse))
    wanted = galaxies.fine[:5].float() - aligned
    assert torch.allclose(model.diffused(galaxies.fine[:5].float()), wanted, atol=2e-5)
    whole = network(galaxies, target="spectrum").diffused(galaxies.fine[:5].float())
    assert torch.equal(whole, galaxies.fine[:5].float())


def test_the_sketch_is_learnt_and_stands_at_the_redshift(galaxies):
    model = network(galaxies).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(40):
        optimiser.zero_grad()
        model.loss(galaxies.take(torch.arange(200)[step % 5 :: 5])).backward()
        optimiser.step()
    model = model.eval().requires_grad_(False)
    image, (truth, mask) = model.encode(galaxies), model.target(galaxies)

    def error(shift):
        sketch = model.at(image, galaxies.z + shift).sketch[:, 0]
        return float(torch.where(mask, sketch - truth, 0).square().mean())

    assert error(0.0) < 0.9 * float(torch.where(mask, truth, 0).square().mean())
    assert error(0.0) < 0.95 * error(0.002)  # 600 km/s away


def test_draws_follow_the_redshift_that_they_are_given(galaxies):
    """Equal to the bit for the same redshift, others for another; `drawn` gives each galaxy its own."""
    model = network(galaxies).eval().requires_grad_(False)
    for weight in model.parameters():
        weight.copy_(0.1 * torch.randn(weight.shape) if weight.ndim > 1 else weight)
    some, sampler = galaxies.take(torch.arange(8)), Sampler(evaluations=2)
    context, keys = model.encode(some), [f"0/{number}/true/0" for number in some.specobjid]
    one, same, other = (
        draw(model, sampler, context, keys, some.coarse.float(), z) for z in (some.z, some.z, some.z + 0.01)
    )
    assert torch.equal(one, same) and float((one - other).abs().amax(1).min()) > 1e-3
    np.testing.assert_array_equal(validation.drawn(model, sampler, some, 1, "true")[:, 0], one)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"diff_coarse": {"redshift": "free"}}, "set diff_coarse.redshift=drawn"),
        ({"diff_fine": {"sketch": 0}}, "redshift=given needs a sketch"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        Train(**change)
