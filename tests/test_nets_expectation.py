"""Redshifts drawn from an image's odds; sketches that move with the redshift; lines of one draw at one redshift."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import toy
from sanspec.config import Train
from sanspec.errors import SanspecError
from sanspec.nets import build, data, properties
from sanspec.nets.cascade import draw, redshifts
from sanspec.nets.expectation import RedshiftOdds, RestFrame, principal, smoother
from sanspec.spectra import grid

WAVE = torch.from_numpy(np.array(grid.coarse_wave()))
SETTINGS = SimpleNamespace(sketch=16, dropout=0.0, bins=40, smoothing=0.0, components=6)


def line(z, place=6564.6, width=15.0):
    """ln(flux) of a line of rest-frame wavelength `place`."""
    return 0.8 * torch.exp(-0.5 * ((WAVE - place * (1 + z[:, None])) / width) ** 2).float()


@pytest.fixture(scope="module")
def frame():
    z = torch.linspace(0.05, 0.15, 200)
    made = RestFrame(WAVE, 4)
    spectra = line(z) + 0.1 * torch.linspace(-1, 1, 200)[:, None]
    made.fit(spectra, torch.ones_like(spectra, dtype=bool), z, spectra.mean(0))
    return made


@pytest.mark.parametrize("z", [0.052, 0.0871, 0.101, 0.1483])
def test_a_rest_frame_line_stands_where_the_redshift_puts_it(frame, z):
    """The blurred mean in the observed frame has none; at a redshift the centroid is right to 0.3 A."""
    found = frame(torch.zeros(1, 4), torch.tensor([z]))[0].double()
    near = (WAVE - 6564.6 * (1 + z)).abs() < 60
    centroid = (found * WAVE)[near].sum() / found[near].sum()
    assert float(centroid) == pytest.approx(6564.6 * (1 + z), abs=0.3)
    assert float(found[near].max()) == pytest.approx(0.8, rel=0.08)


def test_components_rebuild_what_they_were_made_of(frame):
    """Offsets of a whole spectrum are the first component."""
    z = torch.full((2,), 0.1)
    up, down = frame(torch.tensor([[1.0, 0, 0, 0], [-1.0, 0, 0, 0]]), z)
    inner = slice(60, -60)
    assert float((up - down)[inner].std()) < 0.02 and float((up - down)[inner].mean().abs()) > 0.08


def test_principal_components_are_those_of_the_singular_values_and_leave_the_generator_alone():
    spectra = torch.randn(50, 6, generator=torch.Generator().manual_seed(1)) * torch.tensor(
        [9, 5, 3, 1, 1, 1]
    )
    before = torch.get_rng_state()
    vectors, spread = principal(spectra, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(map(torch.equal, principal(spectra, 3), (vectors, spread)))
    _, values, exact = torch.linalg.svd(spectra, full_matrices=False)
    assert torch.allclose(spread, values[:3] / 50**0.5, rtol=1e-4)
    assert torch.allclose((vectors @ exact[:3].T).abs(), torch.eye(3), atol=1e-3)
    assert len(principal(spectra, 40)[1]) == 6


def test_redshifts_follow_the_odds_they_were_given():
    torch.manual_seed(0)
    odds = RedshiftOdds(3, SETTINGS).requires_grad_(False)
    odds.fit(torch.linspace(0.05, 0.15, 100))
    wanted = torch.softmax(-0.5 * ((torch.arange(40) - 12) / 5) ** 2, 0)
    odds.body[-1].weight.zero_()
    odds.body[-1].bias.copy_(wanted.log())
    uniform = (torch.arange(4000) + 0.5) / 4000
    drawn = odds.draw(torch.zeros(4000, 3), uniform)
    counts = torch.histc(drawn, 40, 0.05, 0.15) / 4000
    assert torch.allclose(counts, wanted, atol=2e-3) and (drawn.diff() >= 0).all()
    ends = odds.draw(torch.zeros(2, 3), torch.tensor([0.0, 1.0]))
    assert float(ends[0]) >= 0.05 and float(ends[1]) <= 0.15 + 1e-6


def test_their_loss_is_the_entropy_where_they_are_right():
    odds = RedshiftOdds(3, SETTINGS).requires_grad_(False)
    z = torch.linspace(0.05, 0.15, 4001)[:-1] + 1e-5
    odds.fit(z)
    for weight in odds.parameters():
        weight.zero_()
    assert float(odds.loss(torch.zeros(4000, 3), z)) == pytest.approx(np.log(40), rel=1e-4)
    outside = odds.loss(torch.zeros(2, 3), torch.tensor([0.0, 0.9]))  # galaxies beyond the training range
    assert outside.isfinite()


def test_smooth_odds_keep_a_constant_and_spread_a_peak_as_far_as_asked():
    assert torch.equal(smoother(5, 0.0), torch.eye(5))
    kernel = smoother(41, 3.0)
    assert torch.allclose(torch.ones(41) @ kernel, torch.ones(41), atol=1e-6)
    place = torch.arange(41) - 20.0
    peak = torch.eye(41)[20] @ kernel
    assert float((peak * place**2).sum() / peak.sum()) == pytest.approx(9.0, rel=0.02)


def test_a_galaxy_in_one_bin_teaches_its_neighbours():
    """The gradient of one galaxy's loss raises the log odds beside its bin too, and only there."""
    for width, taught in ((0.0, False), (3.0, True)):
        odds = RedshiftOdds(3, SimpleNamespace(**vars(SETTINGS) | {"smoothing": width}))
        odds.fit(torch.linspace(0.05, 0.15, 100))
        for weight in odds.parameters():
            torch.nn.init.zeros_(weight)
        odds.loss(torch.zeros(1, 3), torch.tensor([0.1001])).backward()
        change = -odds.body[-1].bias.grad @ odds.kernel
        assert int(change.argmax()) == 20
        assert (float(change[22]) > 0) is taught and float(change[2]) < 0


@pytest.fixture(scope="module")
def trained():
    """A network whose sketch alone is trained, for moments, on the toy sky."""
    sky = toy.draw(300, seed=4)
    spectra = {"coarse": sky.coarse_log_flux, "coarse_mask": sky.coarse_mask, "z": sky.z}
    galaxies = data.galaxies(sky.specobjid, sky.images, 4, **spectra)
    layout = build.Layout(64, toy.statistics(sky.images), toy.WAVE.tolist(), toy.COARSE_WAVE.tolist())
    torch.manual_seed(0)
    own = {"widths": (16, 24), "patch": 8, "attention": (1,), "encoder_widths": (8, 16), "dropout": 0.0}
    model = build.build("diff_coarse", Train(diff_coarse=own), layout)
    model.fit(galaxies)
    weights = [*model.sketch.parameters(), *model.odds.parameters(), *model.encoder.parameters()]
    optimiser = torch.optim.Adam(weights, lr=3e-3)
    for step in range(60):
        rows = torch.arange(300)[step % 6 :: 6]
        optimiser.zero_grad()
        model.loss(galaxies.take(rows)).backward()
        optimiser.step()
    return model.eval().requires_grad_(False), galaxies, sky


def test_the_sketch_knows_the_galaxy_and_stands_at_its_redshift(trained):
    model, galaxies, _ = trained
    image = model.encode(galaxies)
    truth = model.standard(galaxies.coarse)
    errors = [
        float((model.at(image, galaxies.z + shift).sketch[:, 0] - truth).square().mean())
        for shift in (0.0, 0.01)
    ]
    assert errors[0] < 0.5 * float(truth.square().mean()) and errors[0] < 0.9 * errors[1]


def test_each_draw_has_a_redshift_of_its_own_key_near_the_truth(trained):
    model, galaxies, sky = trained
    context = model.encode(galaxies)
    one, two = (redshifts(model, context, [f"{key}/{n}" for key in range(300)]) for n in (0, 1))
    assert torch.equal(one, redshifts(model, context, [f"{key}/0" for key in range(300)]))
    assert not torch.equal(one, two)
    assert np.corrcoef(one.numpy(), sky.z)[0, 1] > 0.5
    assert float(one.min()) >= sky.z.min() - 1e-6 and float(one.max()) <= sky.z.max() + 1e-6


def test_another_redshift_moves_the_draw_with_it(trained):
    """What the denoiser is told of a galaxy at two redshifts differs by a shift, and so do its features."""
    model, galaxies, _ = trained
    some = galaxies.take(torch.arange(8))
    context = model.encode(some)
    sketches = [model.at(context, torch.full((8,), z)).sketch[:, 0] for z in (0.08, 0.12)]
    shift = round(float(np.log(1.12 / 1.08)) * 6900 / 8)
    rows = slice(360, 400)  # about Halpha
    aligned = sketches[1][:, rows.start + shift : rows.stop + shift]
    together = np.corrcoef(sketches[0][:, rows].ravel().numpy(), aligned.ravel().numpy())[0, 1]
    apart = np.corrcoef(sketches[0][:, rows].ravel().numpy(), sketches[1][:, rows].ravel().numpy())[0, 1]
    assert together > apart


def test_draws_are_finite_and_as_many_as_keys(trained):
    from sanspec.config import Sampler

    model, galaxies, _ = trained
    context = model.encode(galaxies.take(torch.arange(2))).repeat(3)
    drawn = draw(model, Sampler(evaluations=2), context, [str(i) for i in range(6)])
    assert drawn.shape == (6, 563) and drawn.isfinite().all()


def test_a_drawn_redshift_needs_a_sketch():
    with pytest.raises((SanspecError, ValueError), match="needs a sketch"):
        Train(diff_coarse={"sketch": 0})


# ------------------------------------------------------------------------------------------ properties


@pytest.mark.parametrize("z", [0.06, 0.1, 0.14])
def test_break_and_halpha_of_a_made_spectrum(z):
    wave = torch.from_numpy(grid.WAVE.copy())
    rest = wave / (1 + z)
    flux = torch.where(rest < 3975, 1.0, 1.6) * (rest / 5000) ** -2.0  # F_nu flat on both sides
    flux = flux * (1 + 12.0 / (3 * np.sqrt(2 * np.pi)) * torch.exp(-0.5 * ((rest - 6564.6) / 3) ** 2))
    found = properties.measured(flux.log()[None].float(), wave, torch.tensor([z]))[0]
    assert found[0] == pytest.approx(z) and float(found[1]) == pytest.approx(1.6, rel=2e-3)
    assert 5 * float(found[2].sinh()) == pytest.approx(12.0, abs=0.3)
