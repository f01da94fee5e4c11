"""Speed of a training step of every network and preset, and the gain from keeping the data on the device.

    python benchmarks/train_step.py [--presets smoke demo paper modern-full] [--rounds 3] [--device auto]
        [--out benchmarks/train_step.json]

A step is that of the training loop: batch, augmentation, loss, gradients, clipping, optimiser, moving average. It is
measured in fp32 and bf16 with the galaxies on the device, and with a plain DataLoader that flips, crops and collates
single-precision galaxies in main memory; these ways take turns, so that a busy machine slows all of them equally. On a
GPU every step has its preset's batch, compiled steps are measured too, and the record gives the peak memory, the
fraction of the card's matrix rate and the hours of the whole training. On a CPU a batch is limited to a step of 1e11
operations, rates are per CPU second, and the fraction can exceed 1, because convolutions and matrix products come from
two libraries. The galaxies are random numbers: only the speed is measured.
"""

import argparse
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

import sanspec
from sanspec import config, store
from sanspec.config import NETWORKS, Train
from sanspec.nets import build, cost, data, loop
from sanspec.spectra import grid

ROOT = Path(__file__).parents[1]
PRESETS = {
    "smoke": "config/tiny.yaml",
    "demo": "config.yaml",
    "paper": "config/paper.yaml",
    "modern-full": "config/modern-full.yaml",
}
GALAXIES = {"cpu": 256, "cuda": 16384}
LIMIT = 1e11  # operations of a step on a CPU
MATRIX = {"cpu": 1024, "cuda": 8192}  # side of the matrices that measure a device's rate
WARM = {"cpu": 1, "cuda": 5}  # steps before the first that counts: memory, kernels, CUDA graphs
WORKERS = {"cpu": 0, "cuda": 8}  # of the DataLoader
BANDS, SIZE = 5, 64


def main() -> None:
    """Measure every preset, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=3, help="steps of each way, of which the median counts")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    device = args.device if args.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_num_threads(1 if device == "cpu" else os.cpu_count())
    peak = matrix_rates(device)
    arrays, found = made(GALAXIES[device]), {}
    for preset in args.presets:
        train = config.load(ROOT / PRESETS[preset]).train
        found[preset] = {}
        for name in args.networks:
            found[preset][name] = measured(name, train, arrays, device, args.rounds)
            print(preset, name, found[preset][name], flush=True)
        peak = {kind: max(rate, peak[kind]) for kind, rate in matrix_rates(device).items()}
    share(found, peak)
    store.write_json(args.out, about(device) | {"matrix_flop_per_second": peak, "presets": found})


def about(device: str) -> dict:
    """What was measured, where and when."""
    gpu = device == "cuda"
    missing = "not measured: no GPU could be had; run this script on one"
    return {
        "what": __doc__.split("\n\n")[2].replace("\n", " ").strip(),
        "simulated": True,
        "device": torch.cuda.get_device_name() if gpu else f"CPU, {torch.get_num_threads()} thread",
        "gpu": torch.cuda.get_device_name() if gpu else missing,
        "machine": {"cores": os.cpu_count(), "processor": processor(), "load": os.getloadavg()[0]},
        "versions": {
            "sanspec": sanspec.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "date": datetime.now(UTC).date().isoformat(),
    }


def processor() -> str:
    """Model of the CPU."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def made(count: int) -> dict:
    """Galaxies of random numbers, in single precision in main memory."""
    rng, z = np.random.default_rng(0), np.linspace(0.05, 0.15, count, dtype=np.float32)
    spectra = {}
    for name, pixels in (("coarse", len(grid.coarse_wave())), ("fine", len(grid.WAVE))):
        spectra[name] = rng.standard_normal((count, pixels), dtype=np.float32)
        spectra[f"{name}_mask"] = np.ones((count, pixels), bool)
    images = rng.standard_normal((count, BANDS, SIZE, SIZE), dtype=np.float32)
    return {"specobjid": np.arange(count, dtype=np.uint64), "images": images, "z": z} | spectra


class Plain(Dataset):
    """The same galaxies one by one, flipped and cropped by the CPU."""

    def __init__(self, arrays: dict, crop: int):
        self.arrays, self.crop = arrays, crop

    def __len__(self) -> int:
        return len(self.arrays["specobjid"])

    def __getitem__(self, row: int) -> dict:
        held = {name: array[row] for name, array in self.arrays.items() if name != "specobjid"}
        image = held["images"]
        for axis in (-1, -2):
            image = np.flip(image, axis) if np.random.rand() < 0.5 else image
        y, x = np.random.randint(0, self.crop + 1, 2)
        size = image.shape[-1] - self.crop
        return held | {
            "images": np.ascontiguousarray(image[:, y : y + size, x : x + size]),
            "specobjid": int(row),
        }


class Fed(loop.Trainer):
    """The loop's trainer, its batches from a DataLoader instead of the device's memory."""

    def feed(self, arrays: dict, device: str) -> None:
        """Start the loader; cropped images are set into the frame that the networks cut their crop from."""
        loader = DataLoader(
            Plain(arrays, self.train.crop),
            self.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=WORKERS[device],
        )
        self.batches = (batch for _ in range(10**6) for batch in loader)

    def batch(self, step: int) -> data.Galaxies:
        """The next batch of the loader, on the device."""
        held = next(self.batches)
        ids = held.pop("specobjid").numpy().astype(np.uint64)
        images = torch.nn.functional.pad(held.pop("images"), (0, self.train.crop, 0, self.train.crop))
        offset = torch.zeros(len(ids), 2, dtype=torch.int64)
        return data.Galaxies(ids, images, offset, **held).to(self.device)


def matrix_rates(device: str) -> dict[str, float]:
    """FLOP/s of the product of two square matrices, the best of many: what the device can do."""
    rates = {}
    for precision, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        side = MATRIX[device]
        a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
        spent = [timed(lambda a=a, b=b: a @ b, device)[device == "cpu"] for _ in range(20)]
        rates[precision] = 2 * side**3 / min(spent)
    return rates


def share(found: dict, peak: dict[str, float]) -> None:
    """Sets beside every rate of `found` what part it is of the matrix rate in its precision."""
    for networks in found.values():
        for record in networks.values():
            for way, rates in record["ways"].items():
                precision = "bf16" if way in ("bf16", "compiled") else "fp32"
                rates["share_of_matrix_rate"] = rates["flop_per_second"] / peak[precision]


def timed(work, device: str) -> tuple[float, float]:
    """Wall and CPU seconds of some work, the device waited for."""
    if device == "cuda":
        torch.cuda.synchronize()
    wall, own = time.perf_counter(), time.process_time()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - own


def measured(name: str, train: Train, arrays: dict, device: str, rounds: int) -> dict:
    """One network of one preset, every way in turn."""
    model, galaxies = network(name, train, arrays, device)
    work, own = cost.count(model, galaxies), getattr(train, name)
    batch = own.batch if device == "cuda" else int(np.clip(LIMIT / work.step, 2, own.batch))
    batch = min(batch, len(galaxies))
    memory = cost.trial(model, galaxies.take(torch.arange(batch)), train.precision)[1]
    ways = trainers(name, train, galaxies, arrays, device, batch)
    seconds = {way: [] for way in ways}
    for step in range(WARM[device] + rounds):
        for way, trainer in ways.items():
            seconds[way].append(timed(lambda run=trainer, at=step: run.step(at), device))
    rows = {
        way: row(np.median(np.array(spent[WARM[device] :]), 0), ways[way], work, own, device)
        for way, spent in seconds.items()
    }
    compared = "galaxies_per_cpu_second" if device == "cpu" else "galaxies_per_second"
    return {
        "parameters": build.count_parameters(model),
        "flop_per_galaxy": work.step,
        "batch_of_preset": own.batch,
        "batch": batch,
        "bf16_over_fp32": rows["bf16"][compared] / rows["fp32"][compared],
        "resident_over_loader": rows["fp32"][compared] / rows["loader"][compared],
        "peak_gigabytes": memory / 1e9 if device == "cuda" else "not measured: no GPU",
        "ways": rows,
    }


def network(name: str, train: Train, arrays: dict, device: str) -> tuple[torch.nn.Module, data.Galaxies]:
    """A network with fresh weights and the galaxies it is trained on, both on the device."""
    numbers = {"softening": [0.1] * BANDS, "mean": [0.0] * BANDS, "std": [1.0] * BANDS}
    layout = build.Layout(SIZE, numbers, grid.WAVE.tolist(), grid.coarse_wave().tolist())
    galaxies = data.galaxies(crop=train.crop, **arrays).to(device)
    torch.manual_seed(0)
    model = build.build(name, train, layout).to(device)
    with torch.inference_mode():
        model.fit(galaxies)
    return model, galaxies


def trainers(
    name: str, train: Train, galaxies: data.Galaxies, arrays: dict, device: str, batch: int
) -> dict[str, loop.Trainer]:
    """A trainer for each way of taking a step."""
    ways = {"fp32": {}, "bf16": {"precision": "bf16"}, "loader": {}}
    if device == "cuda":
        ways["compiled"] = {"precision": "bf16", "compile": True}
    own, few, found = getattr(train, name), galaxies.take(torch.arange(2)), {}
    for way, change in ways.items():
        settings = {"precision": "fp32", "compile": False, name: own.model_copy(update={"batch": batch})}
        shared = train.model_copy(update=settings | change)
        kind = Fed if way == "loader" else loop.Trainer
        model, _ = network(name, train, arrays, device)
        found[way] = kind(name, model, shared, galaxies, few, {})
    found["loader"].feed(arrays, device)
    return found


def row(seconds: np.ndarray, trainer: loop.Trainer, work: cost.Count, own, device: str) -> dict:
    """Rates of one way, and hours of the preset's whole training at that rate; on a CPU by its own seconds."""
    wall, cpu = seconds
    size = trainer.batch_size
    rate = size / (cpu if device == "cpu" else wall)
    return {
        "galaxies_per_second": size / wall,
        "galaxies_per_cpu_second": size / cpu,
        "flop_per_second": work.step * rate,
        "projected_hours": own.steps * own.batch / rate / 3600,
    }


if __name__ == "__main__":
    main()
