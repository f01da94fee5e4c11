"""Count code lines, definitions and function lengths under some folders, from the syntax tree.

    python benchmarks/count_code.py src tests/loopback

A code line holds at least one token that is neither a comment nor part of a docstring. Definitions are functions and
classes at module level, underscored ones included. The length of a function is its code lines, its signature included.
"""

import argparse
import ast
import io
import json
import statistics
import tokenize
from pathlib import Path

LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
    tokenize.ENCODING,
}
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(text: str, tree: ast.Module) -> set[int]:
    """Numbers of the lines that hold code."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in LAYOUT:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | FUNCTIONS)
            and ast.get_docstring(node, clean=False) is not None
        ):
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return lines


def measure(folders: list[Path]) -> dict:
    """Counts over all Python files below the folders."""
    counts = {"files": 0, "code_lines": 0, "definitions": 0, "public_definitions": 0}
    lengths = []
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        text = path.read_text()
        tree = ast.parse(text)
        lines = code_lines(text, tree)
        top = [node for node in tree.body if isinstance(node, ast.ClassDef | FUNCTIONS)]
        counts["files"] += 1
        counts["code_lines"] += len(lines)
        counts["definitions"] += len(top)
        counts["public_definitions"] += sum(not node.name.startswith("_") for node in top)
        for node in ast.walk(tree):
            if isinstance(node, FUNCTIONS):
                lengths.append(len(lines & set(range(node.lineno, node.end_lineno + 1))))
    lengths.sort()
    share = statistics.quantiles(lengths, n=20) if len(lengths) > 1 else [0] * 19
    return counts | {
        "function_median": statistics.median(lengths),
        "function_p95": share[-1],
        "function_max": lengths[-1],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    print(json.dumps(measure(parser.parse_args().folders), indent=1))
