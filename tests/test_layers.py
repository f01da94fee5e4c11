"""Imports run downwards only; stages import no stage; the house keeps its size."""

import ast
import statistics

import pytest

from conftest import ROOT

PACKAGE = ROOT / "src" / "sanspec"
FILES = sorted(PACKAGE.rglob("*.py"))
BOTTOM, SCIENCE, STAGES, TOP = range(4)


def module(path):
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path) for path in FILES}


def imported(path):
    """Modules of the package that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("sanspec"))
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("sanspec."):
            for name in node.names:
                full = f"{node.module}.{name.name}"
                yield full if full in MODULES else node.module


def layer(name):
    if name == "sanspec.__main__":
        return TOP
    if name.startswith("sanspec.stages"):
        return STAGES
    if name in ("sanspec", "sanspec.errors", "sanspec.store") or name.startswith("sanspec.config"):
        return BOTTOM
    return SCIENCE


@pytest.mark.parametrize("path", FILES, ids=module)
def test_imports_run_downwards(path):
    own = layer(module(path))
    above = [name for name in imported(path) if layer(name) > own]
    assert not above, f"{module(path)} imports {above}"


def test_stages_import_no_stage():
    guilty = [
        (module(path), name)
        for path in (PACKAGE / "stages").glob("*.py")
        for name in imported(path)
        if name.startswith("sanspec.stages.")
    ]
    assert not guilty


def test_figures_and_networks_stand_apart():
    for path in FILES:
        for name in imported(path):
            if module(path).startswith("sanspec.nets"):
                assert (
                    name.startswith("sanspec.nets") or layer(name) == BOTTOM or name == "sanspec.spectra.grid"
                ), (
                    path,
                    name,
                )
            if name.startswith("sanspec.figures"):
                assert module(path).startswith(("sanspec.figures", "sanspec.stages.figure")), (path, name)


def test_there_is_no_circle():
    graph = {module(path): set(imported(path)) - {module(path)} for path in FILES}
    seen, done = set(), set()

    def visit(name, trail):
        assert name not in seen or name in done, f"circle: {' -> '.join([*trail, name])}"
        if name in done or name not in graph:
            return
        seen.add(name)
        for other in graph[name]:
            if not name.startswith(f"{other}."):
                visit(other, [*trail, name])
        done.add(name)

    for name in graph:
        visit(name, [])


def functions(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            yield node, sum(sub.end_lineno - sub.lineno + 1 for sub in body)


def test_functions_and_files_are_short():
    sizes = sorted(lines for path in FILES for _, lines in functions(path))
    assert statistics.median(sizes) <= 12 and sizes[int(0.95 * len(sizes))] <= 45
    long = {module(path): count for path in FILES if (count := len(path.read_text().splitlines())) > 320}
    assert not long


def public(tree, owner=""):
    """Functions and methods that others may call; not the functions inside functions."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from public(node, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield f"{owner}{node.name}", node


def test_public_functions_have_docstrings():
    bare = [
        f"{module(path)}.{name}"
        for path in FILES
        for name, node in public(ast.parse(path.read_text()))
        if not name.endswith(".forward") and not ast.get_docstring(node)
    ]
    assert not bare


def test_nothing_unpickles_or_prints():
    for path in FILES:
        text = path.read_text()
        assert (
            "allow_pickle=True" not in text and "torch.load(" not in text and "import pickle" not in text
        ), path
