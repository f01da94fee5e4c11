"""Networks by name, and their checkpoints: safetensors, with all that is needed to rebuild them in the header."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sanspec import store
from sanspec.config import NETWORKS, NetworkSettings, Train
from sanspec.errors import SanspecError
from sanspec.nets.contrastive import Contrastive
from sanspec.nets.diffusion import CoarseDiffusion, FineDiffusion
from sanspec.nets.regressor import Regressor

SHARED = ("bin", "crop")  # settings of `train` that shape every network's input
RETIRED = {"clip": 1.0, "levels": 1}  # former settings, now constants, in the headers of older weights


@dataclass(frozen=True)
class Layout:
    """Grids of the spectra, size and statistics of the images.

    size: pixels along an image's side. statistics: `softening`, `mean`, `std` per band (statistics.json).
    wave, coarse_wave: vacuum Angstrom, observed frame.
    """

    size: int
    statistics: dict[str, list[float]]
    wave: list[float]
    coarse_wave: list[float]


def build(name: str, train: Train, layout: Layout) -> nn.Module:
    """The network `name` with initial weights drawn from torch's global generator."""
    settings: NetworkSettings = getattr(train, name)
    common = settings, train, layout.statistics, layout.size
    wave = torch.tensor(layout.wave, dtype=torch.float64)
    coarse_wave = torch.tensor(layout.coarse_wave, dtype=torch.float64)
    makers = {
        "diff_coarse": lambda: CoarseDiffusion(*common, coarse_wave),
        "clip_coarse": lambda: Contrastive(*common, len(coarse_wave), "coarse"),
        "diff_fine": lambda: FineDiffusion(*common, wave, coarse_wave),
        "clip_fine": lambda: Contrastive(*common, len(wave), "fine"),
        "regressor": lambda: Regressor(*common, wave),
    }
    return makers[name]()


def count_parameters(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(weight.numel() for weight in model.parameters())


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict) -> None:
    """A safetensors file with a JSON header under the key `sanspec`, written atomically."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with store.atomic(path) as temporary:
        save_file(plain, temporary, metadata={"sanspec": json.dumps(header)})


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors and header that `write_tensors` wrote.

    Raises SanspecError when the file is missing, truncated or of another program.
    """
    if not Path(path).exists():
        raise SanspecError(f"no checkpoint {path}: run the rule that trains it")
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})["sanspec"])
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118
    except (SafetensorError, OSError, json.JSONDecodeError) as fault:
        raise SanspecError(
            f"{path} is not a whole safetensors file ({fault}): delete it and train again"
        ) from None
    except KeyError:
        raise SanspecError(f"{path} is a file without a sanspec header: train again") from None


def fill(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load weights and buffers into a model.

    Raises SanspecError naming the first tensor that is missing, unknown or of another shape.
    """
    own = model.state_dict()
    for name in sorted(own.keys() ^ tensors.keys()):
        lack = "missing" if name in own else "unknown"
        raise SanspecError(f"{path}: tensor {name!r} is {lack}: it is of another network; train again")
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            shapes = f"has shape {tuple(tensor.shape)}, the network asks for {tuple(own[name].shape)}"
            raise SanspecError(f"{path}: tensor {name!r} {shapes}; train again")
    model.load_state_dict(tensors)


def save(path: Path, name: str, model: nn.Module, train: Train, layout: Layout) -> None:
    """Write the weights of a trained network with its settings and layout."""
    header = {
        "network": name,
        "settings": getattr(train, name).model_dump(mode="json"),
        "shared": {key: getattr(train, key) for key in SHARED},
        "layout": asdict(layout),
    }
    write_tensors(path, model.state_dict(), header)


def load(path: Path, name: str, train: Train | None = None) -> tuple[nn.Module, Layout]:
    """A trained network ready to use, and the layout of its data; settings newer than it take their defaults.

    Raises SanspecError when the checkpoint is damaged, of another network, or trained with other settings
    than `train`.
    """
    tensors, header = read_tensors(path)
    if (other := header.get("network")) != name:
        raise SanspecError(f"{path} holds the network {other!r}, not {name!r}: give the right file")
    try:
        own = {key: value for key, value in header["settings"].items() if RETIRED.get(key) != value}
        held, layout = Train.model_validate({name: own, **header["shared"]}), Layout(**header["layout"])
    except (ValidationError, KeyError, TypeError) as fault:
        reason = str(fault).splitlines()[0]
        raise SanspecError(f"{path} is of another version of sanspec ({reason}): train again") from None
    if train is not None:
        _refuse_other_settings(path, name, held, train)
    model = build(name, held, layout)
    fill(model, tensors, path)
    return model.eval().requires_grad_(False), layout


def _refuse_other_settings(path: Path, name: str, old: Train, train: Train) -> None:
    """Raise SanspecError if a network was trained with other settings, naming the first that differs."""
    wanted, held = (
        getattr(each, name).model_dump(mode="json") | {key: getattr(each, key) for key in SHARED}
        for each in (train, old)
    )
    for key in sorted(wanted):
        if wanted.get(key) != held.get(key):
            section = "train" if key in SHARED else f"train.{name}"
            raise SanspecError(
                f"{path} was trained with {section}.{key}={held.get(key)!r}, the settings say "
                f"{wanted.get(key)!r}: train again or use the settings of that run"
            )


def load_all(
    folder: Path, train: Train, names: tuple[str, ...] = NETWORKS
) -> tuple[dict[str, nn.Module], Layout]:
    """Several networks of one run. Raises SanspecError when they were trained on data of different layout."""
    models, layouts = {}, {}
    for name in names:
        models[name], layouts[name] = load(Path(folder) / f"{name}.safetensors", name, train)
    first = layouts[names[0]]
    for name, layout in layouts.items():
        if layout != first:
            both = f"{name} and {names[0]}"
            raise SanspecError(f"{folder}: {both} come from data of different grid or statistics: train both")
    return models, first
