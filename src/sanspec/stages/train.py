"""Train one network, or resume a training that was interrupted.

Reads the training and validation splits of `prepared/` into the device's memory, estimates the training's cost, and
writes the weights that are best on the validation split. A killed training resumes from the file in `--state` and
reproduces the same numbers. With `--gpus 2` or more, or under torchrun, as many processes train together.
"""

import contextlib
import hashlib
import importlib.metadata
import logging
import os
import platform
import shutil
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from sanspec import config, options, store
from sanspec.config import NETWORKS
from sanspec.errors import SanspecError
from sanspec.nets import lease, source
from sanspec.products import samples
from sanspec.scores import ensembles

log = logging.getLogger(__name__)

SPECTRA = {  # log spectra that each network takes
    "diff_coarse": ("coarse",),
    "clip_coarse": ("coarse",),
    "diff_fine": ("coarse", "fine"),
    "clip_fine": ("fine",),
    "regressor": ("fine",),
}
BLOCK = 4096  # galaxies read at a time
# Settings of `train` that change no number beyond rounding
INDIFFERENT = "checkpoint", "devices", "compile"
COLUMNS = {"coarse": ("coarse_log_flux", "coarse_mask"), "fine": ("log_flux", "mask")}
FILES = options.files(
    "config spectra images statistics",
    out="weights to write (.safetensors)",
    record="settings, curves and environment to write (.json)",
)


def arguments(parser) -> None:
    """Settings, inputs, outputs, where to resume from, and the device."""
    parser.add_argument("--network", choices=NETWORKS, required=True, help="which network")
    parser.add_argument("--state", type=Path, help="folder of checkpoints to resume from; removed at the end")
    parser.add_argument("--logdir", type=Path, help="folder of TensorBoard logs")
    lease.arguments(parser)


def run(args) -> None:
    """Lease a device, train, write weights and record; under torchrun only the first process writes."""
    settings = config.load(args.config)
    if (args.gpus or 0) > 1 and not _rank("WORLD_SIZE"):
        from sanspec.nets import parallel

        parallel.relaunch(args.gpus)
    first = _rank("RANK") == 0
    with lease.lease(args.device, args.gpus) as device, _alone(args.state if first else None):
        _train(args, settings, device)
    if args.state is not None and first:
        shutil.rmtree(args.state, ignore_errors=True)


def _rank(name: str) -> int:
    """RANK or WORLD_SIZE as set by torchrun; 0 without it."""
    return int(os.environ.get(name, 0))


@contextlib.contextmanager
def _alone(state: Path | None):
    """Reserve the state folder for this process. Raises SanspecError if another process uses it."""
    if state is None:
        yield
        return
    with lease.exclusive(state / "lock") as holder:
        if holder is not None:
            trainer = f"process {holder}, which trains the same network"
            raise SanspecError(f"{state} is in use by {trainer}: wait for it or end it")
        yield


def _train(args, settings: config.Config, device: str) -> None:
    """Train and write; torch is imported here because the lease must come first."""
    import torch

    from sanspec.nets import build, cost, loop, parallel, validation
    from sanspec.nets.data import seed_of

    torch.set_num_threads(args.threads)
    started, shared, own = time.monotonic(), settings.train, getattr(settings.train, args.network)
    layout = read_layout(args.spectra, args.images, args.statistics)
    softening = layout.statistics["softening"] if shared.images == "byte" else None
    train, lost = _galaxies(args, "train", shared.crop, softening)
    valid, _ = _galaxies(args, "valid", shared.crop, softening)
    torch.manual_seed(seed_of(shared.seed, args.network, "weights"))
    model = build.build(args.network, shared, layout).to(device)
    train, valid = train.to(device), valid.to(device)
    with torch.inference_mode():
        model.fit(train)
    with parallel.group():
        price = cost.estimate(model, train, own, shared)
        log.info(
            "%s: %d training and %d validation galaxies (%d left out), on %d x %s",
            args.network, len(train), len(valid), lost, price.devices, device,
        )  # fmt: skip
        log.info("%s: %s", args.network, price)
        score = validation.scorer(args.network, settings, valid, ensembles.mean_scores)
        identity = _identity(args.network, shared, train, valid)
        trainer = loop.Trainer(args.network, model, shared, train, valid, identity, score)
        with _writer(args.logdir) as writer:
            best = trainer.run(args.state / "state.safetensors" if args.state else None, writer)
    if _rank("RANK") > 0:
        return
    build.save(args.out, args.network, best, shared, layout)
    facts = {
        "galaxies": len(train),
        "valid_galaxies": len(valid),
        "lost": lost,
        "parameters": price.parameters,
        "cost": asdict(price),
        "metric": trainer.metric,
    }
    _record(args, shared, trainer.progress, facts | _environment(device), time.monotonic() - started)


def read_layout(spectra: Path, images: Path, statistics: Path):
    """Grids, image size and image statistics of the prepared files."""
    from sanspec.nets.build import Layout

    numbers = store.read_json(statistics)
    with store.arrays(spectra) as file, store.arrays(images) as pictures:
        grids = {name: file[name][:].tolist() for name in ("wave", "coarse_wave")}
        size = pictures["images"].shape[-1]
    bands = {name: list(map(float, numbers[name])) for name in ("softening", "mean", "std")}
    return Layout(size, bands, **grids)


def _galaxies(args, split: str, crop: int, softening: list[float] | None):
    """The usable galaxies of a split, and the number of those that are not.

    They are read block by block, so that the host holds no second copy. Raises SanspecError when none is usable.
    """
    from sanspec.nets import data

    with store.arrays(args.spectra) as file, store.arrays(args.images) as pictures:
        samples.check_images(file, pictures)
        rows = samples.split_rows(file, split)
        ids = file["specobjid"][:][rows]
        held, good = {}, np.zeros(len(rows), bool)
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            block = _block(args.network, file, pictures, rows[part])
            spectra = [(block[name], block[f"{name}_mask"]) for name in SPECTRA[args.network]]
            good[part] = np.all([data.usable(block["images"], *pair) for pair in spectra], axis=0)
            if softening is not None:
                block["images"] = data.in_bytes(block["images"], softening)
            filled = slice(good[:start].sum(), good.sum())
            for name, array in block.items():
                if name not in held:
                    kind = array.dtype if array.dtype == np.uint8 else data.kind_of(name)
                    held[name] = np.empty((len(rows), *array.shape[1:]), kind)
                held[name][filled] = array[good[part]]
    count, lost = int(good.sum()), int((~good).sum())
    if not count:
        bad = f"all {lost} hold NaN or are wholly masked"
        raise SanspecError(f"{args.spectra}: no usable galaxy in the {split} split ({bad}); prepare again")
    if lost:
        log.warning("%s: %d of %d galaxies hold NaN or are wholly masked; left out", split, lost, len(rows))
    held = {name: array[:count] for name, array in held.items()}
    return data.galaxies(ids[good], crop=crop, softening=softening, **held), lost


def _block(network: str, file, pictures, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Images of some galaxies, and the spectra and masks that a network takes."""
    block = {"images": samples.take(pictures["images"], rows)}
    for which in SPECTRA[network]:
        for name, dataset in zip((which, f"{which}_mask"), COLUMNS[which]):
            block[name] = samples.take(file[dataset], rows)
    block["z"] = file["z"][:][rows]
    return block


def _identity(name: str, settings: config.Train, train, valid) -> dict:
    """Settings and a digest of the data, which a resumed training must share."""
    content = hashlib.blake2b(digest_size=16)
    for part in (train, valid):
        content.update(part.specobjid.tobytes())
        for tensor in (part.images, part.coarse, part.fine, part.z):
            if tensor is not None:
                content.update(np.ascontiguousarray(tensor[:: max(1, len(part) // 256)].cpu().numpy()))
    return {"settings": _steering(name, settings), "data": content.hexdigest()}


def _steering(name: str, settings: config.Train) -> dict:
    """The settings that a network's weights depend on, its own and the shared ones, in one mapping."""
    held = settings.model_dump(mode="json")
    shared = {key: value for key, value in held.items() if key not in (*NETWORKS, *INDIFFERENT)}
    return shared | held[name]


@contextlib.contextmanager
def _writer(logdir: Path | None):
    """A TensorBoard writer, or None without a folder."""
    if logdir is None or _rank("RANK") > 0:
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(logdir))
    try:
        yield writer
    finally:
        writer.close()


def _record(args, settings: config.Train, progress, facts: dict, seconds: float) -> None:
    """Write settings, curves, timings and environment of a training as JSON."""
    curves = {key: value for key, value in asdict(progress).items() if key not in ("pending", "seconds")}
    if getattr(settings, args.network).metric.startswith("-"):
        curves["best_value"] = -curves["best_value"]
    made = store.provenance(
        "train", _steering(args.network, settings), network=args.network, weights=store.digest(args.out)
    )
    timing = {
        "seconds_training": progress.seconds,
        "seconds": seconds,
        "steps_per_second": progress.step / max(progress.seconds, 1e-9),
    }
    store.write_json(args.record, made | facts | timing | curves)


def _environment(device: str) -> dict:
    """Machine, versions, and a digest of the source code."""
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    found = {"device": device, "device_name": name, "threads": torch.get_num_threads()}
    found["python"] = platform.python_version()
    found |= {package: importlib.metadata.version(package) for package in ("torch", "numpy", "safetensors")}
    return {"environment": found, "source": source.digest()}
