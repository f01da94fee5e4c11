"""Digest of the source code that weights depend on, so that `sanspec check` can name weights of other code."""

import ast
import hashlib
from pathlib import Path

ROOTS = ("build", "loop")  # the modules that build and train networks; what they import counts too


def files() -> list[Path]:
    """Source files of this package that weights depend on, found by following imports."""
    folder = Path(__file__).parent
    found, queue = set(), [folder / f"{root}.py" for root in ROOTS]
    while queue:
        path = queue.pop()
        if path in found or not path.exists():
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("sanspec.nets."):
                inside = node.module.removeprefix("sanspec.nets").removeprefix(".")
                names = [inside] if inside else [name.name for name in node.names]
                queue += [folder / f"{name}.py" for name in names]
    return sorted(found)


def digest() -> str:
    """SHA-256 of those files, hexadecimal."""
    content = hashlib.sha256()
    for path in files():
        content.update(path.read_bytes())
    return content.hexdigest()
