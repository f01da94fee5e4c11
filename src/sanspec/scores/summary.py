"""Every number of a run under one documented name: what the files of scores declare, collected in one place."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from sanspec.config import Survey
from sanspec.errors import SanspecError
from sanspec.products.samples import SPLITS
from sanspec.scores.numbers import Number, record

SAMPLE = "sample"
SOURCES = (  # files that declare numbers, in the order of the summary
    SAMPLE,
    *("tables/quality", "tables/redshift", "tables/validation", "tables/indices", "tables/lick"),
    *("tables/broadening", "tables/lines", "tables/classes", "tables/agn", "tables/bimodality"),
    *("figures/fig05", "tables/predictors", "figures/fig08", "figures/fig09", "figures/fig10"),
)
CAVEAT = "paper: Doorenbos et al. 2024, ApJ 977, 131, their SDSS galaxies: not the same sample"


def read_sources(paths: Sequence[Path], read: Callable[[Path], Any], run: str) -> dict[str, Any]:
    """Files of scores by name, `tables/quality` for .../tables/quality.json.

    Raises SanspecError when two have the same name, or one is of another run.
    """
    sources: dict[str, Any] = {}
    for path in paths:
        name, content = f"{path.parent.name}/{path.stem}", read(path)
        if name in sources:
            raise SanspecError(f"summary: two files are called {name}, one of them {path}; give each once")
        if isinstance(content, Mapping) and content.get("run", run) != run:
            raise SanspecError(
                f"summary: {path} is of run {content['run']!r}, not {run!r}; give files of one run"
            )
        sources[name] = content
    return sources


def sample(objects: pd.DataFrame, losses: pd.DataFrame) -> dict[str, dict]:
    """Sizes of the splits, objects kept but in no split, objects lost (each once, whatever its reasons)."""
    paper = {"train": "268603", "valid": "512", "test": "1506"}
    names = {"train": "training", "valid": "validation", "test": "test"}
    sizes = {name: int((objects["split"] == number).sum()) for name, number in SPLITS.items()}
    unused, lost = len(objects) - sum(sizes.values()), losses.attrs["meta"]["counts"]["lost"]
    return record(
        [
            *(
                Number(f"n_{name}", size, f"galaxies in the {names[name]} split", paper=paper[name])
                for name, size in sizes.items()
            ),
            Number("n_unused", unused, "galaxies kept but in no split; their WARN bits say why"),
            Number("n_lost", lost, "objects left out by match; matched/losses.ecsv counts the reasons"),
        ]
    )


def collect(sources: Mapping[str, Mapping]) -> tuple[dict[str, Any], dict[str, dict]]:
    """Values by name, and what each name means: unit, meaning, source, the paper's value.

    Raises SanspecError for a missing source, one that declares no numbers, or a name declared twice.
    """
    numbers: dict[str, Any] = {}
    about: dict[str, dict] = {}
    for source in SOURCES:
        if source not in sources:
            raise SanspecError(f"summary: {source}.json is not among --numbers; add it")
        content = sources[source]
        values, declared = content.get("numbers"), content.get("about")
        if not (
            isinstance(values, Mapping) and isinstance(declared, Mapping) and set(values) == set(declared)
        ):
            raise SanspecError(f"summary: {source}.json does not declare its numbers; rerun its rule")
        for name, value in values.items():
            if name in numbers:
                raise SanspecError(
                    f"summary: the name {name!r} is given twice; every number has a name of its own"
                )
            numbers[name] = value
            about[name] = declared[name] | {"source": f"{source}: numbers.{name}"}
    return numbers, about


def table(numbers: Mapping[str, Any], about: Mapping[str, Mapping], head: str) -> str:
    """The numbers as aligned text: name, value, unit, the paper's value, meaning."""
    rows = [("name", "value", "unit", "paper", "meaning")]
    for name, value in numbers.items():
        one = about[name]
        rows.append((name, written(value), one["unit"] or "-", one["paper"] or "-", one["meaning"]))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([head, "", lines[0], "-" * max(map(len, lines)), *lines[1:], "", CAVEAT])


def headline(run: str, survey: Survey, times: Mapping[str, Any]) -> str:
    """The lines above the table: the run, its survey, the time it took."""
    sky = " (SIMULATED: no number here is a result about the real sky)" if survey.simulated else ""
    return (
        f"run {run}, survey {survey.name}{sky}\n"
        f"{times['total']:.0f} s of work in {len(times['jobs'])} jobs; training: {times['training']:.0f} s"
    )


def written(value: Any) -> str:
    """A value as text: whole numbers in full, others to four digits."""
    if value is None:
        return "missing"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
