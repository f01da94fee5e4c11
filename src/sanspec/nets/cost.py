"""Cost of a training, estimated before it starts: parameters, floating-point operations, memory, time.

torch counts the operations on tensors without data (`meta`), which takes no arithmetic; the time is measured on a
trial step of a copy of the network.
"""

import copy
import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sanspec.config import NetworkSettings, Train
from sanspec.errors import SanspecError
from sanspec.nets import parallel
from sanspec.nets.build import count_parameters
from sanspec.nets.data import Galaxies

COPIES = 6  # of the weights in memory: weights, gradient, Adam's two moments, average, best
TRIAL = 2e11  # maximum floating-point operations of a trial step on a CPU


@dataclass(frozen=True)
class Count:
    """Work per galaxy: floating-point operations (2 per multiply-add) of the forward pass and of a whole training
    step, and bytes kept for the backward pass in single precision.
    """

    forward: float
    step: float
    kept: float


@dataclass(frozen=True)
class Cost:
    """Cost of a whole training on `devices` devices.

    seconds: without validations. bytes_*: upper bounds per device, except `bytes_measured`, CUDA's peak in the trial
    step (0 on a CPU).
    """

    parameters: int
    flop_per_galaxy: float
    flop: float
    flop_per_second: float
    seconds: float
    bytes_network: int
    bytes_data: int
    bytes_kept: int
    bytes_measured: int
    devices: int

    def __str__(self) -> str:
        total = self.bytes_network + self.bytes_data + self.bytes_kept
        parts = (("network", self.bytes_network), ("data", self.bytes_data), ("activations", self.bytes_kept))
        memory = ", ".join(f"{size / 1e9:.2g} {name}" for name, size in parts)
        return (
            f"{self.parameters / 1e6:.2f} M parameters, {self.flop_per_galaxy / 1e9:.3g} GFLOP per galaxy and "
            f"step, {self.flop:.2e} FLOP in all; about {_duration(self.seconds)} at "
            f"{self.flop_per_second / 1e9:.3g} GFLOP/s; up to {total / 1e9:.2g} GB of memory ({memory})"
        )


def _duration(seconds: float) -> str:
    """Seconds in a readable unit."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def count(model: nn.Module, galaxies: Galaxies) -> Count:
    """Operations and memory per galaxy of a training step, counted on two galaxies without data."""
    rows = torch.arange(2) % len(galaxies)
    batch = galaxies.take(rows).to("meta")
    empty = copy.deepcopy(model).to("meta").train()
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with FlopCounterMode(display=False) as counter, parallel.alone():
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = empty.loss(batch)
        forward = counter.get_total_flops()
        loss.backward()
    weights = sum(weight.nbytes for weight in empty.parameters())
    activations = max(sum(kept.values()) - weights, 0)
    return Count(forward / 2, counter.get_total_flops() / 2, activations / 2)


def estimate(model: nn.Module, galaxies: Galaxies, settings: NetworkSettings, train: Train) -> Cost:
    """Cost of a training on the device that holds `model` and `galaxies`.

    Raises SanspecError when a batch does not fit into its memory.
    """
    work, ranks = count(model, galaxies), parallel.ranks()
    share = parallel.batch_size(settings.batch, len(galaxies)) // ranks
    few = share if galaxies.images.is_cuda else min(share, max(2, int(TRIAL / work.step)))
    seconds, measured = trial(model, galaxies.take(torch.arange(few)), train.precision)
    flop = work.step * share * ranks * settings.steps
    rate = work.step * few / seconds * ranks
    return Cost(
        parameters=count_parameters(model),
        flop_per_galaxy=work.step,
        flop=flop,
        flop_per_second=rate,
        seconds=flop / rate,
        bytes_network=COPIES * sum(weight.nbytes for weight in model.parameters()),
        bytes_data=galaxies.nbytes(),
        bytes_kept=int(work.kept * share),
        bytes_measured=measured,
        devices=ranks,
    )


def trial(model: nn.Module, batch: Galaxies, precision: str) -> tuple[float, int]:
    """Seconds of a training step (loss and gradients) on a copy of the network, and CUDA's peak memory [byte]."""
    device, cuda = batch.images.device, batch.images.is_cuda
    model = copy.deepcopy(model).train()
    wait = torch.cuda.synchronize if cuda else lambda device: None
    try:
        with torch.random.fork_rng([device] if cuda else []), parallel.alone():
            for _ in range(2):  # the first step allocates memory and chooses kernels
                wait(device)
                start = time.perf_counter()
                with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                    loss = model.loss(batch)
                loss.backward()
                wait(device)
                seconds = time.perf_counter() - start
    except torch.OutOfMemoryError:
        asked = f"a batch share of {len(batch)} galaxies"
        raise SanspecError(f"{device}: {asked} does not fit into its memory; lower batch") from None
    return seconds, torch.cuda.max_memory_allocated(device) if cuda else 0
