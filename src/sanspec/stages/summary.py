"""Collect every number of a run under one documented name, and the seconds that its rules took; print a table."""

import argparse
import logging
from pathlib import Path

from sanspec import config, options, store
from sanspec.scores import summary, timing

log = logging.getLogger(__name__)


FILES = options.files(
    "config objects",
    losses="matched/losses.ecsv",
    out="summary.json to write",
    times="times.json to write",
)
LISTS = options.files(numbers="JSON of tables, figures, networks")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the stage."""
    parser.add_argument("--run", default="main", help="name of the run")
    text = "folders of benchmark files"
    parser.add_argument("--benchmarks", type=Path, nargs="*", default=[], metavar="DIR", help=text)


def run(args: argparse.Namespace) -> str:
    """Write summary and times; give the table of numbers as text."""
    survey = config.load(args.config).survey
    sources = summary.read_sources(args.numbers, store.read_json, args.run)
    sources[summary.SAMPLE] = summary.sample(store.read_table(args.objects), store.read_table(args.losses))
    numbers, about = summary.collect(sources)
    times = timing.times(timing.read_jobs(args.benchmarks))
    header = {"run": args.run, "survey": survey.name, "simulated": survey.simulated}
    made = {"provenance": store.provenance("summary", inputs=list(args.numbers))}
    store.write_json(args.out, header | numbers | made | {"about": about})
    store.write_json(args.times, header | times | made)
    log.info(
        "%d numbers -> %s; %.0f s in %d jobs -> %s",
        len(numbers),
        args.out,
        times["total"],
        len(times["jobs"]),
        args.times,
    )
    return summary.table(numbers, about, summary.headline(args.run, survey, times))
