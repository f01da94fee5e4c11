"""The training loop: equal numbers after a resume, the guard, schedules, averages, early stopping."""

import os
import signal

import numpy as np
import pytest
import torch

import ranks
import toy
from sanspec.config import RegressorSettings, Train
from sanspec.errors import SanspecError
from sanspec.nets import build, data, loop
from sanspec.nets.loop import Average

SMALL = {"batch": 16, "warmup": 3, "encoder_widths": (8, 16), "components": 8, "hidden": 32}


@pytest.fixture(scope="module")
def sky():
    return toy.draw(70, seed=1)


def trainer(sky, steps=20, identity=None, spoil=None, **shared):
    settings = SMALL | {"steps": steps} | shared.pop("regressor", {})
    train = Train(**({"valid_every": 6, "log_every": 4, "regressor": settings} | shared))
    galaxies = data.galaxies(sky.specobjid, sky.images, 4, fine=sky.log_flux, fine_mask=sky.mask, z=sky.z)
    torch.manual_seed(0)
    layout = build.Layout(64, toy.statistics(sky.images), toy.WAVE.tolist(), toy.COARSE_WAVE.tolist())
    model = build.build("regressor", train, layout)
    model.fit(galaxies)
    parts = galaxies.take(torch.arange(50)), galaxies.take(torch.arange(50, 70))
    if spoil:
        spoil(parts[0])
    return loop.Trainer("regressor", model, train, *parts, identity or {"settings": {"a": 1}})


class KilledError(Exception):
    pass


@pytest.mark.parametrize("killed", [5, 12, 13])
def test_a_resumed_training_runs_through_the_same_numbers(sky, tmp_path, killed, monkeypatch):
    whole = trainer(sky)
    expected = whole.run().state_dict()
    broken, state = trainer(sky, checkpoint=1e-9), tmp_path / "state.safetensors"
    step = broken.step

    def kill(number):
        if number == killed:
            raise KilledError
        step(number)

    monkeypatch.setattr(broken, "step", kill)
    with pytest.raises(KilledError):
        broken.run(state)
    resumed = trainer(sky)
    weights = resumed.run(state).state_dict()
    assert resumed.progress.curve == whole.progress.curve and resumed.progress.valid == whole.progress.valid
    assert resumed.progress.best_step == whole.progress.best_step
    for name, tensor in expected.items():
        assert torch.equal(tensor, weights[name]), name


def test_sigterm_saves_and_ends(sky, tmp_path):
    first, state = trainer(sky), tmp_path / "state.safetensors"
    step = first.step

    def signalled(number):
        step(number)
        if number == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    first.step = signalled
    with pytest.raises(SystemExit) as caught:
        first.run(state)
    assert caught.value.code == 143 and state.exists()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    second = trainer(sky)
    second.run(state)
    whole = trainer(sky)
    whole.run()
    assert second.progress.curve == whole.progress.curve


def test_a_state_of_other_settings_or_data_is_refused(sky, tmp_path):
    state = tmp_path / "state.safetensors"
    trainer(sky, identity={"settings": {"rate": 1, "batch": 2}, "data": "x"}).store(state)
    with pytest.raises(SanspecError, match=r"another settings: batch was 2, now 3; go back to it, or delete"):
        trainer(sky, identity={"settings": {"rate": 1, "batch": 3}, "data": "x"}).restore(state)
    with pytest.raises(SanspecError, match="another data: 'x', now 'y'"):
        trainer(sky, identity={"settings": {"rate": 1, "batch": 2}, "data": "y"}).restore(state)


def test_a_state_cut_short_is_one_line(sky, tmp_path):
    state = tmp_path / "state.safetensors"
    trainer(sky).store(state)
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(SanspecError, match="not a whole safetensors file"):
        trainer(sky).run(state)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("part", "place"), [("images", (7, 2, 30, 30)), ("fine", (7, 100))])
def test_bad_numbers_in_a_batch_are_named(sky, value, part, place):
    def spoil(galaxies):
        getattr(galaxies, part)[place] = value
        galaxies.fine_mask[7] = True

    bad = int(sky.specobjid[7])
    with pytest.raises(
        SanspecError,
        match=rf"regressor: loss (nan|inf).*holds NaN or infinity in specobjid \[{bad}\]: prepare",
    ):
        trainer(sky, spoil=spoil).run()


@pytest.mark.parametrize("case", ["diff_coarse", "diff_fine", "clip", "regressor"])
def test_a_spectrum_wholly_masked_leaves_loss_and_gradient_finite(case):
    """And what stands behind the mask changes no bit of a generative network's loss."""
    _, model, (galaxies, _), _ = ranks.made(case)
    batch = galaxies.take(torch.arange(4))
    which = "coarse" if "coarse" in case or case == "clip" else "fine"
    getattr(batch, f"{which}_mask")[2] = False
    losses = []
    for value in (0.0, 5.0):
        getattr(batch, which)[2] = value
        torch.manual_seed(0)
        losses.append(model.loss(batch))
        losses[-1].backward()
    assert all(loss.isfinite() for loss in losses)
    assert case == "regressor" or torch.equal(*(loss.detach() for loss in losses))
    assert all(weight.grad.isfinite().all() for weight in model.parameters() if weight.grad is not None)


def test_a_gradient_is_clipped_to_its_largest_norm(sky, monkeypatch):
    monkeypatch.setattr(loop, "CLIP", 1e-3)
    run = trainer(sky, steps=3)
    run.step(0)
    norm = torch.cat([weight.grad.flatten() for weight in run.model.parameters()]).norm()
    assert float(norm) == pytest.approx(1e-3, rel=1e-3) and float(run.progress.pending[0][2]) > 1e-2


def test_divergence_is_told_from_bad_input(sky):
    with pytest.raises(SanspecError, match=r"is finite: diverged; lower train\.regressor\.rate=1e\+30"):
        trainer(sky, regressor={"rate": 1e30, "warmup": 0}).run()


def test_fewer_galaxies_than_a_batch_are_trained_on(sky):
    small = trainer(sky, steps=4, regressor={"batch": 512})
    small.run()
    assert small.progress.step == 4


def test_the_loss_falls_and_the_best_weights_are_kept(sky):
    run = trainer(sky, steps=40, regressor={"rate": 3e-3})
    model = run.run()
    losses, values = run.progress.curve["loss"], [point["mse_log"] for point in run.progress.valid]
    assert np.mean(losses[-3:]) < 0.7 * losses[0]
    assert run.progress.best_value == min(values) and run.progress.valid[-1]["step"] == 40
    with torch.inference_mode():
        assert model.validate(run.valid)["mse_log"] == pytest.approx(min(values), rel=1e-6)


def test_training_stops_when_patience_runs_out(sky, monkeypatch):
    run = trainer(sky, steps=1000, valid_every=2, regressor={"patience": 3})
    monkeypatch.setattr(type(run.average.model), "validate", lambda *_: {"mse_log": 1.0})
    run.run()
    assert (
        run.progress.step == 8 and run.progress.best_step == 2
    )  # the first counts, then three without a better one


def test_further_scores_stand_on_the_curve_and_can_choose_the_weights(sky):
    """By a score of our own, larger or smaller the better; the random state of training is not touched."""
    plain = trainer(sky, steps=12, valid_every=3)
    plain.run()
    values = iter([0.2, 0.9, float("nan"), 0.5])

    def score(model):
        assert not model.training and torch.is_inference_mode_enabled()
        torch.rand(5)
        return {"top1": next(values)}

    scored = trainer(sky, steps=12, valid_every=3, regressor={"metric": "-top1"})
    scored.score = score
    scored.run()
    assert [point["top1"] for point in scored.progress.valid][:2] == [0.2, 0.9]
    assert scored.progress.best_step == 6 and scored.progress.best_value == -0.9
    assert scored.progress.curve == plain.progress.curve


def test_a_first_score_that_is_no_number_never_stays_the_best(sky, monkeypatch):
    run, values = trainer(sky, steps=6, valid_every=2), iter([float("nan"), 3.0, 4.0])
    monkeypatch.setattr(type(run.average.model), "validate", lambda *_: {"mse_log": next(values)})
    run.run()
    assert run.progress.best_step == 4 and run.progress.best_value == 3.0


def test_a_metric_that_is_not_measured_is_one_line(sky):
    with pytest.raises(SanspecError, match=r"train\.regressor\.metric='crps'; allowed: mse_log.* with '-'"):
        trainer(sky, steps=4, regressor={"metric": "crps"}).run()


def test_the_learning_rate_rises_and_falls():
    settings = RegressorSettings(steps=100, warmup=10, rate=0.5)
    rates = [loop.rate_at(step, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.05, rel=0.01) and max(rates) <= 0.5 and rates[9] > 0.48
    assert rates[50] == pytest.approx(0.25, abs=0.001) and 0 < rates[-1] < 1e-3
    assert loop.rate_at(99, RegressorSettings(steps=100, schedule="constant", rate=0.5)) == 0.5


def test_the_average_is_warmed_up_and_copies_buffers():
    model = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1))
    average = Average(model, 0.9)
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        average.model[0].weight.fill_(0.0)
        model[1].running_var.fill_(7.0)
    average.update(model, 0)
    assert float(average.model[0].weight) == pytest.approx(1 - 1 / 10)  # decay (0 + 1) / (0 + 10)
    assert float(average.model[1].running_var) == 7.0
    with torch.no_grad():
        model[0].weight.fill_(0.0)
    average.update(model, 10_000)
    assert float(average.model[0].weight) == pytest.approx(0.9 * 0.9)


def test_half_precision_trains(sky):
    run = trainer(sky, steps=6, precision="bf16")
    run.run()
    assert np.isfinite(run.progress.curve["loss"]).all()
