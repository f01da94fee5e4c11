"""Trained networks applied to arrays, in worker processes; the only files are the networks' checkpoints."""

import contextlib
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt64
from tqdm import tqdm

from sanspec.config import CASCADE, Config, Train
from sanspec.errors import SanspecError
from sanspec.nets import build
from sanspec.nets.cascade import Cascade, Draws
from sanspec.nets.data import galaxies
from sanspec.nets.properties import PROPERTIES

Ids = UInt64[np.ndarray, " gal"]
Images = Float[np.ndarray, "gal band y x"]
Wave = Float[np.ndarray, " pix"]

BATCH = 128  # images per call of the contrastive and the regression network
TASK = {"cpu": 8, "cuda": 256}  # galaxies per task of a worker
_cascade: list = []  # the networks of a worker process, loaded once


class Generator:
    """The cascade of a run, loaded from its checkpoints."""

    def __init__(self, folder: Path, settings: Config, wave: Wave, device: str):
        """Raises SanspecError if a checkpoint is damaged, or of other settings or another grid."""
        models, layout = build.load_all(folder, settings.train, CASCADE)
        if not np.array_equal(layout.wave, wave):
            raise SanspecError(f"{folder}: trained on another wavelength grid than the spectra: train again")
        self.crop, self.device = settings.train.crop, device
        self.cascade = Cascade({name: model.to(device) for name, model in models.items()}, settings.generate)

    def __call__(self, specobjid: Ids, images: Images) -> Draws:
        """Draws given some images [nanomaggies]."""
        return self.cascade(galaxies(specobjid, images, self.crop).to(self.device))


def drawn(
    folder: Path,
    settings: Config,
    wave: Wave,
    specobjid: Ids,
    images: Images,
    rows: Int[np.ndarray, " row"],
    device: str,
    threads: int,
) -> Iterator[tuple[np.ndarray, Draws]]:
    """`rows` of the images and their draws, in parts and in order, with a progress bar.

    On the CPU the galaxies are distributed over `threads` processes of one thread each, so that no rounding depends on
    `threads`. Raises SanspecError as `Generator` does.
    """
    parts = np.array_split(rows, max(1, -(-len(rows) // TASK[device])))
    tasks = [(part, specobjid[part], images[part]) for part in parts if len(part)]
    setup = folder, settings, wave, device
    _start(*setup)  # always in this process too, so that a fault of the networks is reported once
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=len(rows), desc="generate", unit="gal", mininterval=1.0))
        results = map(_work, tasks)
        if device == "cpu" and threads > 1:
            pool = ProcessPoolExecutor(threads, multiprocessing.get_context("spawn"), _start, setup)
            results = stack.enter_context(pool).map(_work, tasks)
        for part, draws in results:
            bar.update(len(part))
            yield part, draws


def _start(folder: Path, settings: Config, wave: Wave, device: str) -> None:
    """Load the networks into this process, which then computes on one thread."""
    torch.set_num_threads(1)
    _cascade[:] = [Generator(folder, settings, wave, device)]


def _work(task: tuple[np.ndarray, np.ndarray, np.ndarray]) -> tuple[np.ndarray, Draws]:
    """Rows and draws of a task (rows, ids, images), by the networks of this process."""
    rows, specobjid, images = task
    return rows, _cascade[0](specobjid, images)


def embedding(path: Path, settings: Train) -> Callable[[np.ndarray], np.ndarray]:
    """Function from images (gal, band, y, x) to points (gal, latent) in the space of the fine contrastive network."""
    model, _ = build.load(path, "clip_fine", settings)

    @torch.inference_mode()
    def embed(images: np.ndarray) -> np.ndarray:
        parts = (images[i : i + BATCH] for i in range(0, len(images), BATCH))
        batches = (galaxies(np.zeros(len(part)), part, settings.crop) for part in parts)
        return np.concatenate([model.embed_images(batch).numpy() for batch in batches])

    return embed


@torch.inference_mode()
def regressed(
    path: Path, settings: Train, specobjid: Ids, images: Images
) -> tuple[Float[np.ndarray, "gal pix"], dict[str, Float[np.ndarray, " gal"]]]:
    """Normalised flux, and the properties of `nets.properties` by name, predicted by the regression network."""
    model, _ = build.load(path, "regressor", settings)
    flux, properties = [], []
    for start in tqdm(range(0, len(images), BATCH), desc="regression", mininterval=1.0):
        rows = slice(start, start + BATCH)
        batch = galaxies(specobjid[rows], images[rows], settings.crop)
        flux.append(np.exp(model.predict(batch).double().numpy()))
        properties.append(model.properties(batch).double().numpy())
    return np.concatenate(flux), dict(zip(PROPERTIES, np.concatenate(properties).T))
