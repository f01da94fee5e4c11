"""Predict the test spectra without a generative model: mean spectrum, nearest image, direct regression."""

import logging
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from sanspec import config, neighbours, store
from sanspec.errors import SanspecError
from sanspec.products import samples
from sanspec.spectra import grid

log = logging.getLogger(__name__)

BLOCK = 1024  # training objects held at a time
BATCH = 128  # images that the regression network sees at a time
FILES = {
    "config": "settings of the run",
    "spectra": "prepared/spectra.h5",
    "images": "prepared/images.h5",
    "statistics": "prepared/statistics.json",
    "regressor": "weights of the regression network (.safetensors)",
    "record": "its record (.json)",
    "out": "baselines.h5 to write",
}


def arguments(parser) -> None:
    """Options of the stage."""
    for name, text in FILES.items():
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=text)


def run(args) -> None:
    """Compute the three baselines of every test object and write them."""
    settings = config.load(args.config)
    statistics, weights = store.read_json(args.statistics), recorded_weights(args.regressor, args.record)
    with store.arrays(args.spectra) as spectra, store.arrays(args.images) as images:
        same_objects(spectra, images)
        train, test = samples.split_rows(spectra, "train"), samples.split_rows(spectra, "test")
        stamps = samples.take(images["images"], test)
        neighbour, distance = nearest(images["images"], train, stamps, statistics)
        made = {
            "specobjid": spectra["specobjid"][:][test],
            "mean": mean_spectrum(spectra, train),
            "flux": observed(spectra, neighbour),
            "z": spectra["z"][:][neighbour],
            "neighbour": spectra["specobjid"][:][neighbour],
            "distance": distance,
            "regression": regression(args.regressor, settings.train, spectra["specobjid"][:][test], stamps),
        }
    facts = {"train": len(train), "test": len(test), "regressor": weights}
    write(args.out, made, store.provenance("baselines", **facts))
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


def nearest(
    images: h5py.Dataset, train: np.ndarray, stamps: Float[np.ndarray, "gal band y x"], statistics: dict
) -> tuple[np.ndarray, Float[np.ndarray, " gal"]]:
    """Row in spectra.h5 of the training image nearest to each of `stamps`, and its distance."""
    bands = [np.asarray(statistics[name], dtype=np.float64) for name in ("softening", "mean", "std")]
    queries = neighbours.standardise(stamps, *bands)
    blocks = (
        neighbours.standardise(samples.take(images, rows), *bands)
        for rows in in_blocks(train, "nearest image")
    )
    position, distance = neighbours.nearest(queries, blocks)
    return train[position], distance


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
) -> Float[np.ndarray, "gal pix"]:
    """Normalised flux by the regression network; torch is imported here, the other baselines need none."""
    import torch

    from sanspec.nets import build, data

    model, _ = build.load(path, "regressor", settings)
    result = []
    with torch.inference_mode():
        for start in tqdm(range(0, len(stamps), BATCH), desc="regression", mininterval=1.0):
            rows = slice(start, start + BATCH)
            batch = data.galaxies(specobjid[rows], stamps[rows], settings.crop)
            result.append(np.exp(model.predict(batch).double().numpy()))
    return np.concatenate(result)


def in_blocks(rows: np.ndarray, what: str) -> Iterator[np.ndarray]:
    """`rows` in blocks, under a progress bar."""
    yield from tqdm([rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)], desc=what, mininterval=1.0)


def write(path: Path, made: dict, provenance: dict) -> None:
    """baselines.h5."""
    with store.create(path, provenance) as file:
        store.put(file, "specobjid", made["specobjid"], "gal", description="test objects")
        store.put(file, "wave", grid.WAVE, "pix", "Angstrom", "vacuum, observed frame")
        store.put(file, "rest_wave", neighbours.REST_WAVE, "rest", "Angstrom", "vacuum, rest frame")
        store.put(
            file,
            "mean_rest",
            made["mean"],
            "rest",
            "",
            "mean normalised flux of the training split, rest frame",
        )
        near, direct = file.create_group("nearest_image"), file.create_group("regression")
        flux = made["flux"].astype(np.float32)
        store.put(near, "flux", flux, "gal pix", "", "normalised flux of the nearest training image's galaxy")
        store.put(near, "z", made["z"], "gal", "", "its redshift")
        store.put(near, "neighbour", made["neighbour"], "gal", "", "its specobjid")
        store.put(
            near, "distance", made["distance"], "gal", "", "L2 distance of the standardised asinh images"
        )
        predicted = made["regression"].astype(np.float32)
        store.put(
            direct, "flux", predicted, "gal pix", "", "normalised flux by direct regression from the image"
        )
