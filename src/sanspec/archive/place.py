"""Where products stand: what was fetched lies in the store for good, and results/raw/sdss points to it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sanspec.errors import SanspecError


def link(out: Path, target: Path) -> None:
    """Make `out` a symbolic link to `target`. Raises SanspecError where something else stands there.

    A rerun of a rule deletes its products: of a link it deletes the link alone, not 47 GB of spectra.
    """
    out, target = Path(out), Path(target)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists() and not out.is_symlink():
        raise SanspecError(
            f"{out} is in the way: move it, or name another product; {target} stays where it is"
        )
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target.resolve(), out.parent.resolve()))
    temporary.replace(out)


@contextmanager
def claimed(store: Path) -> Iterator[None]:
    """The store for this process alone, while it lives. Raises SanspecError where another has it."""
    store = Path(store)
    store.mkdir(parents=True, exist_ok=True)
    lock = FileLock(store / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise SanspecError(f"another sanspec works in {store}: wait for it, or end it") from None
    try:
        yield
    finally:
        lock.release()
