"""Checkpoints: what is saved is what is loaded; a damaged or foreign one is one line."""

import json

import pytest
import torch
from safetensors.torch import save_file

import toy
from sanspec.config import NETWORKS, Train
from sanspec.errors import SanspecError
from sanspec.nets import build

DIFFUSION = {"widths": (16, 24), "patch": 32, "attention": (1,), "encoder_widths": (8, 16)}
CONTRASTIVE = {"encoder_widths": (8, 16), "widths": (8, 16), "patch": 32, "latent": 16}
SMALL = {"encoder_widths": (8, 16), "components": 8, "hidden": 32}
TRAIN = Train(
    diff_coarse=DIFFUSION,
    clip_coarse=CONTRASTIVE,
    diff_fine=DIFFUSION,
    clip_fine=CONTRASTIVE,
    regressor=SMALL,
)
LAYOUT = build.Layout(
    64,
    {"softening": [0.05, 0.02, 0.03, 0.04, 0.15], "mean": [0.0] * 5, "std": [1.0] * 5},
    toy.WAVE.tolist(),
    toy.COARSE_WAVE.tolist(),
)


@pytest.fixture
def saved(tmp_path):
    model = build.build("clip_coarse", TRAIN, LAYOUT)
    path = tmp_path / "clip_coarse.safetensors"
    build.save(path, "clip_coarse", model, TRAIN, LAYOUT)
    return path, model


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back_as_it_was(tmp_path, name):
    model = build.build(name, TRAIN, LAYOUT)
    build.save(tmp_path / "n.safetensors", name, model, TRAIN, LAYOUT)
    again, layout = build.load(tmp_path / "n.safetensors", name, TRAIN)
    assert layout == LAYOUT and not again.training
    for key, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


def refused(path, match, name="clip_coarse", train=None):
    with pytest.raises(SanspecError, match=match) as caught:
        build.load(path, name, train)
    assert "\n" not in str(caught.value)


def test_a_file_cut_short_is_one_line(saved):
    path, _ = saved
    content = path.read_bytes()
    for length in (0, 5, 1000, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path, "not a whole safetensors file")


def test_a_missing_file_is_one_line(tmp_path):
    refused(tmp_path / "none.safetensors", "no checkpoint")


def test_a_foreign_file_is_one_line(saved):
    path, _ = saved
    save_file({"a": torch.zeros(2)}, path)
    refused(path, "without a sanspec header")


def test_another_network_is_one_line(saved):
    refused(saved[0], "holds the network 'clip_coarse', not 'clip_fine'", name="clip_fine")


def test_another_preset_is_one_line_that_names_the_setting(saved):
    other = Train(clip_coarse=CONTRASTIVE | {"latent": 32})
    refused(saved[0], r"train\.clip_coarse\.latent=16, the settings say 32", train=other)
    refused(
        saved[0], r"train\.bin=2, the settings say 4", train=Train(clip_coarse=CONTRASTIVE, bin=4, crop=8)
    )


def rewritten(path, change):
    tensors, header = build.read_tensors(path)
    change(tensors, header)
    save_file(tensors, path, metadata={"sanspec": json.dumps(header)})


def test_wrong_shapes_and_lacking_tensors_are_one_line(saved):
    path, _ = saved
    rewritten(path, lambda tensors, _: tensors.update({"image_head.bias": torch.zeros(3)}))
    refused(path, r"'image_head.bias' has shape \(3,\), the network asks for \(16,\)")
    rewritten(path, lambda tensors, _: tensors.pop("image_head.bias"))
    refused(path, "'image_head.bias' is missing")
    rewritten(
        path, lambda tensors, _: tensors.update({"image_head.bias": torch.zeros(16), "x": torch.zeros(1)})
    )
    refused(path, "'x' is unknown")


def test_a_header_of_another_version_is_one_line(saved):
    rewritten(saved[0], lambda _, header: header["settings"].update(colour=3))
    refused(saved[0], "another version of sanspec")
    rewritten(saved[0], lambda _, header: header.pop("layout"))
    refused(saved[0], "another version of sanspec")


def test_a_header_with_a_former_setting_is_read_where_it_held_what_is_constant_now(saved):
    rewritten(saved[0], lambda _, header: header["settings"].update(clip=1.0))
    assert build.load(saved[0], "clip_coarse", TRAIN)[1] == LAYOUT
    rewritten(saved[0], lambda _, header: header["settings"].update(clip=0.5))
    refused(saved[0], "another version of sanspec")


def test_networks_of_different_data_do_not_work_together(tmp_path):
    other = build.Layout(64, LAYOUT.statistics | {"mean": [0.1] * 5}, LAYOUT.wave, LAYOUT.coarse_wave)
    for name, layout in (("clip_coarse", LAYOUT), ("clip_fine", other)):
        build.save(tmp_path / f"{name}.safetensors", name, build.build(name, TRAIN, layout), TRAIN, layout)
    with pytest.raises(SanspecError, match="different grid or statistics"):
        build.load_all(tmp_path, TRAIN, ("clip_coarse", "clip_fine"))


def test_a_failed_write_leaves_the_old_checkpoint(saved, monkeypatch):
    path, _ = saved
    before = path.read_bytes()
    monkeypatch.setattr(build, "save_file", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("killed")))
    with pytest.raises(RuntimeError):
        build.write_tensors(path, {"a": torch.zeros(1)}, {})
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]
