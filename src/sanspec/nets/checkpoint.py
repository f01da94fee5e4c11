"""The state of a training in one file: all that must survive a kill."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from sanspec.errors import SanspecError
from sanspec.nets.build import fill, read_tensors, write_tensors

GROUPS = ("model", "average", "best", "optimiser")


@dataclass
class Progress:
    """Where a training stands, tensors apart.

    pending: step, loss and gradient norm since the last point of the curve; waited: validations since the best.
    """

    step: int = 0
    seconds: float = 0.0
    best_step: int = -1
    best_value: float = math.inf
    waited: int = 0
    pending: list[tuple] = field(default_factory=list)
    curve: dict[str, list] = field(default_factory=lambda: {"step": [], "loss": [], "norm": [], "rate": []})
    valid: list[dict] = field(default_factory=list)


def write(
    path: Path,
    model: nn.Module,
    average: nn.Module,
    best: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    identity: dict,
) -> None:
    """The whole state, in a file that appears whole or not at all."""
    progress.pending = [(step, float(loss), float(norm)) for step, loss, norm in progress.pending]
    groups = {"model": model.state_dict(), "average": average.state_dict(), "best": best}
    tensors = {f"{group}.{name}": tensor for group, held in groups.items() for name, tensor in held.items()}
    for number, held in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{number}.{name}": tensor for name, tensor in held.items()}
    write_tensors(path, tensors, {"identity": identity, "progress": asdict(progress)})


def read(
    path: Path, model: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer, identity: dict
) -> tuple[dict[str, Tensor], Progress]:
    """Fills networks and optimiser from a stored state; the best weights so far, and the progress.

    Raises SanspecError when it is damaged, or of other settings or data.
    """
    tensors, header = read_tensors(path)
    _same(path, header.get("identity", {}), identity)
    groups: dict[str, dict] = {group: {} for group in GROUPS}
    for name, tensor in tensors.items():
        group, rest = name.split(".", 1)
        groups[group][rest] = tensor
    fill(model, groups["model"], path)
    fill(average, groups["average"], path)
    optimiser.load_state_dict(optimiser.state_dict() | {"state": _by_number(groups["optimiser"])})
    device = next(model.parameters()).device
    best = {name: tensor.to(device) for name, tensor in groups["best"].items()}
    held = header["progress"]
    return best, Progress(**held | {"pending": list(map(tuple, held["pending"]))})


def _same(path: Path, held: dict, wanted: dict) -> None:
    """Refuses the state of another training, naming the first thing that differs."""
    for key, value in wanted.items():
        if held.get(key) != value:
            change = _difference(held.get(key), value)
            remedy = f"go back to it, or delete {path.parent} to start anew"
            raise SanspecError(f"{path} is of a training with another {key}: {change}; {remedy}")


def _by_number(tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The optimiser's tensors, by the number of the weight they belong to."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = tensor
    return state


def _difference(held, wanted) -> str:
    """The first entry in which two mappings differ, or both values."""
    if not (isinstance(held, dict) and isinstance(wanted, dict)):
        return f"{held!r}, now {wanted!r}"
    key = next(key for key in sorted(held.keys() | wanted.keys()) if held.get(key) != wanted.get(key))
    return f"{key} was {held.get(key)!r}, now {wanted.get(key)!r}"
