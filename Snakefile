"""From images to spectra to properties: checks the settings, resolves the named runs, includes the rules."""

import os
import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, f"{workflow.basedir}/src")

from sanspec.config import NETWORKS, dump, resolve
from sanspec.errors import SanspecError


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


try:
    RUNS = resolve(config)
except SanspecError as fault:
    raise SystemExit(str(fault))

# Without conda, rules use the interpreter that runs Snakemake; the package is taken from this checkout in any case.
interpreter = (
    ""
    if workflow.deployment_settings.deployment_method
    else f"{Path(sys.executable).parent}:"
)
# Snakemake gives every job OMP_NUM_THREADS, OPENBLAS_NUM_THREADS and their like: the threads of its rule. numba follows.
shell.prefix(
    f"set -euo pipefail; export PATH={interpreter}$PATH PYTHONPATH={workflow.basedir}/src"
    " NUMBA_NUM_THREADS=$OMP_NUM_THREADS; "
)


wildcard_constraints:
    run="|".join(RUNS),
    network="|".join(NETWORKS),


localrules:
    all,


onstart:
    for name, settings in RUNS.items():
        path = Path("results", name, "config.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dump(settings))


onsuccess:
    for name in RUNS:
        table = Path("results", name, "summary.txt")
        if table.exists():
            print(table.read_text())


include: "workflow/rules/common.smk"
include: "workflow/rules/stage.smk"
include: "workflow/rules/acquire.smk"


ACQUIRED = []
if RUNS["main"].survey.source == "sdss":

    include: "workflow/rules/sdss.smk"


include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/stellar.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/summary.smk"


rule all:
    default_target: True
    input:
        ACQUIRED,
        expand("results/{run}/check.json", run=RUNS),
        expand("results/{run}/figures/{figure}.png", run=RUNS, figure=FIGURES),
        expand("results/{run}/tables/{table}.ecsv", run=RUNS, table=TABLES),
        "results/runs.ecsv" if len(RUNS) > 1 else [],
