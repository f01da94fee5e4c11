"""What a training costs: torch's count against one by hand, the audited figures of the 2024 networks, memory."""

import copy
import functools

import numpy as np
import pytest
import torch
from torch import nn

import toy
from conftest import ROOT
from sanspec import config
from sanspec.config import NETWORKS
from sanspec.errors import SanspecError
from sanspec.nets import build, cost, data
from sanspec.nets.unet import Attention
from sanspec.nets.unet_paper import MultiHead

PRESETS = {"smoke": "config/tiny.yaml", "demo": "config.yaml", "paper": "config/paper.yaml"}
PRESETS["modern-full"] = "config/modern-full.yaml"


@functools.cache
def settings(preset):
    return config.load(ROOT / PRESETS[preset]).train


@functools.cache
def sky():
    return toy.draw(4)


def network(train, name, count=4):
    """A network with fresh weights and `count` galaxies for it."""
    own = sky()
    spectra = {"coarse": own.coarse_log_flux, "coarse_mask": own.coarse_mask}
    spectra |= {"fine": own.log_flux, "fine_mask": own.mask, "z": own.z}
    galaxies = data.galaxies(own.specobjid, own.images, train.crop, **spectra)
    layout = build.Layout(64, toy.statistics(own.images), toy.WAVE.tolist(), toy.COARSE_WAVE.tolist())
    return build.build(name, train, layout), galaxies.take(torch.arange(count))


@functools.cache
def work_of(preset, name):
    return cost.count(*network(settings(preset), name, 2))


def by_hand(model, galaxies):
    """Operations of the forward pass a galaxy: 2 a multiply-add of every convolution, linear layer, product of
    attention, aperture and principal component.
    """
    total = 0

    def seen(module, given, out):
        nonlocal total
        if isinstance(module, nn.ConvTranspose1d):
            total += 2 * given[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            total += 2 * out.numel() * module.weight[0].numel()
        elif isinstance(module, MultiHead):
            x, keys = given
            total += 4 * x.numel() * keys.shape[1]
        elif isinstance(module, Attention):
            x, tokens = given
            total += 4 * x.numel() * (x.shape[-1] + tokens.shape[1])

    model = copy.deepcopy(model).to("meta")
    for module in model.modules():
        module.register_forward_hook(seen)
    model.loss(galaxies.to("meta"))
    apertures = getattr(model.encoder, "apertures", None)
    if apertures is not None:
        total += 2 * apertures.weight.numel() * 5 * len(galaxies)
        total += 2 * apertures.whiten.numel() * len(galaxies)
    for bases in (model, getattr(getattr(model, "sketch", None), "frame", None)):
        if hasattr(bases, "vectors"):
            total += 2 * bases.vectors.numel() * len(galaxies)
    if hasattr(model, "embed_spectra"):
        total += 2 * len(galaxies) ** 2 * model.settings.latent * (1 if model.settings.loss == "clip" else 4)
    return total / len(galaxies)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("preset", PRESETS)
def test_torchs_count_is_the_one_by_hand(preset, name):
    work = work_of(preset, name)
    assert work.forward == pytest.approx(by_hand(*network(settings(preset), name, 2)), rel=5e-3)
    assert 2.2 < work.step / work.forward < 3.05  # twice again for the gradients, less that of the input


@pytest.mark.parametrize(("name", "forward", "step"), [("clip_coarse", 2.5, 7.4), ("clip_fine", 14.9, 44.7)])
def test_the_contrastive_networks_of_2024_take_their_audited_operations(name, forward, step):
    """GFLOP a galaxy of the released code, measured by its audit."""
    work = work_of("paper", name)
    assert work.forward / 1e9 == pytest.approx(forward, rel=0.02)
    assert work.step / 1e9 == pytest.approx(step, rel=0.01)


@pytest.mark.parametrize(("preset", "sizes"), {"paper": (35.90, 43.48, 35.90, 43.48)}.items())
def test_presets_have_their_published_sizes(preset, sizes):
    """Millions of parameters of the four networks: Doorenbos et al. 2024 as released."""
    order = ("diff_coarse", "clip_coarse", "diff_fine", "clip_fine")
    for name, size in zip(order, sizes, strict=True):
        model, _ = network(settings(preset), name, 2)
        assert build.count_parameters(model) / 1e6 == pytest.approx(size, abs=0.01)


def test_an_estimate_adds_up():
    train = settings("smoke")
    model, galaxies = network(train, "diff_fine")
    price = cost.estimate(model, galaxies, train.diff_fine, train)
    own = train.diff_fine
    assert price.flop == pytest.approx(price.flop_per_galaxy * 4 * own.steps)  # four galaxies make the batch
    assert price.seconds == pytest.approx(price.flop / price.flop_per_second)
    assert price.bytes_data == galaxies.nbytes() and price.bytes_network == 24 * price.parameters
    assert price.bytes_measured == 0 and price.devices == 1
    assert price.parameters == build.count_parameters(model)


def test_an_estimate_changes_neither_network_nor_random_numbers():
    train = settings("smoke")
    model, galaxies = network(train, "regressor")
    before = copy.deepcopy(model.state_dict())
    torch.manual_seed(3)
    cost.estimate(model, galaxies, train.regressor, train)
    drawn = torch.rand(3)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(3)) and all(weight.grad is None for weight in model.parameters())
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_activations_grow_with_the_network():
    small, large = work_of("demo", "diff_coarse"), work_of("paper", "diff_coarse")
    assert large.kept > 5 * small.kept > 0


def test_a_batch_that_does_not_fit_is_one_line(monkeypatch):
    train = settings("smoke")
    model, galaxies = network(train, "regressor")

    def full(self, batch):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(type(model), "loss", full)
    with pytest.raises(SanspecError, match="a batch share of 4 galaxies does not fit into its memory; lower"):
        cost.trial(model, galaxies, "fp32")


@pytest.mark.parametrize(("seconds", "said"), [(7, "7 seconds"), (600, "10.0 minutes"), (8e4, "22.2 hours")])
def test_durations_are_said_in_their_own_unit(seconds, said):
    assert cost._duration(seconds) == said and np.isfinite(seconds)


@pytest.mark.parametrize(("preset", "bound"), [("modern-full", 1e18), ("paper", 4e19), ("demo", 2e14)])
def test_a_preset_stays_within_its_budget_of_operations(preset, bound):
    """Of all five networks; the full-size default takes a tenth of the paper's recipe or less."""
    train, total = settings(preset), 0.0
    for name in NETWORKS:
        own = getattr(train, name)
        total += work_of(preset, name).step * own.batch * own.steps
    assert bound / 10 < total < bound
