"""The state of a training in one file: everything that must survive if the process is killed."""

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from torch import Tensor

from sanspec.errors import SanspecError
from sanspec.nets.build import fill, read_tensors, write_tensors


@dataclass
class Progress:
    """State of a training other than tensors.

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


def write(path: Path, trainer) -> None:
    """Write the whole state of a `loop.Trainer` atomically."""
    model, average = trainer.model.state_dict(), trainer.average.model.state_dict()
    progress = trainer.progress
    progress.pending = [(step, float(loss), float(norm)) for step, loss, norm in progress.pending]
    groups = {"model": model, "average": average, "best": trainer.best}
    for number, moments in trainer.optimiser.state_dict()["state"].items():
        groups[f"optimiser.{number}"] = moments
    tensors = {f"{group}.{name}": tensor for group, held in groups.items() for name, tensor in held.items()}
    write_tensors(path, tensors, {"identity": trainer.identity, "progress": asdict(progress)})


def read(path: Path, trainer) -> None:
    """Restore the state of a `loop.Trainer`.

    Raises SanspecError when the state is damaged, or of other settings or data.
    """
    tensors, header = read_tensors(path)
    _refuse_another(path, header.get("identity", {}), trainer.identity)
    groups: dict[str, dict] = {"model": {}, "average": {}, "best": {}, "optimiser": {}}
    for name, tensor in tensors.items():
        group, rest = name.split(".", 1)
        groups[group][rest] = tensor
    fill(trainer.model, groups["model"], path)
    fill(trainer.average.model, groups["average"], path)
    moments: dict[int, dict[str, Tensor]] = {}  # by the number of the weight they belong to
    for name, tensor in groups["optimiser"].items():
        number, key = name.split(".", 1)
        moments.setdefault(int(number), {})[key] = tensor
    trainer.optimiser.load_state_dict(trainer.optimiser.state_dict() | {"state": moments})
    trainer.best = {name: tensor.to(trainer.device) for name, tensor in groups["best"].items()}
    held = header["progress"]
    trainer.progress = Progress(**held | {"pending": list(map(tuple, held["pending"]))})


def _refuse_another(path: Path, held: dict, wanted: dict) -> None:
    """Raise SanspecError if the state is of another training, naming the first difference."""
    for key, value in wanted.items():
        old = held.get(key)
        if old == value:
            continue
        change = f"{old!r}, now {value!r}"
        if isinstance(old, dict) and isinstance(value, dict):
            name = next(name for name in sorted(old | value) if old.get(name) != value.get(name))
            change = f"{name} was {old.get(name)!r}, now {value.get(name)!r}"
        remedy = f"go back to it, or delete {path.parent} to start anew"
        raise SanspecError(f"{path} is of a training with another {key}: {change}; {remedy}")
