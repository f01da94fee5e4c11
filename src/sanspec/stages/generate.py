"""Draw spectra given the images of a split, and choose the best draw of each galaxy.

The coarse draws that the coarse contrastive network scores best are kept, and fine spectra are drawn for each; the fine
contrastive network chooses among them. No draw depends on the number of worker processes.
"""

import logging
from pathlib import Path

import numpy as np

from sanspec import config, options, store
from sanspec.config import CASCADE
from sanspec.errors import Warn
from sanspec.nets import lease
from sanspec.products import samples

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra images statistics",
    nets="folder of the four networks' .safetensors",
    out="predicted.h5 to write",
    scores="table of every draw's score to write (.parquet)",
)


def arguments(parser) -> None:
    """Settings, inputs, outputs, and the device."""
    parser.add_argument("--fits", type=Path, help="folder for one FITS file per galaxy")
    parser.add_argument("--split", choices=("test", "valid"), default="test", help="split of the galaxies")
    parser.add_argument("--limit", type=int, help="only this many galaxies, evenly spread over the split")
    lease.arguments(parser)


def run(args) -> None:
    """Lease a device, draw, write."""
    settings = config.load(args.config)
    with lease.lease(args.device, args.gpus) as device:
        _generate(args, settings, device)


def _generate(args, settings: config.Config, device: str) -> None:
    """Draw and write all galaxies of the split; torch is imported here because the lease must come first."""
    from sanspec.nets import cascade, predict
    from sanspec.products import predictions

    sky, ids, images = _read(args)
    good = np.isfinite(images).all(axis=(1, 2, 3))
    rows = np.flatnonzero(good)
    drawn = predict.drawn(args.nets, settings, sky["wave"], ids, images, rows, device, args.threads)
    paths = {name: args.nets / f"{name}.safetensors" for name in CASCADE}
    digests = {name: store.digest(path) for name, path in paths.items() if path.exists()}
    used = settings.generate.model_dump(mode="json")
    header = store.provenance("generate", used, split=args.split, nets=digests)
    with store.create(args.out, header) as file:
        predictions.open_products(file, ids, sky, settings.generate, ~good * np.uint32(Warn.NOT_GENERATED))
        for rows, draws in drawn:
            made = cascade.products(draws, settings.generate.spread)
            predictions.put_draws(file, rows, vars(draws), made, settings.generate.keep_draws)
        lost = int(np.count_nonzero(file["warn"][:] & np.uint32(Warn.NOT_GENERATED)))
        store.write_table(args.scores, predictions.scores(file), meta=header)
        if args.fits is not None:
            predictions.write_fits(args.fits, file)
    log.info("%d galaxies, %d without a spectrum -> %s", len(ids), lost, args.out)


def _read(args) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Grids and median LSF; ids and images of the split. Raises SanspecError if the files do not match."""
    with store.arrays(args.spectra) as spectra, store.arrays(args.images) as pictures:
        samples.check_images(spectra, pictures)
        rows = samples.split_rows(spectra, args.split, args.limit)
        sky = {name: spectra[name][:] for name in ("wave", "coarse_wave", "lsf_median")}
        ids, images = spectra["specobjid"][:][rows], samples.take(pictures["images"], rows)
    return sky, ids, images
