"""Draw one figure from the products of a run: PNG, PDF and a JSON of its numbers."""

import argparse
import importlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from sanspec import config, options, store
from sanspec.errors import SanspecError
from sanspec.figures import FIGURES, style

log = logging.getLogger(__name__)


FILES = options.files("config", out="the picture (.png); .pdf and .json are written beside it")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument(
        "name", choices=FIGURES, help="; ".join(f"{name}: {text}" for name, text in FIGURES.items())
    )
    parser.add_argument("--run", default="main", help="name of the run, for the record")
    parser.add_argument(
        "--inputs", nargs="*", default=[], metavar="KEY=PATH", help="the files the figure reads"
    )


def run(args: argparse.Namespace) -> None:
    """Draw, stamp and save the figure `args.name`."""
    settings = config.load(args.config)
    if args.out.suffix != ".png":
        raise SanspecError(
            f"figure: --out {args.out}: must end in .png; the .pdf and .json are written beside it"
        )
    module = importlib.import_module(f"sanspec.figures.{args.name}")
    inputs = read_inputs(args.inputs, module.INPUTS, args.name)
    with style.applied():
        picture, numbers = module.draw(inputs, settings)
        style.stamp(picture, settings.survey)
        style.save(picture, numbers, header(args, settings, inputs), args.out, settings.figures.dpi)
    log.info("%s: n = %s -> %s", args.name, numbers["n"], args.out)


def read_inputs(given: Sequence[str], wanted: Sequence[str], name: str) -> dict[str, Path | list[Path]]:
    """Paths by key from KEY=PATH arguments; of a key that `wanted` marks with a `*`, the list of them.

    Raises SanspecError when a key is missing or unknown, or given twice without the mark.
    """
    found: dict[str, list[Path]] = {}
    for key, _, path in (text.partition("=") for text in given):
        found.setdefault(key, []).append(Path(path))
    many = {key.rstrip("*"): key.endswith("*") for key in wanted}
    single = all(many.get(key) or len(paths) == 1 for key, paths in found.items())
    if set(found) != set(many) or not single or not all("=" in text for text in given):
        needed = " ".join(f"{key}=PATH{' ...' * several}" for key, several in many.items()) or "none"
        got = " ".join(given) or "none"
        raise SanspecError(f"figure {name}: --inputs: got {got}; it takes exactly: {needed}")
    return {key: paths if many[key] else paths[0] for key, paths in found.items()}


def header(args: argparse.Namespace, settings: config.Config, inputs: Mapping) -> dict:
    """What the JSON of every figure says of it before its numbers."""
    return {
        "figure": args.name,
        "title": FIGURES[args.name],
        "run": args.run,
        "survey": settings.survey.name,
        "simulated": settings.survey.simulated,
        "provenance": store.provenance(
            "figure", settings.figures.model_dump(mode="json"), inputs=dict(inputs)
        ),
    }
