"""A GPU for this process alone, leased by a lock file before torch is imported.

Workflow engines count GPUs but assign no device numbers. Each process therefore takes the first free device of the
inherited CUDA_VISIBLE_DEVICES by an exclusive `flock`, which the kernel releases however the process ends. This module
does not import torch, because torch reads CUDA_VISIBLE_DEVICES once, when CUDA starts.
"""

import contextlib
import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sanspec.errors import SanspecError

log = logging.getLogger(__name__)

NVIDIA = Path("/proc/driver/nvidia/gpus")


def pool() -> list[str]:
    """Devices that this process may use: CUDA_VISIBLE_DEVICES if it is set, else all that the driver lists."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        return [name for name in names if name and name != "-1"]
    return [str(number) for number, _ in enumerate(NVIDIA.iterdir())] if NVIDIA.is_dir() else []


def folder() -> Path:
    """Folder of the lock files, one per user of this machine and cluster job.

    A cluster may number the devices of each job from 0 although they are different; its jobs share no device.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    name = "-".join(["sanspec-devices", str(os.getuid()), *([job] if job else [])])
    return Path(tempfile.gettempdir()) / name


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[str | None]:
    """Hold the lock file `path`, with this process's id in it: None if it is ours, else the id of its holder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield path.read_text().strip() or "unknown"
            return
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield None


@contextlib.contextmanager
def lease(device: str, gpus: int | None = None) -> Iterator[str]:
    """The torch device to use for `auto`, `cpu` or `cuda`: "cpu", or "cuda" with only the leased device visible.

    gpus: number granted by the workflow; with 0 the device is the CPU.
    `auto` is the CPU if no device is offered. If every offered device is taken it is an error, because a training that
    silently falls back to the CPU takes a hundred times longer. Raises SanspecError.
    """
    device = "cpu" if gpus == 0 else device
    names, visible = [] if device == "cpu" else pool(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if not names and device == "cuda":
        raise SanspecError(
            f"device: got 'cuda' but no GPU is offered (CUDA_VISIBLE_DEVICES={visible!r}); allowed: auto, "
            "cpu, or cuda on a machine with a GPU; use --device cpu"
        )
    if not names:
        yield "cpu"
        return
    holders = {}
    with contextlib.ExitStack() as stack:
        for name in names:
            holders[name] = stack.enter_context(exclusive(folder() / f"{name.replace('/', '_')}.lock"))
            if holders[name] is None:
                break
        else:
            held = ", ".join(f"{name} by process {holder}" for name, holder in holders.items())
            remedy = "wait for one, widen CUDA_VISIBLE_DEVICES or use --device cpu"
            raise SanspecError(f"device: every offered GPU is in use ({held}); {remedy}")
        os.environ["CUDA_VISIBLE_DEVICES"] = name
        log.info("leased GPU %s", name)
        try:
            yield "cuda"
        finally:
            if visible is None:
                del os.environ["CUDA_VISIBLE_DEVICES"]
            else:
                os.environ["CUDA_VISIBLE_DEVICES"] = visible


def arguments(parser) -> None:
    """Add the options for the device of a stage."""
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a free GPU, else the CPU"
    )
    parser.add_argument("--gpus", type=int, help="GPUs granted by the workflow; 0: the CPU")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
