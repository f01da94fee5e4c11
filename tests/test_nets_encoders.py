"""Encoders: published sizes, exact folding, invariance of aperture fluxes, numbers of the image
standardisation.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sanspec.config import CoarseSettings, ContrastiveSettings, Train
from sanspec.nets import build, data
from sanspec.nets.encoders import Apertures, Context, ImageEncoder, ResNet, Stages, Stamp, fold, unfold
from sanspec.nets.unet import UNet
from sanspec.nets.unet_paper import PaperUNet

STATISTICS = {
    "softening": [0.05, 0.02, 0.03, 0.04, 0.15],
    "mean": [0.1, 0.3, 0.4, 0.4, 0.2],
    "std": [0.8, 1, 1.1, 1.1, 0.9],
}


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (
            lambda: ResNet(2, 3, 18),
            11_689_512 - 513_000,
        ),  # torchvision's resnet18 and resnet50 less their last layer
        (lambda: ResNet(2, 3, 50), 25_557_032 - 2_049_000),
        (lambda: ResNet(1, 1, 18), 3_843_904),
    ],
)
def test_resnets_have_the_published_number_of_parameters(model, parameters):
    assert build.count_parameters(model()) == parameters


def test_the_papers_networks_have_its_sizes():
    """35.9 M (11.18 M of them the image encoder) and 43.5 M parameters: Doorenbos et al. 2024 as released."""
    diffusion = CoarseSettings(architecture="paper", widths=(64, 128, 256, 512), attention=(3,))
    encoder = build.count_parameters(ResNet(2, 5, 18))
    assert encoder / 1e6 == pytest.approx(11.18, abs=0.005)
    whole = encoder + build.count_parameters(PaperUNet(563, 0, 512, 512, diffusion))
    assert whole / 1e6 == pytest.approx(35.90, abs=0.01)
    heads = 2048 * 128 + 128 + 1024 * 128 + 128
    spectra = build.count_parameters(Stages(1, 1, (64, 128, 256, 512, 1024), 2, 1))
    assert (build.count_parameters(ResNet(2, 5, 50)) + spectra + heads) / 1e6 == pytest.approx(
        43.48, abs=0.01
    )


@given(pixels=st.integers(1, 40), patch=st.sampled_from([1, 2, 4, 8]), channels=st.integers(1, 3))
@settings(max_examples=30, deadline=None)
def test_unfolding_undoes_folding(pixels, patch, channels):
    x = torch.randn(2, channels, pixels)
    folded = fold(x, patch)
    assert folded.shape == (2, channels * patch, -(-pixels // patch))
    assert torch.equal(unfold(folded, patch)[..., :pixels], x)


def test_folding_keeps_neighbours_together():
    x = torch.arange(8.0)[None, None]
    assert fold(x, 4)[0, :, 1].tolist() == [4, 5, 6, 7]
    assert fold(torch.arange(16.0).reshape(1, 1, 4, 4), 2)[0, :, 0, 1].tolist() == [2, 3, 6, 7]


@pytest.mark.parametrize("body", [UNet, PaperUNet])
@pytest.mark.parametrize("pixels", [563, 4500])
def test_denoisers_keep_the_length_of_a_spectrum(body, pixels):
    settings = CoarseSettings(widths=(32, 32, 32), patch=4, attention=(2,))
    network = body(pixels, 1, 12, 20, settings)
    context = Context(torch.zeros(2, 3, 12), torch.zeros(2, 20), *torch.zeros(2, 2, 0, pixels))
    out = network(torch.randn(2, 2, pixels), torch.tensor([0.1, 3.0]), context)
    assert out.shape == (2, pixels) and out.isfinite().all()


def disk(size=64, bands=5):
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    flux = 2 * np.exp(-np.hypot(x, y / 0.6) / 5)[None] * np.linspace(0.5, 1.5, bands)[:, None, None]
    return torch.from_numpy(flux.astype(np.float32))[None]


def test_aperture_fluxes_do_not_change_when_an_image_is_turned():
    apertures = Apertures((2.0, 5.0, 12.0), torch.tensor(STATISTICS["softening"]), 64)
    image = disk()
    for turned in (image.flip(-1), image.flip(-2), image.transpose(-1, -2), image.rot90(1, (-2, -1))):
        assert torch.allclose(apertures(turned), apertures(image), atol=1e-5)


def test_aperture_fluxes_are_areas_and_grow_with_radius():
    apertures = Apertures((2.0, 5.0, 12.0), torch.tensor([1.0]), 64)
    area = torch.sinh(apertures.magnitudes(torch.ones(1, 1, 64, 64))) * apertures.noise.flatten()
    assert torch.allclose(area[0], np.pi * torch.tensor([2.0, 5.0, 12.0]) ** 2, rtol=0.05)


def test_whitened_apertures_have_unit_covariance():
    apertures = Apertures((3.0, 6.0), torch.tensor(STATISTICS["softening"]), 64)
    generator = torch.Generator().manual_seed(0)
    images = (
        disk()
        * torch.randn(200, 5, 1, 1, generator=generator).exp()
        * (0.3 + disk().sqrt() * torch.rand(200, 1, 1, 1))
    )
    apertures.fit(images.split(50))
    features = apertures(images)
    assert torch.allclose(features.mean(0), torch.zeros(10), atol=1e-3)
    assert torch.allclose(torch.cov(features.T).diagonal()[-5:], torch.ones(5), atol=0.02)


def test_a_stamp_is_binned_in_flux_and_standardised():
    stamp = Stamp(STATISTICS, 64, 4, 2)
    images = torch.full((1, 5, 64, 64), 0.3)
    expected = (np.arcsinh(0.3 / np.array(STATISTICS["softening"])) - STATISTICS["mean"]) / STATISTICS["std"]
    pixels = stamp(images, torch.zeros(1, 2, dtype=torch.int64))
    assert pixels.shape == (1, 5, 30, 30)
    np.testing.assert_allclose(pixels[0, :, 7, 7], expected, rtol=1e-4)


@pytest.mark.parametrize("kind", ["small", "resnet18"])
def test_a_constant_image_gives_finite_context(kind):
    encoder = ImageEncoder(
        ContrastiveSettings(encoder=kind, encoder_widths=(8, 16)), Train(), STATISTICS, 64
    ).eval()
    for value in (0.0, 1.0, -3.0):
        images = np.full((2, 5, 64, 64), value, np.float16)
        tokens, vector = encoder(data.galaxies(np.arange(2), images, 4))
        assert vector.isfinite().all() and tokens.isfinite().all()
        assert vector.shape == (2, encoder.features) and tokens.shape[-1] == encoder.channels


@pytest.mark.parametrize(
    "change",
    [
        {"attention": (3,)},
        {"attention": (-1,)},
        {"widths": (30, 32), "attention": (0,)},
        {"architecture": "paper", "widths": (16,), "attention": (0,)},
    ],
)
def test_attention_where_it_cannot_be_is_refused(change):
    with pytest.raises(ValueError, match="must name levels 0 to"):
        CoarseSettings(**change)
