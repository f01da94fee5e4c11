"""Seconds and memory of the jobs of a run, from the benchmark files that Snakemake writes."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from sanspec.errors import SanspecError

COLUMNS = {"s": "seconds", "cpu_time": "cpu_seconds", "max_rss": "peak_memory_mb"}


def read_jobs(folders: Sequence[Path]) -> dict[str, dict[str, float | None]]:
    """Seconds, CPU seconds and peak memory [MB] of every job, by the name of its file; None where unknown.

    Raises SanspecError when a file is not a benchmark, or when two jobs bear the same name.
    """
    jobs: dict[str, dict[str, float | None]] = {}
    for path in sorted(path for folder in folders for path in Path(folder).glob("*.tsv")):
        if path.stem in jobs:
            raise SanspecError(
                f"summary: two benchmarks are called {path.stem}, one of them {path}: give each folder once"
            )
        jobs[path.stem] = read_job(path)
    return jobs


def read_job(path: Path) -> dict[str, float | None]:
    """One benchmark file; repeats are averaged."""
    try:
        rows = pd.read_csv(path, sep="\t", na_values=["-", "NA"])
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
        rows = pd.DataFrame()
    if "s" not in rows or rows["s"].isna().any() or not len(rows):
        raise SanspecError(
            f"{path} is not a benchmark of Snakemake (no seconds in column s): delete it and rerun its rule"
        )
    found = {name: rows[column].mean() for column, name in COLUMNS.items() if column in rows}
    return {name: None if pd.isna(value) else float(value) for name, value in found.items()}


def times(jobs: dict[str, dict[str, float | None]]) -> dict:
    """Seconds per job and per rule, their sum, that of all training, and the largest peak memory [MB].

    Jobs run side by side, so `total` is the work done, not the time waited.
    """
    seconds = {name: job["seconds"] for name, job in jobs.items()}
    rules: dict[str, float] = {}
    for name, value in seconds.items():
        rules[name.split("_")[0]] = rules.get(name.split("_")[0], 0.0) + value
    memory = [job["peak_memory_mb"] for job in jobs.values() if job.get("peak_memory_mb") is not None]
    return {
        "unit": "s",
        "total": sum(seconds.values()),
        "training": rules.get("train", 0.0),
        "training_and_baselines": rules.get("train", 0.0) + rules.get("baselines", 0.0),
        "peak_memory_mb": max(memory, default=None),
        "rules": rules,
        "jobs": jobs,
    }
