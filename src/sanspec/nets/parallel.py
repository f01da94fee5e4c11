"""Training on several devices: processes started by torchrun, each with an equal share of every batch.

All ranks draw the same random numbers for the whole batch and keep their own rows of them. The mean over ranks of their
losses equals the loss of one process with the whole batch; likewise the mean of their gradients. Without torchrun every
function here is the identity.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator

import torch
from jaxtyping import Shaped
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce
from torch.nn.parallel import DistributedDataParallel

from sanspec.errors import SanspecError


def relaunch(processes: int) -> None:
    """Replace this process by the same command under torchrun, with the same process id."""
    run = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m", "sanspec"]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.execv(sys.executable, [sys.executable, *run, *sys.argv[1:]])


@contextlib.contextmanager
def group() -> Iterator[None]:
    """The process group that torchrun describes: gloo for tensors on the CPU, nccl for those on a GPU."""
    if int(os.environ.get("WORLD_SIZE", 0)) < 2:
        yield
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend)
    if rank() > 0:
        logging.getLogger().setLevel(logging.WARNING)
    try:
        yield
    finally:
        distributed.destroy_process_group()


_alone = False  # whether this process works without the others


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Work of this process alone, for instance the first rank's validation, during which `ranks` is 1."""
    global _alone
    before, _alone = _alone, True
    try:
        yield
    finally:
        _alone = before


def ranks() -> int:
    """Number of processes that train together."""
    return distributed.get_world_size() if distributed.is_initialized() and not _alone else 1


def rank() -> int:
    """Number of this process among them, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def batch_size(batch: int, count: int) -> int:
    """Galaxies in a whole batch: at most `count`, and a multiple of the ranks. Raises SanspecError."""
    if batch % ranks():
        allowed = f"a multiple of the {ranks()} processes that train together"
        raise SanspecError(f"train: batch={batch}; allowed: {allowed}; change the batch or --gpus")
    if count < ranks():
        raise SanspecError(f"train: {count} galaxies for {ranks()} processes; use fewer of them")
    return min(batch, count // ranks() * ranks())


def rows(whole: Shaped[Tensor, "all ..."]) -> Shaped[Tensor, "own ..."]:
    """This rank's rows of a tensor for the whole batch that every rank has."""
    return whole if ranks() == 1 else whole.chunk(ranks())[rank()]


def mean(value: Tensor) -> Tensor:
    """Mean over ranks of a tensor that has the same shape on each, without gradient."""
    if ranks() == 1:
        return value.detach()
    total = value.detach().clone()
    distributed.all_reduce(total)
    return total / ranks()


def of_first(value):
    """The first rank's value: a number, text, or a dictionary of them."""
    if ranks() == 1:
        return value
    held = [value]
    distributed.broadcast_object_list(held)
    return held[0]


class _Gather(torch.autograd.Function):
    """Rows of all ranks, concatenated; the gradients that all ranks have for a row are returned to it."""

    @staticmethod
    def forward(ctx, own: Tensor) -> Tensor:
        parts = [torch.empty_like(own) for _ in range(ranks())]
        distributed.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        """Sum over ranks of the gradients of this rank's rows."""
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(gradient)
        return rows(gradient)


def gather(own: Shaped[Tensor, "own ..."]) -> Shaped[Tensor, "all ..."]:
    """The rows of all ranks, with gradient: a contrastive loss takes every galaxy of the batch as a negative."""
    return own if ranks() == 1 else _Gather.apply(own)


class SharedNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation over the batch of all ranks (torch's synchronised batch normalisation needs a GPU)."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Accept any number of axes."""

    def forward(self, input: Tensor) -> Tensor:
        if ranks() == 1 or not self.training:
            return super().forward(input)
        axes, column = [0, *range(2, input.ndim)], (None, slice(None), *(None,) * (input.ndim - 2))
        x = input.float()
        average = all_reduce(x.mean(axes)) / ranks()
        variance = all_reduce((x - average[column]).square().mean(axes)) / ranks()
        self._track(average.detach(), variance.detach(), ranks() * input.numel() // input.shape[1])
        scaled = (x - average[column]) * (variance + self.eps).rsqrt()[column]
        return (scaled * self.weight[column] + self.bias[column]).to(input.dtype)

    @torch.no_grad()
    def _track(self, average: Tensor, variance: Tensor, count: int) -> None:
        """Update running mean and unbiased variance, as torch does."""
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(average, self.momentum)
        self.running_var.lerp_(variance * count / max(count - 1, 1), self.momentum)


class Loss(nn.Module):
    """A network called for its training loss, as data-parallel training requires."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, batch) -> Tensor:
        return self.model.loss(batch)


def loss_of(model: nn.Module, compiled: bool = False) -> nn.Module:
    """Training loss of a network as a module; compiled if so chosen, its gradients averaged over ranks."""
    loss = Loss(model)
    if compiled:
        loss.compile(mode="reduce-overhead")
    return loss if ranks() == 1 else DistributedDataParallel(loss, forward_sync_buffers=False)
