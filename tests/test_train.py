"""The training stage by its command line: products, resuming after SIGKILL, every bad input as one line."""

import json
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

import toy
from conftest import ROOT
from sanspec import config, store
from sanspec.__main__ import main
from sanspec.config import NETWORKS
from sanspec.nets import lease, source

TINY = ROOT / "config" / "tiny.yaml"


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    return toy.make(tmp_path_factory.mktemp("toy"), 80)


def command(sky, folder, network="regressor", settings=TINY, **change):
    files = {
        "config": settings,
        "network": network,
        "spectra": sky.spectra,
        "images": sky.images,
        "statistics": sky.statistics,
        "out": folder / f"{network}.safetensors",
        "record": folder / f"{network}.json",
        "device": "cpu",
    } | change
    return ["train", *(text for key, value in files.items() for text in (f"--{key}", str(value)))]


@pytest.mark.parametrize("network", NETWORKS)
def test_each_network_trains_and_leaves_weights_and_a_readable_record(sky, tmp_path, network):
    assert main(command(sky, tmp_path, network, state=tmp_path / "state", logdir=tmp_path / "tb")) == 0
    record = json.loads((tmp_path / f"{network}.json").read_text())
    assert record["network"] == network and record["step"] == 30 and record["galaxies"] == 56
    assert record["curve"]["step"] == [5, 10, 15, 20, 25, 30] and np.isfinite(record["curve"]["loss"]).all()
    assert [point["step"] for point in record["valid"]] == [15, 30] and record["best_step"] in (15, 30)
    assert record["weights"] == store.digest(tmp_path / f"{network}.safetensors")
    assert record["settings"]["steps"] == 30 and record["environment"]["device"] == "cpu"
    assert record["source"] == source.digest() and "loop.py" in {path.name for path in source.files()}
    assert 0 < record["seconds_training"] < record["seconds"]
    assert record["valid_galaxies"] == 12 and record["metric"] in record["valid"][0]
    assert record["cost"]["parameters"] == record["parameters"] and record["cost"]["flop"] > 1e8
    assert not (tmp_path / "state").exists()
    assert list((tmp_path / "tb").glob("events.out.tfevents.*"))


def spawned(arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "sanspec", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def slow(tmp_path, more=""):
    """Settings of a training long enough to be killed in, with a checkpoint after every step."""
    path = tmp_path / "slow.yaml"
    path.write_text(TINY.read_text().replace("regressor: {steps: 30", f"regressor: {{{more}steps: 90"))
    path.write_text(path.read_text().replace("train:\n", "train:\n  checkpoint: 0.001\n"))
    return path


def wait_for(path, process, seconds=120):
    for _ in range(seconds * 20):
        if path.exists() or process.poll() is not None:
            return
        time.sleep(0.05)


def test_a_killed_training_resumes_and_gives_the_same_curve(sky, tmp_path):
    settings, state = slow(tmp_path), tmp_path / "state"
    process = spawned(command(sky, tmp_path, settings=settings, state=state))
    wait_for(state / "state.safetensors", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and not (tmp_path / "regressor.safetensors").exists()
    assert main(command(sky, tmp_path, settings=settings, state=state)) == 0
    resumed = json.loads((tmp_path / "regressor.json").read_text())
    assert main(command(sky, tmp_path / "whole", settings=settings)) == 0
    whole = json.loads((tmp_path / "whole" / "regressor.json").read_text())
    assert resumed["curve"] == whole["curve"] and resumed["valid"] == whole["valid"]
    assert resumed["weights"] == whole["weights"]


def test_a_twin_is_refused_and_an_interrupted_one_under_other_settings_too(sky, tmp_path, capsys):
    settings, state = slow(tmp_path), tmp_path / "state"
    process = spawned(command(sky, tmp_path, settings=settings, state=state))
    wait_for(state / "state.safetensors", process)
    assert main(command(sky, tmp_path, settings=settings, state=state)) == 2
    assert f"in use by process {process.pid}" in capsys.readouterr().err
    process.send_signal(signal.SIGTERM)
    assert "SIGTERM at step" in process.communicate()[1] and process.returncode == 143
    assert main(command(sky, tmp_path, state=state)) == 2
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if "another settings: steps was 90, now 30" in line]) == 1


def test_two_processes_train_one_network_and_end_on_sigterm_with_a_state_that_one_goes_on_from(sky, tmp_path):
    settings, state = slow(tmp_path, "dropout: 0, "), tmp_path / "state"
    process = spawned(command(sky, tmp_path, settings=settings, state=state, gpus=2))
    wait_for(state / "state.safetensors", process)
    process.send_signal(signal.SIGTERM)
    said = process.communicate()[1]
    assert "2 x cpu" in said and "SIGTERM at step" in said and process.returncode not in (0, None)
    assert not (tmp_path / "regressor.safetensors").exists() and (state / "state.safetensors").exists()
    assert main(command(sky, tmp_path, settings=settings, state=state)) == 0
    resumed = json.loads((tmp_path / "regressor.json").read_text())
    assert main(command(sky, tmp_path / "whole", settings=settings)) == 0
    whole = json.loads((tmp_path / "whole" / "regressor.json").read_text())
    assert resumed["step"] == whole["step"] == 90
    np.testing.assert_allclose(resumed["curve"]["loss"], whole["curve"]["loss"], rtol=1e-2)


def test_what_a_training_costs_is_said_before_it_starts(sky, tmp_path, caplog):
    caplog.set_level("INFO")
    assert main(command(sky, tmp_path)) == 0
    told = next(line for line in caplog.messages if "GFLOP per galaxy" in line)
    assert all(word in told for word in ("M parameters", "FLOP in all", "about", "GB of memory"))
    assert caplog.messages.index(told) < next(
        k for k, line in enumerate(caplog.messages) if "step 15" in line
    )


def test_images_held_in_eight_bits_take_half_the_room_and_train_as_well(sky, tmp_path):
    records = {}
    for kind in ("half", "byte"):
        settings = tmp_path / f"{kind}.yaml"
        settings.write_text(TINY.read_text().replace("train:\n", f"train:\n  images: {kind}\n"))
        assert main(command(sky, tmp_path / kind, settings=settings)) == 0
        records[kind] = json.loads((tmp_path / kind / "regressor.json").read_text())
    saved = records["half"]["cost"]["bytes_data"] - records["byte"]["cost"]["bytes_data"]
    assert saved == pytest.approx(56 * 5 * 64 * 64, abs=100)
    assert records["byte"]["best_value"] == pytest.approx(records["half"]["best_value"], rel=0.05)


# ------------------------------------------------------------------------------------------- bad input


def test_two_processes_that_ask_for_one_device_are_told_apart(sky, tmp_path, capsys, monkeypatch):
    """On a made-up device: the second is refused before torch is asked for it."""
    monkeypatch.setattr(lease.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with lease.exclusive(lease.folder() / "7.lock") as holder:
        assert holder is None
        assert main(command(sky, tmp_path, device="auto")) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and "every offered GPU is in use (7 by process" in said[0]


def spoilt(tmp_path, change):
    """A toy sky whose spectra.h5 and images.h5 were changed by `change(spectra, images)`."""
    sky = toy.make(tmp_path / "toy", 80)
    with h5py.File(sky.spectra, "r+") as spectra, h5py.File(sky.images, "r+") as images:
        change(spectra, images)
    return sky


def test_galaxies_with_nan_or_without_a_pixel_are_left_out(tmp_path, caplog):
    def change(spectra, images):
        images["images"][3, 1, 5, 5] = np.nan
        spectra["log_flux"][4] = np.inf
        spectra["mask"][5] = False
        images["images"][6] = 0.25  # a constant image is a fine image

    assert main(command(spoilt(tmp_path, change), tmp_path)) == 0
    record = json.loads((tmp_path / "regressor.json").read_text())
    assert record["galaxies"] == 53 and record["lost"] == 3
    assert "3 of 56 galaxies hold NaN or are wholly masked" in caplog.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda spectra, _: spectra["mask"].__setitem__(slice(None), False),
            "no usable galaxy in the train split",
        ),
        (lambda spectra, _: spectra["split"].__setitem__(slice(None), 0), "no object in the valid split"),
    ],
)
def test_a_sample_that_cannot_be_trained_on_is_one_line(tmp_path, change, said, capsys):
    assert main(command(spoilt(tmp_path, change), tmp_path)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and said in lines[0]


def test_files_of_different_galaxies_are_refused(tmp_path, capsys):
    def change(_, images):
        images["specobjid"][:] = images["specobjid"][:][::-1]

    assert main(command(spoilt(tmp_path, change), tmp_path)) == 2
    assert "other galaxies" in capsys.readouterr().err


def test_a_missing_or_damaged_file_is_one_line(sky, tmp_path, capsys):
    broken = tmp_path / "images.h5"
    broken.write_bytes(sky.images.read_bytes()[:1000])
    for change in (
        {"spectra": tmp_path / "none.h5"},
        {"images": broken},
        {"statistics": tmp_path / "none.json"},
    ):
        assert main(command(sky, tmp_path, **change)) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_gpu_asked_for_and_not_there_is_one_line(sky, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main(command(sky, tmp_path, device="cuda")) == 2
    assert "no GPU is offered" in capsys.readouterr().err


def test_the_paper_overlay_is_valid_and_of_the_published_size():
    train = config.load(ROOT / "config" / "paper.yaml").train
    from sanspec.nets import build

    layout = build.Layout(
        64, toy.statistics(np.ones((2, 5, 64, 64))), toy.WAVE.tolist(), toy.COARSE_WAVE.tolist()
    )
    sizes = {name: build.count_parameters(build.build(name, train, layout)) / 1e6 for name in NETWORKS[:4]}
    assert sizes["diff_coarse"] == pytest.approx(35.90, abs=0.01) == sizes["diff_fine"]
    assert sizes["clip_coarse"] == pytest.approx(43.48, abs=0.01) == sizes["clip_fine"]
    assert (train.diff_coarse.batch, train.diff_fine.batch, train.clip_fine.batch) == (512, 224, 340)
    assert train.diff_coarse.ema == 0.9999 and train.clip_coarse.weight_decay == 1e-3
