"""The command line: `sanspec STAGE --config FILE ...`. Only the module of that stage is imported.

Exit status: 0 done; 1 a fault of ours (with traceback); 2 a fault the user can mend (one line).
"""

import argparse
import ast
import importlib
import logging
import sys
from pathlib import Path
from types import ModuleType

from sanspec import options
from sanspec.errors import SanspecError

# In the order of a run: fetch or simulate, prepare, train, generate, measure, report; then `measure` for other files.
STAGES = (
    *("config", "templates", "mock"),
    *("cubes", "query", "spectra", "inspect", "cutouts", "status"),
    *("match", "prepare", "train", "generate", "baselines"),
    *("eigenspectra", "redshift", "indices", "ppxf", "firefly", "stellar-merge"),
    *("broadening", "lick", "starlight", "lines", "classify", "agn", "compare", "bimodality", "table"),
    *("validate", "quality", "figure", "summary", "runs", "check"),
    "measure",
)


def usage() -> str:
    """Every stage with the first line of its docstring, read from the file without importing it."""
    folder, width = Path(__file__).with_name("stages"), max(map(len, STAGES))
    lines = ["usage: sanspec STAGE [options]    (sanspec STAGE --help for its options)", ""]
    for name in STAGES:
        text = ast.get_docstring(ast.parse((folder / f"{module(name)}.py").read_text()))
        lines.append(f"  {name:<{width}}  {text.splitlines()[0]}")
    return "\n".join(lines)


def module(name: str) -> str:
    """Name of a stage's module."""
    return name.replace("-", "_")


def arguments(name: str, stage: ModuleType) -> argparse.ArgumentParser:
    """The parser of a stage: its `FILES`, files that may be given (`OPTIONAL`), lists of files (`LISTS`), options."""
    parser = argparse.ArgumentParser(prog=f"sanspec {name}", description=stage.__doc__.splitlines()[0])
    options.add(parser, getattr(stage, "FILES", {}))
    options.add(parser, getattr(stage, "OPTIONAL", {}), required=False)
    options.add(parser, getattr(stage, "LISTS", {}), nargs="+")
    if hasattr(stage, "arguments"):
        stage.arguments(parser)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one stage and return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else 2
    name, *rest = argv
    if name not in STAGES:
        print(f"sanspec: unknown stage {name!r}; one of: {', '.join(STAGES)}", file=sys.stderr)
        return 2
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    stage = importlib.import_module(f"sanspec.stages.{module(name)}")
    args = arguments(name, stage).parse_args(rest)
    try:
        output = stage.run(args)
    except SanspecError as fault:
        print(f"sanspec {name}: {' '.join(str(fault).split())}", file=sys.stderr)
        return 2
    if output is not None:
        print(output)
    return 0


def entry() -> None:
    """Console entry point."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
