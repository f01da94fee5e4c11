"""Write one of the paper's tables from the products of a run: ECSV, LaTeX and plain text side by side."""

import logging

import pandas as pd

from sanspec import config, options, store
from sanspec.errors import SanspecError
from sanspec.features import lick
from sanspec.scores import papertables

log = logging.getLogger(__name__)

BUDGET = (
    "Scores of the active class: nominal, of the labels as measured; mean and standard deviation over draws of "
    "all labels by their probabilities under the errors of the lines, for both readings of the width's. Independent "
    "draws pull the mean below the nominal score: the two are different numbers."
)


FILES = options.files("config", out="table to write (.ecsv)")
OPTIONAL = options.files(
    classes="tables/classes.json, for table2, table_budget",
    compared="tables/predictors.json, for table_predictors",
    agn="tables/agn.json, for table_predictors",
)


def arguments(parser) -> None:
    """Options of the stage."""
    text = "; ".join(map(": ".join, papertables.TABLES.items()))
    parser.add_argument("name", choices=papertables.TABLES, help=text)
    parser.add_argument("--run", default="main", help="name of the run, for the caption")


def run(args) -> None:
    """Write the table three times."""
    survey = config.load(args.config).survey
    if args.out.suffix != ".ecsv":
        raise SanspecError(f"table: --out {args.out}: must end in .ecsv; .tex and .txt are written beside it")
    table, caption = made(args)
    sky = " Simulated sky: not a result about the real one." if survey.simulated else ""
    caption = f"{caption} Run {args.run}, survey {survey.name}.{sky}"
    store.write_table(args.out, table, meta=store.provenance("table", caption=caption))
    for suffix, text in ((".tex", papertables.latex), (".txt", papertables.aligned)):
        with store.atomic(args.out.with_suffix(suffix)) as temporary:
            temporary.write_text(text(table, caption))
    log.info("%s: %d rows -> %s", args.name, len(table), args.out)


def made(args) -> tuple[pd.DataFrame, str]:
    """The table and what it shows."""
    if args.name == "table1":
        return papertables.index_definitions(
            lick.definitions().values()
        ), "Indices: windows in Angstrom, rest frame, air."
    if args.name == "table_predictors":
        return compared(args)
    if args.classes is None:
        raise SanspecError(f"table: {args.name} needs --classes, the JSON of the stage classify")
    if args.name == "table_budget":
        return papertables.budget(store.read_json(args.classes)), BUDGET
    found = store.read_json(args.classes)["confusion"]
    caption = (
        f"{found['count']} galaxies by actual (row) and predicted class. Of the active ones: "
        f"accuracy {said(found['accuracy'])}, precision {said(found['precision'])}, "
        f"recall {said(found['recall'])}; accuracy of never saying active: {said(found['never'])}."
    )
    return papertables.confusion(found), caption


def compared(args) -> tuple[pd.DataFrame, str]:
    """The table of predictors and what it shows."""
    if args.compared is None or args.agn is None:
        raise SanspecError(
            "table: table_predictors needs --compared and --agn, the JSON of the stages compare and agn"
        )
    found = papertables.predictors(store.read_json(args.compared), store.read_json(args.agn))
    return found, (
        "Pearson's coefficient of predicted with observed indices, as measured, Hbeta on a quick stellar continuum; "
        "scores of the active class, a prediction without a class counting as not active."
    )


def said(value: float | None) -> str:
    """A score, or that there is none."""
    return "undefined" if value is None else f"{value:.3f}"
