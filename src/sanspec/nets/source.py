"""Which code trained a network: a digest of the source, so that weights of other code can be told."""

import ast
import hashlib
from pathlib import Path

ROOTS = ("build", "loop")  # the modules that make and train networks; those they import count too


def files() -> list[Path]:
    """The source files of this package that weights depend on, found by reading imports."""
    folder = Path(__file__).parent
    found, queue = set(), [folder / f"{root}.py" for root in ROOTS]
    while queue:
        path = queue.pop()
        if path in found or not path.exists():
            continue
        found.add(path)
        queue += [folder / f"{name}.py" for name in _imported(path)]
    return sorted(found)


def _imported(path: Path) -> list[str]:
    """Names of modules of this package that a file imports."""
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("sanspec.nets."):
            inside = node.module.removeprefix("sanspec.nets").removeprefix(".")
            names += [inside] if inside else [name.name for name in node.names]
    return names


def digest() -> str:
    """SHA-256 of those files, hexadecimal."""
    content = hashlib.sha256()
    for path in files():
        content.update(path.read_bytes())
    return content.hexdigest()
