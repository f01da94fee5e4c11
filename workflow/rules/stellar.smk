"""Stellar populations of observed and predicted spectra, by pPXF and by the method of FIREFLY, in shards.

INPUTS   results/<run>/{prepared,generated}/*, results/<run>/tables/redshift.ecsv, the libraries named in the settings
OUTPUTS  results/raw/templates/m11_miles.npz; results/<run>/tables/{ppxf,firefly}.parquet, {ppxf,firefly}_models.h5

Each code runs as `stellar.shards` jobs of one process and one thread. FIREFLY takes its velocity dispersions from pPXF.
"""


use rule templates as templates_m11 with:
    """M11-MILES stellar population models, downloaded from the package index, verified and packed."""
    output:
        protected("results/raw/templates/m11_miles.npz"),
    log:
        "results/raw/logs/templates_m11.log",
    benchmark:
        "results/raw/benchmarks/templates_m11.tsv"
    params:
        library="m11",
        settings=section("templates"),


use rule stage as ppxf with:
    """One shard of the pPXF fits: kinematics, populations, lines, bootstraps."""
    input:
        rules.prepare.output.table,
        spectra=rules.prepare.output.spectra,
        predicted=rules.generate.output.out,
        redshifts=rules.redshift.output.out,
        templates=lambda wildcards: str(RUNS[wildcards.run].stellar.ppxf.library),
    output:
        out=temp("results/{run}/tables/shards/ppxf_{shard}of{shards}.parquet"),
        models=temp("results/{run}/tables/shards/ppxf_{shard}of{shards}.h5"),
    pathvars:
        name="ppxf_{shard}of{shards}",
    conda:
        "../../envs/stellar.yaml"
    resources:
        runtime=240,
    params:
        **command(
            "ppxf --shard {shard}/{shards}",
            settings=lambda wildcards: RUNS[wildcards.run].stellar.model_dump(
                mode="json", exclude={"firefly", "shards"}
            ),
        ),


use rule stage as firefly with:
    """One shard of the FIREFLY fits, with the velocity dispersions that pPXF measured."""
    input:
        rules.prepare.output.table,
        spectra=rules.prepare.output.spectra,
        predicted=rules.generate.output.out,
        redshifts=rules.redshift.output.out,
        kinematics="results/{run}/tables/ppxf.parquet",
        templates=lambda wildcards: str(RUNS[wildcards.run].stellar.firefly.library),
    output:
        out=temp("results/{run}/tables/shards/firefly_{shard}of{shards}.parquet"),
        models=temp("results/{run}/tables/shards/firefly_{shard}of{shards}.h5"),
    pathvars:
        name="firefly_{shard}of{shards}",
    resources:
        runtime=240,
    params:
        **command(
            "firefly --shard {shard}/{shards}",
            settings=lambda wildcards: RUNS[wildcards.run].stellar.model_dump(
                mode="json", exclude={"ppxf", "shards"}
            ),
        ),


rule stellar_merge:
    """Join the shards of one code: one table and one file of fitted spectra."""
    input:
        tables=lambda wildcards: expand(
            "results/{{run}}/tables/shards/{{fitter}}_{shard}of{shards}.parquet",
            shard=range(1, RUNS[wildcards.run].stellar.shards + 1),
            shards=RUNS[wildcards.run].stellar.shards,
        ),
        models=lambda wildcards: expand(
            "results/{{run}}/tables/shards/{{fitter}}_{shard}of{shards}.h5",
            shard=range(1, RUNS[wildcards.run].stellar.shards + 1),
            shards=RUNS[wildcards.run].stellar.shards,
        ),
    output:
        table="results/{run}/tables/{fitter}.parquet",
        models="results/{run}/tables/{fitter}_models.h5",
    log:
        "results/{run}/logs/{fitter}_merge.log",
    benchmark:
        "results/{run}/benchmarks/{fitter}_merge.tsv"
    wildcard_constraints:
        fitter="ppxf|firefly",
    conda:
        "../../envs/base.yaml"
    params:
        **command("stellar-merge"),
    shell:
        "python -m sanspec {params.stage} --tables {input.tables} --models {input.models}"
        " --out {output.table} --models-out {output.models} > {log} 2>&1"
