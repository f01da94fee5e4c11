"""Predict the test spectra without a generative model: mean spectrum, nearest neighbours, regression.

Neighbours are the training galaxies whose images are nearest in pixels, in colours and brightness, and in the latent
space of the contrastive network. The regression network also predicts redshift, 4000 A break and Halpha directly.
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

Embed = Callable[[np.ndarray], np.ndarray]  # images (gal, band, y, x) to vectors (gal, value)

BLOCK = 1024  # training objects held at a time
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
    """Compute the baselines of every test object and write them; torch is imported here, for its networks alone."""
    from sanspec.nets import predict

    train_settings = config.load(args.config).train
    statistics = store.read_json(args.statistics)
    bands = [np.asarray(statistics[name], float) for name in ("softening", "mean", "std")]
    weights = recorded_weights(args.regressor, args.record)
    embeddings = {
        "nearest_image": lambda images: neighbours.standardise(images, *bands),
        "nearest_colour": lambda images: neighbours.colours(images, bands[0]),
        "nearest_contrastive": predict.embedding(args.contrastive, train_settings),
    }
    with store.arrays(args.spectra) as spectra, store.arrays(args.images) as images:
        samples.check_images(spectra, images)
        train, test = samples.split_rows(spectra, "train"), samples.split_rows(spectra, "test")
        ids, stamps = spectra["specobjid"][:][test], samples.take(images["images"], test)
        files = spectra, images["images"]
        found = {name: nearest(name, embed, *files, train, stamps) for name, embed in embeddings.items()}
        mean = mean_spectrum(spectra, train)
    flux, properties = predict.regressed(args.regressor, train_settings, ids, stamps)
    facts = {"train": len(train), "test": len(test), "regressor": weights}
    with store.create(args.out, store.provenance("baselines", **facts)) as file:
        write(file, ids, mean, found, flux, properties)
    log.info("%d test objects, %d training objects -> %s", len(test), len(train), args.out)


def recorded_weights(regressor: Path, record: Path) -> str:
    """SHA-256 of the network's weights. Raises SanspecError if the record is of other weights."""
    weights = store.digest(regressor) if regressor.exists() else None
    if weights is None or store.read_json(record).get("weights") != weights:
        raise SanspecError(f"{record} is not the record of {regressor}: train the regressor again")
    return weights


def nearest(
    name: str,
    embed: Embed,
    spectra: h5py.File,
    images: h5py.Dataset,
    train: np.ndarray,
    stamps: Float[np.ndarray, "gal band y x"],
) -> dict[str, np.ndarray]:
    """Flux, redshift and specobjid of the training galaxy nearest to each of `stamps`, and its distance.

    Colours have few values in unlike units: they are held for all training galaxies, and first divided by their
    standard deviations over the training split.
    """
    blocks, scale = (embed(samples.take(images, rows)) for rows in in_blocks(train, name)), np.float32(1)
    if name == "nearest_colour":
        blocks = list(blocks)
        scale = np.concatenate(blocks).std(axis=0)
    position, distance = neighbours.nearest(embed(stamps) / scale, (block / scale for block in blocks))
    rows, back = np.unique(train[position], return_inverse=True)
    return {
        "flux": samples.take(spectra["flux"], rows)[back].astype(np.float32),
        "z": spectra["z"][:][rows][back],
        "neighbour": spectra["specobjid"][:][rows][back],
        "distance": distance,
    }


def mean_spectrum(spectra: h5py.File, train: np.ndarray) -> Float[np.ndarray, " rest"]:
    """Mean of the rest-frame training spectra."""
    mean, z = neighbours.MeanSpectrum(), spectra["z"][:]
    for rows in in_blocks(train, "mean spectrum"):
        good = samples.take(spectra["ivar"], rows) > 0
        mean.add(np.where(good, samples.take(spectra["flux"], rows), np.nan), z[rows])
    return mean.value()


def in_blocks(rows: np.ndarray, what: str) -> Iterator[np.ndarray]:
    """`rows` in blocks, with a progress bar."""
    yield from tqdm([rows[i : i + BLOCK] for i in range(0, len(rows), BLOCK)], desc=what, mininterval=1.0)


def write(
    file: h5py.File,
    specobjid: np.ndarray,
    mean: Float[np.ndarray, " rest"],
    found: dict[str, dict[str, np.ndarray]],
    regression: Float[np.ndarray, "gal pix"],
    properties: dict[str, np.ndarray],
) -> None:
    """baselines.h5."""
    rest = "mean normalised flux of the training split, rest frame"
    direct = "normalised flux regressed on the image"
    table = [
        ("specobjid", specobjid, "gal", "", "test objects"),
        ("wave", grid.WAVE, "pix", "Angstrom", "vacuum, observed frame"),
        ("rest_wave", neighbours.REST_WAVE, "rest", "Angstrom", "vacuum, rest frame"),
        ("mean_rest", mean, "rest", "", rest),
        ("regression/flux", regression.astype(np.float32), "gal pix", "", direct),
    ]
    for name, space in NEIGHBOURS.items():
        made = found[name]
        nearest_flux = f"normalised flux of the training galaxy nearest in {space}"
        table += [
            (f"{name}/flux", made["flux"], "gal pix", "", nearest_flux),
            (f"{name}/z", made["z"], "gal", "", "its redshift"),
            (f"{name}/neighbour", made["neighbour"], "gal", "", "its specobjid"),
            (f"{name}/distance", made["distance"], "gal", "", f"its L2 distance in {space}"),
        ]
    what = "predicted from the image by the regression network (nets.properties)"
    table += [(f"cnn/{name}", values, "gal", "", what) for name, values in properties.items()]
    for row in table:
        store.put(file, *row)
