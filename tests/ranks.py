"""A few steps of tiny networks, to be run by one process and by two: their numbers must be the same.

torchrun --nproc-per-node 2 tests/ranks.py OUT.json
"""

import functools
import json
import sys
from pathlib import Path

import torch

import toy
from sanspec.config import Train
from sanspec.nets import build, data, loop, parallel

SMALL = {"steps": 6, "batch": 16, "warmup": 2, "dropout": 0.0, "encoder_widths": (8, 16), "ema": 0.5}
DIFFUSION = SMALL | {"widths": (16, 24), "patch": 16, "attention": (1,)}
CONTRASTIVE = SMALL | {"widths": (8, 16), "patch": 16, "latent": 16}
CAPTURED = ("diff_coarse", "diff_fine", "clip")  # as one graph by torch.compile
CASES = {
    "diff_coarse": ("diff_coarse", DIFFUSION | {"sketch": 8}),
    "diff_fine": ("diff_fine", DIFFUSION | {"patch": 32, "condition_noise": 0.1}),
    "clip": ("clip_coarse", CONTRASTIVE | {"loss": "clip"}),
    "nt_xent": ("clip_coarse", CONTRASTIVE | {"loss": "nt_xent"}),
    "batch_norm": (
        "clip_coarse",
        CONTRASTIVE | {"encoder": "resnet18", "apertures": (), "steps": 3, "rate": 1e-5},
    ),
    "regressor": ("regressor", SMALL | {"components": 8, "hidden": 32}),
}


@functools.cache
def galaxies_of_the_sky():
    return toy.draw(60, seed=2)


def made(case: str) -> tuple:
    """Network, galaxies for training and validation, and settings of one case."""
    name, settings = CASES[case]
    sky, size = galaxies_of_the_sky(), 40
    both = {"coarse": sky.coarse_log_flux, "coarse_mask": sky.coarse_mask}
    both |= {"fine": sky.log_flux, "fine_mask": sky.mask, "z": sky.z}
    galaxies = data.galaxies(sky.specobjid, sky.images, 4, **both)
    shared = Train(**{name: settings}, valid_every=3, log_every=1)
    layout = build.Layout(64, toy.statistics(sky.images), toy.WAVE.tolist(), toy.COARSE_WAVE.tolist())
    torch.manual_seed(0)
    model = build.build(name, shared, layout)
    parts = galaxies.take(torch.arange(size)), galaxies.take(torch.arange(size, 60))
    model.fit(parts[0])
    return name, model, parts, shared


def train(case: str) -> dict:
    """Losses, gradient norms and scores of one case, and the norms of the best weights."""
    name, model, parts, shared = made(case)
    trainer = loop.Trainer(name, model, shared, *parts, {})
    best = trainer.run()
    weights = {key: [float(part.double().norm())] for key, part in best.state_dict().items()}
    return {"curve": trainer.progress.curve, "valid": trainer.progress.valid, "weights": weights}


def captured(case: str) -> list[float]:
    """A training loss as it is, and captured by torch.compile as one graph without a break."""
    _, model, parts, _ = made(case)
    loss, found = parallel.Loss(model), []
    for compiled in (False, True):
        if compiled:
            loss.compile(backend="eager", fullgraph=True)
        torch.manual_seed(0)
        found.append(float(loss(parts[0]).detach()))
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    with parallel.group():
        found = {case: train(case) for case in CASES}
        if parallel.rank() == 0:
            with parallel.alone():
                both = {case: captured(case) for case in CAPTURED}
            Path(sys.argv[1]).write_text(json.dumps(found | {"ranks": parallel.ranks(), "captured": both}))
