"""Diffusion networks: preconditioning, losses, alignment of the grids, standardisation, masks."""

import numpy as np
import pytest
import torch

import toy
from sanspec.config import Train
from sanspec.nets import build, data
from sanspec.nets.diffusion import Align, Standard, masked_mean
from sanspec.nets.encoders import Context
from sanspec.spectra import grid

SMALL = {"widths": (16, 24), "patch": 8, "attention": (1,), "encoder_widths": (8, 16), "dropout": 0.0}


@pytest.fixture(scope="module")
def sky():
    return toy.draw(40)


def tensors(sky, *which):
    arrays = {"coarse": (sky.coarse_log_flux, sky.coarse_mask), "fine": (sky.log_flux, sky.mask)}
    spectra = {f"{name}{end}": part for name in which for end, part in zip(("", "_mask"), arrays[name])}
    spectra["z"] = sky.z
    return data.galaxies(sky.specobjid, sky.images, 4, **spectra)


def layout(sky):
    return build.Layout(64, toy.statistics(sky.images), toy.WAVE.tolist(), toy.COARSE_WAVE.tolist())


def network(sky, name="diff_coarse", **change):
    torch.manual_seed(0)
    model = build.build(name, Train(**{name: SMALL | change}), layout(sky))
    model.fit(tensors(sky, "coarse", "fine"))
    return model


def context_of(model, galaxies):
    """The denoiser's context of galaxies at their true redshifts."""
    return model.at(model.conditioned(model.encode(galaxies), model.condition(galaxies)), galaxies.z)


@pytest.mark.parametrize("prediction", ["edm", "epsilon"])
def test_a_perfect_network_has_no_loss_and_denoises_exactly(sky, prediction):
    """If F is what the loss asks for, D gives x0 back at every noise level."""
    model = network(sky, prediction=prediction)
    clean, normal = torch.randn(6, 563), torch.randn(6, 563)
    noise = torch.tensor([0.002, 0.1, 1.0, 5.0, 30.0, 80.0])
    x = clean + noise[:, None] * normal
    skip, out, inside = model.precondition(noise[:, None])
    wanted = (clean - skip * x) / out
    model.body.forward = lambda *_: wanted
    context = Context(torch.zeros(6, 1, 1), torch.zeros(6, 1), *torch.zeros(2, 6, 0, 563))
    denoised = model.denoise(x, noise, context)
    assert torch.allclose(denoised, clean, atol=1e-3)
    if prediction == "epsilon":
        assert torch.allclose(wanted, normal, atol=1e-3)
    assert torch.allclose(inside.square() * (noise[:, None].square() + 1), torch.ones(6, 1))


def test_edm_preconditioning_gives_inputs_and_targets_unit_variance(sky):
    """Karras et al. 2022, appendix B.6, for data of unit variance."""
    model = network(sky)
    clean, normal = torch.randn(4, 50_000), torch.randn(4, 50_000)
    for level in (0.01, 0.5, 2.0, 40.0):
        noise = torch.full((4, 1), level)
        x = clean + noise * normal
        skip, out, inside = model.precondition(noise)
        assert float((inside * x).std()) == pytest.approx(1, rel=0.02)
        assert float(((clean - skip * x) / out).std()) == pytest.approx(1, rel=0.02)


def test_noise_levels_follow_the_lognormal_and_the_cosine_schedule(sky):
    uniform = (torch.arange(1000) + 0.5) / 1000
    logs = network(sky, noise_mean=-0.3, noise_std=1.2).draw_levels(uniform).log()
    assert float(logs.mean()) == pytest.approx(-0.3, abs=0.01) and float(logs.std()) == pytest.approx(
        1.2, rel=0.01
    )
    levels = network(sky, noise="cosine").draw_levels(uniform)
    assert len(levels.unique()) == 250 and float(levels.max()) == pytest.approx(316, abs=1)


def test_an_untrained_network_predicts_the_prior(sky):
    """Its last layer is 0, so its loss is the variance of the target: 1."""
    model = network(sky).eval()
    galaxies = tensors(sky, "coarse")
    with torch.inference_mode():
        context, target = context_of(model, galaxies), model.target(galaxies)
        loss = model.denoising_loss(context, *target, torch.full((40,), 0.5), torch.randn(40, 563))
    assert float(loss) == pytest.approx(1.0, abs=0.1)


def test_masked_pixels_do_not_count(sky):
    model, galaxies = network(sky).eval(), tensors(sky, "coarse")
    uniform, normal = torch.rand(40), torch.randn(40, 563)
    garbage = galaxies.coarse.clone()
    mask = torch.ones_like(galaxies.coarse_mask)
    mask[:, -1] = False
    garbage[:, -1] = torch.nan
    spoilt = data.replace(galaxies, coarse=garbage, coarse_mask=mask)
    values = masked_mean((spoilt.coarse.float() - 1).square(), mask)
    assert values.isfinite() and float(masked_mean(garbage.float(), torch.zeros_like(mask))) == 0
    none = data.replace(galaxies, coarse_mask=torch.zeros_like(mask))
    assert (
        float(model.denoising_loss(context_of(model, none), *model.target(none), uniform, normal).detach())
        == 0
    )


def test_validation_gives_the_same_number_each_time(sky):
    model = network(sky).eval()
    batches = [tensors(sky, "coarse").take(rows) for rows in torch.arange(40).split(16)]
    with torch.inference_mode():
        assert model.validate(batches) == model.validate(batches)


def test_standardisation_leaves_masked_pixels_out():
    generator = torch.Generator().manual_seed(0)
    spectra = 3 + 0.5 * torch.randn(3000, 20, generator=generator)
    mask = torch.rand(spectra.shape, generator=generator) > 0.3
    standard = Standard(20)
    standard.fit(torch.where(mask, spectra, 99.0), mask)
    assert torch.allclose(standard.mean, torch.full((20,), 3.0), atol=0.05)
    assert float(standard.scale) == pytest.approx(0.5, rel=0.02)
    assert torch.allclose(standard.inverse(standard(spectra)), spectra, atol=1e-5)


# ---------------------------------------------------------------------------------------- the two grids


@pytest.mark.parametrize("place", np.linspace(4200.0, 8300.0, 12))
def test_a_moving_line_stays_where_it_is_when_aligned(place):
    """The centroid of a line, made coarse and aligned with the fine grid again, is kept to 0.02 A wherever it
    falls.
    """
    line = np.exp(-0.5 * ((grid.WAVE - place) / 15) ** 2)[None]
    coarse, _ = grid.coarse(line, np.ones_like(line, dtype=bool))
    align = Align(torch.from_numpy(grid.WAVE.copy()), torch.from_numpy(np.array(grid.coarse_wave())))
    again = align(torch.from_numpy(coarse).float()).double().numpy()[0]
    assert np.sum(again * grid.WAVE) / np.sum(again) == pytest.approx(place, abs=0.02)


def test_alignment_is_exact_for_straight_lines():
    wave = torch.from_numpy(grid.WAVE.copy())
    slope = (1e-3 * (wave - 6000))[None]
    coarse, _ = grid.coarse(slope.numpy(), np.ones(slope.shape, bool))
    align = Align(wave, torch.from_numpy(np.array(grid.coarse_wave())))
    inner = slice(8, -8)
    assert torch.allclose(
        align(torch.from_numpy(coarse).float())[0, inner], slope[0, inner].float(), atol=1e-5
    )


@pytest.mark.parametrize("target", ["residual", "spectrum"])
def test_what_is_diffused_is_restored(sky, target):
    model = network(sky, "diff_fine", target=target, attention=(), patch=32).eval()
    galaxies = tensors(sky, "coarse", "fine")
    clean, _ = model.target(galaxies)
    condition = model.conditioned(model.encode(galaxies), model.condition(galaxies)).condition
    assert torch.allclose(model.restore(clean, galaxies.coarse.float()), galaxies.fine.float(), atol=1e-3)
    assert condition.shape == (40, 1, 4500)
    assert float(clean[galaxies.fine_mask].std()) == pytest.approx(1, abs=0.02)


def test_the_condition_is_noisy_in_training_alone(sky):
    model = network(sky, "diff_fine", attention=(), patch=32, condition_noise=0.1)
    galaxies = tensors(sky, "coarse", "fine")
    still = [model.eval().condition(galaxies) for _ in range(2)]
    moved, target = model.train().condition(galaxies), model.target(galaxies)
    assert torch.equal(*still) and not torch.equal(moved, still[0])
    assert torch.equal(target[0], model.eval().target(galaxies)[0])
