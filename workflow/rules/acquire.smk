"""Inputs of all runs, under results/raw: downloaded or simulated once, then kept.

INPUTS   stellar templates from the package index; with `survey.source: files` your own cubes, catalogue and spectra
OUTPUTS  results/raw/templates/emiles.npz; results/raw/mock/{sdss.npz,catalogue.csv,truth.parquet,population.json,spectra/}

No source files are inputs here: a refactor must not fetch or simulate again.
"""


rule templates:
    """E-MILES stellar population models, downloaded from the package index, verified and packed."""
    output:
        protected("results/raw/templates/emiles.npz"),
    log:
        "results/raw/logs/templates.log",
    benchmark:
        "results/raw/benchmarks/templates.tsv"
    retries: 1
    conda:
        "../../envs/base.yaml"
    params:
        library="emiles",
        settings=section("templates"),
    shell:
        "python -m sanspec templates --library {params.library} --config results/main/config.yaml"
        " --out {output} > {log} 2>&1"


rule mock:
    """The simulated sky: image cubes, catalogue and spectra in the SDSS formats, and the truth."""
    input:
        templates=rules.templates.output,
    output:
        cubes="results/raw/mock/sdss.npz",
        catalogue="results/raw/mock/catalogue.csv",
        truth="results/raw/mock/truth.parquet",
        population="results/raw/mock/population.json",
        spectra=directory("results/raw/mock/spectra"),
    log:
        "results/raw/logs/mock.log",
    benchmark:
        "results/raw/benchmarks/mock.tsv"
    conda:
        "../../envs/base.yaml"
    threads: workflow.cores or 1
    params:
        settings=section("mock"),
    shell:
        "python -m sanspec mock --config results/main/config.yaml --templates {input.templates}"
        " --workers {threads} --out results/raw/mock > {log} 2>&1"
