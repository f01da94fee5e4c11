"""The store of fetched files, which is kept between runs, and the links from results/raw/sdss into it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from sanspec.errors import SanspecError


def link(out: Path, target: Path) -> None:
    """Make `out` a symbolic link to `target`. Raises SanspecError where `out` exists and is not a link.

    Snakemake deletes a rule's products before it runs the rule again; of a link it deletes only the link, not 47 GB
    of spectra.
    """
    out, target = Path(out), Path(target)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists() and not out.is_symlink():
        raise SanspecError(f"{out} is in the way: move it, or name another product; {target} is unchanged")
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(os.path.relpath(target.resolve(), out.parent.resolve()))
    temporary.replace(out)


@contextmanager
def claimed(store: Path) -> Iterator[None]:
    """The store for this process alone, as long as it lives. Raises SanspecError where another process has it."""
    Path(store).mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(Path(store) / ".lock", timeout=0):
            yield
    except Timeout:
        raise SanspecError(f"another sanspec uses {store}: wait for it, or stop it") from None
