"""Imports run in the order that CONTRIBUTING.md prints; stages import no stage; functions and files are short."""

import ast
import re
import statistics

import pytest

from conftest import ROOT

PACKAGE = ROOT / "src" / "sanspec"
FILES = sorted(PACKAGE.rglob("*.py"))
ORDER = [
    line.split()[0]
    for block in re.findall(r"^```imports\n(.*?)^```", (ROOT / "CONTRIBUTING.md").read_text(), re.M | re.S)
    for line in block.splitlines()
]


def module(path):
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path) for path in FILES}


def package(name):
    """`spectra` of `sanspec.spectra.grid`; the version, in `sanspec` itself, belongs to nobody."""
    return name.split(".")[1] if "." in name else None


def imported(path):
    """Modules of the package that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.startswith("sanspec"))
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("sanspec."):
            for name in node.names:
                full = f"{node.module}.{name.name}"
                yield full if full in MODULES else node.module


# Module pairs by package pair: {("stages", "store"): {("sanspec.stages.match", "sanspec.store"), ...}}
EDGES = {}
for _path in FILES:
    for _name in imported(_path):
        _pair = package(module(_path)), package(_name)
        if _pair[0] != _pair[1] and None not in _pair:
            EDGES.setdefault(_pair, set()).add((module(_path), _name))


def test_contributing_lists_every_package_once():
    assert len(ORDER) == len(set(ORDER)) and set(ORDER) == {package(name) for name in MODULES} - {None}


@pytest.mark.parametrize("name", ORDER)
def test_a_package_imports_only_those_above_it_in_the_list(name):
    below = set(ORDER[ORDER.index(name) :])
    assert not {pair: edges for pair, edges in EDGES.items() if pair[0] == name and pair[1] in below}


def test_no_two_packages_import_each_other():
    assert not {pair for pair in EDGES if pair[::-1] in EDGES}


def test_stages_import_no_stage():
    guilty = [
        (module(path), name)
        for path in (PACKAGE / "stages").glob("*.py")
        for name in imported(path)
        if name.startswith("sanspec.stages.")
    ]
    assert not guilty


def test_networks_know_neither_the_survey_nor_measurements():
    allowed = {"errors", "config", "store", "physics"}
    for pair, edges in EDGES.items():
        if pair[0] == "nets" and pair[1] not in allowed:
            assert {name for _, name in edges} == {"sanspec.spectra.grid"}, edges


def test_figures_are_drawn_by_their_stage_alone():
    for pair, edges in EDGES.items():
        if pair[1] == "figures":
            assert {name for name, _ in edges} == {"sanspec.stages.figure"}, edges


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
