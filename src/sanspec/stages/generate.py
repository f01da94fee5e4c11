"""Draw spectra for the images of a split and choose the best of them.

Coarse draws, those nearest to the image in the coarse contrastive network, fine draws of each, the best by
the fine one. Galaxies are dealt out to worker processes of one thread each; no draw depends on how.
"""

import logging
from pathlib import Path

import numpy as np

from sanspec import config, options, store
from sanspec.errors import SanspecError, Warn
from sanspec.nets import lease
from sanspec.products import samples

log = logging.getLogger(__name__)

CASCADE = ("diff_coarse", "clip_coarse", "diff_fine", "clip_fine")


FILES = options.files(
    "config spectra images statistics",
    nets="folder of the four networks' .safetensors",
    out="predicted.h5 to write",
    scores="table of every draw's score to write (.parquet)",
)


def arguments(parser) -> None:
    """Settings, inputs, outputs, and the device."""
    parser.add_argument("--fits", type=Path, help="folder for one FITS file a galaxy")
    parser.add_argument("--split", choices=("test", "valid"), default="test", help="which galaxies")
    parser.add_argument("--limit", type=int, help="only so many of them, evenly spread")
    lease.arguments(parser)


def run(args) -> None:
    """Lease a device, draw, write."""
    settings = config.load(args.config)
    with lease.lease(lease.wanted(args)) as device:
        _generate(args, settings, device)


def _generate(args, settings: config.Config, device: str) -> None:
    """All galaxies of the split, written as they come; torch is imported here because the lease must come
    first.
    """
    from sanspec.nets import predict
    from sanspec.products import predictions

    sky, ids, images = _read(args)
    good = np.isfinite(images).all(axis=(1, 2, 3))
    drawn = predict.drawn(
        args.nets, settings, sky["wave"], ids, images, np.flatnonzero(good), device, args.threads
    )
    made = store.provenance(
        "generate", settings.generate.model_dump(mode="json"), split=args.split, nets=_digests(args.nets)
    )
    with store.create(args.out, made) as file:
        predictions.open_products(file, ids, sky, settings.generate, ~good * np.uint32(Warn.NOT_GENERATED))
        for rows, draws in drawn:
            predictions.put_draws(file, rows, draws, settings.generate)
        lost = int(np.count_nonzero(file["warn"][:] & np.uint32(Warn.NOT_GENERATED)))
        store.write_table(args.scores, predictions.scores(file), meta=made)
        if args.fits is not None:
            predictions.write_fits(args.fits, file)
    log.info("%d galaxies, %d without a spectrum -> %s", len(ids), lost, args.out)


def _read(args) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Grids and median LSF; ids and images of the split. Raises SanspecError when the files do not match."""
    with store.arrays(args.spectra) as spectra, store.arrays(args.images) as pictures:
        rows = samples.split_rows(spectra, args.split, args.limit)
        sky = {name: spectra[name][:] for name in ("wave", "coarse_wave", "lsf_median")}
        ids, images = spectra["specobjid"][:][rows], samples.take(pictures["images"], rows)
        if not np.array_equal(pictures["specobjid"][:][rows], ids):
            raise SanspecError(
                f"{args.images} holds other galaxies than {args.spectra}: both must be of one prepare"
            )
    return sky, ids, images


def _digests(folder: Path) -> dict[str, str]:
    """Checksums of the networks used."""
    paths = {name: folder / f"{name}.safetensors" for name in CASCADE}
    return {name: store.digest(path) for name, path in paths.items() if path.exists()}
