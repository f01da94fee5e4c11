"""Options that stages share."""

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path


def files(parser: ArgumentParser, wanted: Mapping[str, str]) -> None:
    """A required file for each name, with its help text."""
    for name, text in wanted.items():
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="FILE", help=text)
