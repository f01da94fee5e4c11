"""Contrastive losses against their definitions, and what a trained pair of encoders must do."""

import numpy as np
import pytest
import torch
from torch.nn import functional

import toy
from sanspec.config import Train
from sanspec.nets import build, data
from sanspec.nets.contrastive import clip_loss, nt_xent_loss

SMALL = {"encoder_widths": (8, 16), "widths": (8, 16), "patch": 8, "latent": 16, "dropout": 0.0}


def latents(count=5, size=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [functional.normalize(torch.randn(count, size, generator=generator), dim=1) for _ in range(2)]


def test_nt_xent_is_equation_a3():
    """The mean over all 2N latents of -log(exp(s_ij / t) / sum_{k != i} exp(s_ik / t)), written out."""
    images, spectra = latents()
    both, temperature, terms = torch.cat([images, spectra]).double(), 0.2, []
    for i in range(10):
        j = (i + 5) % 10
        scores = [float(both[i] @ both[k]) / temperature for k in range(10)]
        others = sum(np.exp(scores[k]) for k in range(10) if k != i)
        terms.append(-np.log(np.exp(scores[j]) / others))
    assert float(nt_xent_loss(images, spectra, torch.tensor(1 / temperature))) == pytest.approx(
        np.mean(terms), rel=1e-5
    )


def test_clip_loss_is_the_mean_of_both_cross_entropies():
    images, spectra = latents()
    scores = np.exp(3.0 * (images.double() @ spectra.double().T).numpy())
    rows = -np.log(np.diag(scores) / scores.sum(1))
    columns = -np.log(np.diag(scores) / scores.sum(0))
    assert float(clip_loss(images, spectra, torch.tensor(3.0))) == pytest.approx(
        (rows.mean() + columns.mean()) / 2, rel=1e-5
    )


@pytest.mark.parametrize("loss", [clip_loss, nt_xent_loss])
def test_losses_are_symmetric_and_least_for_the_right_pairs(loss):
    images, spectra = latents(8, 16)
    scale = torch.tensor(5.0)
    assert float(loss(images, spectra, scale)) == pytest.approx(float(loss(spectra, images, scale)), rel=1e-5)
    assert float(loss(images, images, scale)) < float(loss(images, images.roll(1, 0), scale))


@pytest.fixture(scope="module")
def sky():
    return toy.draw(300, seed=3)


def pair(sky, which, **change):
    name = f"clip_{which}"
    spectra = {"coarse": (sky.coarse_log_flux, sky.coarse_mask), "fine": (sky.log_flux, sky.mask)}[which]
    galaxies = data.galaxies(sky.specobjid, sky.images, 4, **dict(zip((which, f"{which}_mask"), spectra)))
    layout = build.Layout(64, toy.statistics(sky.images), toy.WAVE.tolist(), toy.COARSE_WAVE.tolist())
    torch.manual_seed(0)
    model = build.build(name, Train(**{name: SMALL | change}), layout)
    model.fit(galaxies)
    return model, galaxies


@pytest.mark.parametrize("which", ["coarse", "fine"])
def test_embeddings_lie_on_the_unit_sphere_and_ignore_masked_pixels(sky, which):
    model, galaxies = pair(sky, which)
    with torch.inference_mode():
        images = model.eval().embed_images(galaxies.take(torch.arange(5)))
        spectra, mask = (part[:5].clone() for part in model.spectra(galaxies))
        clean = model.embed_spectra(spectra, mask)
        spoilt = model.embed_spectra(torch.where(mask, spectra, torch.nan), mask)
    assert torch.allclose(images.norm(dim=1), torch.ones(5), atol=1e-5)
    assert torch.allclose(clean.norm(dim=1), torch.ones(5), atol=1e-5) and torch.equal(clean, spoilt)


def test_training_brings_the_own_spectrum_to_the_front(sky):
    """Forty steps on the toy sky, whose images tell age and redshift: retrieval far above chance."""
    model, galaxies = pair(sky, "coarse")
    train, test = galaxies.take(torch.arange(210)), galaxies.take(torch.arange(210, 300))
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(40):
        loss = model.loss(train.take(data.rows_of_step(210, 64, 0, step)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        scores = model.eval().validate([test])
    assert scores["top5"] > 4 * 5 / 90 and scores["loss"] < np.log(90) - 0.8


def test_the_temperature_is_learnt_for_clip_alone(sky):
    clip, _ = pair(sky, "coarse")
    xent, _ = pair(sky, "coarse", loss="nt_xent")
    assert "log_scale" in dict(clip.named_parameters()) and "log_scale" in dict(xent.named_buffers())
