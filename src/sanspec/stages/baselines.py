"""Predict the test spectra without a generative model: mean spectrum, nearest neighbours, direct regression.

Neighbours are sought among the training images by their pixels, by their colours and brightness, and in the
contrastive network's space. Redshift, break and Halpha are also told by the regression network directly.
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from sanspec import config, neighbours, options, store
from sanspec.errors import SanspecError
from sanspec.products import samples
from sanspec.spectra import grid

log = logging.getLogger(__name__)

Look = Callable[[np.ndarray], np.ndarray]  # images (gal, band, y, x) to vectors (gal, value)

BLOCK = 1024  # training objects held at a time
BATCH = 128  # images that a network sees at a time
NEIGHBOURS = {
    "nearest_image": "the standardised asinh images",
    "nearest_colour": "colours and r magnitude, in standard deviations",
    "nearest_contrastive": "the space of the fine contrastive network",
}
FILES = options.files(
    "config spectra images statistics",
    regressor="weights of the regression network (.safetensors)",
    record="its record (.json)",
    contrastive="weights of the fine contrastive network (.safetensors)",
    out="baselines.h5 to write",
)


def run(args) -> None:
    """Compute the baselines of every test object and write them."""
    settings = config.load(args.config)
    statistics, weights = store.read_json(args.statistics), recorded_weights(args.regressor, args.record)
    with store.arrays(args.spectra) as spectra, store.arrays(args.images) as images:
        same_objects(spectra, images)
        train, test = samples.split_rows(spectra, "train"), samples.split_rows(spectra, "test")
        ids, stamps = spectra["specobjid"][:], samples.take(images["images"], test)
        made = {"mean": mean_spectrum(spectra, train)}
        for name, look in looks(args.contrastive, settings.train, statistics).items():
            made[name] = nearest(name, look, spectra, images["images"], train, stamps)
        made |= regression(args.regressor, settings.train, ids[test], stamps)
    facts = {"train": len(train), "test": len(test), "regressor": weights}
    write(args.out, ids[test], made, store.provenance("baselines", **facts))
    log.info("%d test objects, %d training objects -> %s", len(test), len(train), args.out)


def recorded_weights(regressor: Path, record: Path) -> str:
    """SHA-256 of the network's weights. Raises SanspecError when the record is of other weights."""
    weights = store.digest(regressor) if regressor.exists() else None
    if weights is None or store.read_json(record).get("weights") != weights:
        raise SanspecError(f"{record} is not the record of {regressor}: train the regressor again")
    return weights


def same_objects(spectra: h5py.File, images: h5py.File) -> None:
    """Raises SanspecError unless both files hold the same objects in the same order."""
    if not np.array_equal(spectra["specobjid"][:], images["specobjid"][:]):
        raise SanspecError(
            f"{spectra.filename} and {images.filename} hold different objects: both must be of one prepare"
        )


def looks(contrastive: Path, settings: config.Train, statistics: dict) -> dict[str, Look]:
    """What makes images comparable, by the name of the baseline."""
    bands = [np.asarray(statistics[name], dtype=np.float64) for name in ("softening", "mean", "std")]
    return {
        "nearest_image": lambda stamps: neighbours.standardise(stamps, *bands),
        "nearest_colour": lambda stamps: neighbours.colours(stamps, bands[0]),
        "nearest_contrastive": embedding(contrastive, settings),
    }


def embedding(path: Path, settings: config.Train) -> Look:
    """Images to points of the contrastive network's space; torch is imported here, other neighbours need none."""
    import torch

    from sanspec.nets import build, data

    model, _ = build.load(path, "clip_fine", settings)

    def look(stamps: np.ndarray) -> np.ndarray:
        parts = [stamps[i : i + BATCH] for i in range(0, len(stamps), BATCH)]
        with torch.inference_mode():
            batches = (data.galaxies(np.zeros(len(part)), part, settings.crop) for part in parts)
            return np.concatenate([model.embed_images(batch).numpy() for batch in batches])

    return look


def nearest(
    name: str,
    look: Look,
    spectra: h5py.File,
    images: h5py.Dataset,
    train: np.ndarray,
    stamps: Float[np.ndarray, "gal band y x"],
) -> dict[str, np.ndarray]:
    """Flux, redshift and specobjid of the training galaxy nearest to each of `stamps`, and its distance.

    Colours, few and of unlike size, are first divided by their standard deviations over the training split.
    """
    blocks = [look(samples.take(images, rows)) for rows in in_blocks(train, name)] if few(name) else None
    scale = np.concatenate(blocks).std(axis=0) if blocks else np.float32(1)
    values = blocks or (look(samples.take(images, rows)) for rows in in_blocks(train, name))
    position, distance = neighbours.nearest(look(stamps) / scale, (block / scale for block in values))
    rows = train[position]
    return {
        "flux": observed(spectra, rows),
        "z": spectra["z"][:][rows],
        "neighbour": spectra["specobjid"][:][rows],
        "distance": distance,
    }


def few(name: str) -> bool:
    """Whether a look has so few numbers that all training galaxies' fit into memory and are scaled."""
    return name == "nearest_colour"


def mean_spectrum(spectra: h5py.File, train: np.ndarray) -> Float[np.ndarray, " rest"]:
    """Mean of the rest-frame training spectra."""
    mean, z = neighbours.MeanSpectrum(), spectra["z"][:]
    for rows in in_blocks(train, "mean spectrum"):
        good = samples.take(spectra["ivar"], rows) > 0
        mean.add(np.where(good, samples.take(spectra["flux"], rows), np.nan), z[rows])
    return mean.value()


def observed(spectra: h5py.File, rows: np.ndarray) -> Float[np.ndarray, "gal pix"]:
    """Observed spectra at `rows`, in any order and repeated; masked pixels hold what prepare interpolated."""
    unique, back = np.unique(rows, return_inverse=True)
    return samples.take(spectra["flux"], unique)[back]


def regression(
    path: Path, settings: config.Train, specobjid: np.ndarray, stamps: Float[np.ndarray, "gal band y x"]
) -> dict[str, np.ndarray]:
    """Normalised flux, and properties without the way over a spectrum, by the regression network."""
    import torch

    from sanspec.nets import build, data
    from sanspec.nets.properties import PROPERTIES

    model, _ = build.load(path, "regressor", settings)
    flux, told = [], []
    with torch.inference_mode():
        for start in tqdm(range(0, len(stamps), BATCH), desc="regression", mininterval=1.0):
            rows = slice(start, start + BATCH)
            batch = data.galaxies(specobjid[rows], stamps[rows], settings.crop)
            flux.append(np.exp(model.predict(batch).double().numpy()))
            told.append(model.properties(batch).double().numpy())
    return {"regression": np.concatenate(flux), "cnn": dict(zip(PROPERTIES, np.concatenate(told).T))}


def in_blocks(rows: np.ndarray, what: str) -> Iterator[np.ndarray]:
    """`rows` in blocks, under a progress bar."""
    yield from tqdm([rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)], desc=what, mininterval=1.0)


def write(path: Path, specobjid: np.ndarray, made: dict, provenance: dict) -> None:
    """baselines.h5."""
    with store.create(path, provenance) as file:
        store.put(file, "specobjid", specobjid, "gal", description="test objects")
        store.put(file, "wave", grid.WAVE, "pix", "Angstrom", "vacuum, observed frame")
        store.put(file, "rest_wave", neighbours.REST_WAVE, "rest", "Angstrom", "vacuum, rest frame")
        text = "mean normalised flux of the training split, rest frame"
        store.put(file, "mean_rest", made["mean"], "rest", "", text)
        for name, what in NEIGHBOURS.items():
            write_neighbours(file.create_group(name), made[name], what)
        text = "normalised flux by direct regression from the image"
        direct = file.create_group("regression")
        store.put(direct, "flux", made["regression"].astype(np.float32), "gal pix", "", text)
        told = file.create_group("cnn")
        for name, values in made["cnn"].items():
            text = "told from the image by the regression network (nets.properties)"
            store.put(told, name, values, "gal", "", text)


def write_neighbours(group: h5py.Group, made: dict, what: str) -> None:
    """One kind of neighbours."""
    flux = made["flux"].astype(np.float32)
    store.put(group, "flux", flux, "gal pix", "", f"normalised flux of the training galaxy nearest in {what}")
    store.put(group, "z", made["z"], "gal", "", "its redshift")
    store.put(group, "neighbour", made["neighbour"], "gal", "", "its specobjid")
    store.put(group, "distance", made["distance"], "gal", "", f"its L2 distance in {what}")
