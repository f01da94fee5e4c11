"""Train one network, or go on with a training that was interrupted.

Reads the training and validation splits of `prepared/`, keeps them in the device's memory, and writes the
weights that were best on the validation split. A killed training resumes from the file in `--state` and runs
through the same numbers.
"""

import contextlib
import hashlib
import importlib.metadata
import logging
import platform
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from sanspec import config, store
from sanspec.config import NETWORKS
from sanspec.errors import SanspecError
from sanspec.nets import lease
from sanspec.products import samples

log = logging.getLogger(__name__)

SPECTRA = {  # which log spectra each network looks at
    "diff_coarse": ("coarse",),
    "clip_coarse": ("coarse",),
    "diff_fine": ("coarse", "fine"),
    "clip_fine": ("fine",),
    "regressor": ("fine",),
}
COLUMNS = {"coarse": ("coarse_log_flux", "coarse_mask"), "fine": ("log_flux", "mask")}


def arguments(parser) -> None:
    """Settings, inputs, outputs, where to resume from, and the device."""
    parser.add_argument("--config", type=Path, required=True, help="settings of the run")
    parser.add_argument("--network", choices=NETWORKS, required=True, help="which network")
    parser.add_argument("--spectra", type=Path, required=True, help="prepared/spectra.h5")
    parser.add_argument("--images", type=Path, required=True, help="prepared/images.h5")
    parser.add_argument("--statistics", type=Path, required=True, help="prepared/statistics.json")
    parser.add_argument("--out", type=Path, required=True, help="weights to write (.safetensors)")
    parser.add_argument(
        "--record", type=Path, required=True, help="settings, curves and environment to write (.json)"
    )
    parser.add_argument(
        "--state", type=Path, help="folder to resume from and to keep checkpoints in; removed at the end"
    )
    parser.add_argument("--logdir", type=Path, help="folder of TensorBoard logs")
    lease.arguments(parser)


def run(args) -> None:
    """Lease a device, train, write weights and record."""
    settings = config.load(args.config).train
    with lease.lease(lease.wanted(args)) as device, _alone(args.state):
        _train(args, settings, device)
    if args.state is not None:
        shutil.rmtree(args.state, ignore_errors=True)


@contextlib.contextmanager
def _alone(state: Path | None):
    """This process alone works in the state folder. Raises SanspecError when another one does."""
    if state is None:
        yield
        return
    with lease.exclusive(state / "lock") as mine:
        if not mine:
            holder = lease.holder(state / "lock")
            raise SanspecError(
                f"{state} is in use by process {holder}, which trains the same network: wait for it or end it"
            )
        yield


def _train(args, settings: config.Train, device: str) -> None:
    """The training itself; torch is imported here because the lease must come first."""
    import torch

    from sanspec.nets import build, loop
    from sanspec.nets.data import seed_of

    torch.set_num_threads(args.threads)
    started = time.monotonic()
    layout = read_layout(args.spectra, args.images, args.statistics)
    train, lost = _galaxies(args, "train", settings.crop)
    valid, _ = _galaxies(args, "valid", settings.crop)
    torch.manual_seed(seed_of(settings.seed, args.network, "weights"))
    model = build.build(args.network, settings, layout).to(device)
    train, valid = train.to(device), valid.to(device)
    with torch.inference_mode():
        model.fit(train)
    _announce(args.network, model, train, valid, lost, device)
    identity = _identity(args.network, settings, train, valid)
    trainer = loop.Trainer(args.network, model, settings, train, valid, identity)
    with _writer(args.logdir) as writer:
        best = trainer.run(args.state / "state.safetensors" if args.state else None, writer)
    build.save(args.out, args.network, best, settings, layout)
    facts = {
        "galaxies": len(train),
        "valid": len(valid),
        "lost": lost,
        "parameters": build.count_parameters(model),
    }
    _record(args, settings, trainer.progress, facts | _environment(device), time.monotonic() - started)


def read_layout(spectra: Path, images: Path, statistics: Path):
    """Grids, image size and image statistics of the prepared files."""
    from sanspec.nets.build import Layout

    numbers = store.read_json(statistics)
    with store.arrays(spectra) as file, store.arrays(images) as pictures:
        grids = {name: file[name][:].tolist() for name in ("wave", "coarse_wave")}
        size = pictures["images"].shape[-1]
    return Layout(
        size, {key: list(map(float, numbers[key])) for key in ("softening", "mean", "std")}, **grids
    )


def _galaxies(args, split: str, crop: int):
    """The usable galaxies of a split, and how many are not. Raises SanspecError when none is."""
    from sanspec.nets import data

    with store.arrays(args.spectra) as file, store.arrays(args.images) as pictures:
        rows = samples.split_rows(file, split)
        ids = file["specobjid"][:][rows]
        if not np.array_equal(pictures["specobjid"][:][rows], ids):
            raise SanspecError(
                f"{args.images} holds other galaxies than {args.spectra}: both must be of one prepare"
            )
        images = samples.take(pictures["images"], rows)
        arrays = {}
        for which in SPECTRA[args.network]:
            spectrum, mask = COLUMNS[which]
            arrays[which], arrays[f"{which}_mask"] = (
                samples.take(file[spectrum], rows),
                samples.take(file[mask], rows),
            )
    good = np.all(
        [data.usable(images, arrays[which], arrays[f"{which}_mask"]) for which in SPECTRA[args.network]],
        axis=0,
    )
    if not good.any():
        bad = f"all {len(good)} hold NaN or are wholly masked"
        raise SanspecError(f"{args.spectra}: no usable galaxy in the {split} split ({bad}); prepare again")
    if not good.all():
        log.warning(
            "%s: %d of %d galaxies hold NaN or are wholly masked; left out", split, (~good).sum(), len(good)
        )
    arrays = {name: array if good.all() else array[good] for name, array in arrays.items()}
    return data.galaxies(ids[good], images[good], crop, **arrays), int((~good).sum())


def _announce(name: str, model, train, valid, lost: int, device: str) -> None:
    """What is about to be trained, on what and where."""
    from sanspec.nets.build import count_parameters

    log.info(
        "%s: %.2f M parameters, %d training and %d validation galaxies (%d left out), on %s",
        name, count_parameters(model) / 1e6, len(train), len(valid), lost, device,
    )  # fmt: skip


def _identity(name: str, settings: config.Train, train, valid) -> dict:
    """What must be equal for a resumed training to be the same one."""
    content = hashlib.blake2b(digest_size=16)
    for part in (train, valid):
        content.update(part.specobjid.tobytes())
        for tensor in (part.images, part.coarse, part.fine):
            if tensor is not None:
                content.update(np.ascontiguousarray(tensor[:: max(1, len(part) // 256)].cpu().numpy()))
    return {"settings": _steering(name, settings), "data": content.hexdigest()}


def _steering(name: str, settings: config.Train) -> dict:
    """The settings that steer the training of a network: its own and the shared ones, flat."""
    held = settings.model_dump(mode="json")
    shared = {key: value for key, value in held.items() if key not in (*NETWORKS, "checkpoint")}
    return shared | held[name]


@contextlib.contextmanager
def _writer(logdir: Path | None):
    """A TensorBoard writer, or None without a folder."""
    if logdir is None:
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(logdir))
    try:
        yield writer
    finally:
        writer.close()


def _record(args, settings: config.Train, progress, facts: dict, seconds: float) -> None:
    """What a reader wants to know of a training, as JSON."""
    curves = {key: value for key, value in asdict(progress).items() if key != "pending"}
    made = store.provenance(
        "train", _steering(args.network, settings), network=args.network, weights=store.digest(args.out)
    )
    timing = {
        "seconds_training": progress.seconds,
        "seconds": seconds,
        "steps_per_second": progress.step / progress.seconds,
    }
    store.write_json(args.record, made | facts | timing | curves)


def _environment(device: str) -> dict:
    """Machine, versions, and a digest of the source that trained."""
    import torch

    source = hashlib.sha256()
    for path in sorted(Path(sys.modules["sanspec.nets"].__file__).parent.glob("*.py")):
        source.update(path.read_bytes())
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    versions = {package: importlib.metadata.version(package) for package in ("torch", "numpy", "safetensors")}
    place = {
        "device": device,
        "device_name": name,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
    }
    return {"environment": place | versions, "source": source.hexdigest()}
