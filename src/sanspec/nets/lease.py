"""One process a GPU: a device is leased by a lock file before torch is imported.

Workflow engines count GPUs but hand out no device numbers. Each process therefore takes the first free device
of the inherited CUDA_VISIBLE_DEVICES by an exclusive `flock`; the kernel drops the lock when the process
ends, however it ends. This module imports no torch, because torch reads CUDA_VISIBLE_DEVICES once, when CUDA
starts.
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
    """Device names this process may use: CUDA_VISIBLE_DEVICES where it is set, else all that the driver
    lists.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        return [name for name in names if name and name != "-1"]
    return [str(number) for number, _ in enumerate(NVIDIA.iterdir())] if NVIDIA.is_dir() else []


def folder() -> Path:
    """Where the lock files stand: one folder a user on this machine, and a cluster job.

    A cluster may number the devices of each job from 0 though they are different ones; its jobs share none.
    """
    job = os.environ.get("SLURM_JOB_ID", "")
    return Path(tempfile.gettempdir()) / "-".join(
        ["sanspec-devices", str(os.getuid()), *([job] if job else [])]
    )


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """True while this process holds the lock file `path`, False where another one does; names the holder's
    pid in it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield True


def holder(path: Path) -> str:
    """The pid written in a lock file, or "unknown"."""
    return path.read_text().strip() or "unknown"


@contextlib.contextmanager
def lease(device: str) -> Iterator[str]:
    """The torch device name to use ("cpu", or "cuda" with one device left visible), for `auto`, `cpu` or
    `cuda`.

    `auto` is the CPU where no device is offered; where every offered device is taken it is an error, because
    a training that silently falls back to the CPU runs a hundred times longer. Raises SanspecError.
    """
    names = [] if device == "cpu" else pool()
    if not names and device == "cuda":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        raise SanspecError(
            f"device: got 'cuda' but no GPU is offered (CUDA_VISIBLE_DEVICES={visible!r}); allowed: auto, "
            "cpu, or cuda on a machine with a GPU; use --device cpu"
        )
    if not names:
        yield "cpu"
        return
    with contextlib.ExitStack() as stack:
        name = next((name for name in names if stack.enter_context(exclusive(_lock(name)))), None)
        if name is None:
            raise SanspecError(_taken(names))
        with _visible(name):
            log.info("leased GPU %s", name)
            yield "cuda"


def _lock(name: str) -> Path:
    """The lock file of a device (a number, a GPU-... or a MIG-... name)."""
    return folder() / f"{name.replace('/', '_')}.lock"


def _taken(names: list[str]) -> str:
    """The one line said when every device is in use."""
    held = ", ".join(f"{name} by process {holder(_lock(name))}" for name in names)
    remedy = "wait for one, widen CUDA_VISIBLE_DEVICES or use --device cpu"
    return f"device: every offered GPU is in use ({held}); {remedy}"


@contextlib.contextmanager
def _visible(name: str) -> Iterator[None]:
    """CUDA_VISIBLE_DEVICES narrowed to one device."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = name
    try:
        yield
    finally:
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def arguments(parser) -> None:
    """Options by which a stage is told where to compute."""
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a free GPU, else the CPU"
    )
    parser.add_argument("--gpus", type=int, help="GPUs granted by the workflow; 0: the CPU")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")


def wanted(args) -> str:
    """The device asked for by those options."""
    return "cpu" if args.gpus == 0 else args.device
