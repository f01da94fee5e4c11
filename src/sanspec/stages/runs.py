"""Set the named runs of one workflow side by side: what each changes, its scores, ratios to main."""

import logging

from sanspec import config, options, store
from sanspec.errors import SanspecError
from sanspec.scores import runs

log = logging.getLogger(__name__)

FILES = options.files(out="table to write (.ecsv)")
LISTS = {
    name: f"{text} of each run, in the same order"
    for name, text in options.files("config", summary="summary.json", scores="tables/validation.ecsv").items()
}


def run(args) -> str:
    """Write the table; give it as text."""
    counts = {name: len(getattr(args, name)) for name in LISTS}
    if len(set(counts.values())) != 1:
        told = ", ".join(f"{count} of --{name}" for name, count in counts.items())
        raise SanspecError(f"runs: {told}: give one of each for every run, in the same order")
    summaries = [store.read_json(path) for path in args.summary]
    names = [summary["run"] for summary in summaries]
    settings = [config.load(path) for path in args.config]
    table = runs.table(
        {name: each.model_dump(mode="json") for name, each in zip(names, settings)},
        dict(zip(names, summaries)),
        {name: store.read_table(path) for name, path in zip(names, args.scores)},
    )
    simulated = any(each.survey.simulated for each in settings)
    store.write_table(args.out, table, meta=store.provenance("runs", simulated=simulated))
    log.info("%d runs -> %s", len(table), args.out)
    sky = "simulated sky: nothing here is a result about the real one\n" if simulated else ""
    return sky + runs.text(table)
