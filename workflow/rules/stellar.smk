"""Stellar populations of observed and predicted spectra, by pPXF and by FIREFLY's method, in shards.

INPUTS   results/<run>/{prepared,generated}/*, results/<run>/tables/redshift.ecsv, the libraries named in the settings
OUTPUTS  results/raw/templates/m11_miles.npz; results/<run>/tables/{ppxf,firefly}.parquet, {ppxf,firefly}_models.h5

`stellar.shards` jobs a code, each one process with one thread. FIREFLY takes its velocity dispersions from pPXF.
"""


rule templates_m11:
    """M11-MILES stellar population models, fetched from the package index, verified and packed."""
    output:
        protected("results/raw/templates/m11_miles.npz"),
    log:
        "results/raw/logs/templates_m11.log",
    benchmark:
        "results/raw/benchmarks/templates_m11.tsv"
    retries: 1
    conda:
        "../../envs/base.yaml"
    params:
        settings=section("templates_m11"),
    shell:
        "python -m sanspec templates-m11 --config results/main/config.yaml --out {output} > {log} 2>&1"


rule ppxf:
    """One shard of the pPXF fits: kinematics, populations, lines, bootstraps."""
    input:
        spectra=rules.prepare.output.spectra,
        objects=rules.prepare.output.objects,
        predicted=rules.generate.output.predicted,
        redshifts=rules.redshift.output.table,
        templates=lambda wildcards: str(RUNS[wildcards.run].stellar.ppxf.library),
    output:
        table=temp("results/{run}/tables/shards/ppxf_{shard}of{shards}.parquet"),
        models=temp("results/{run}/tables/shards/ppxf_{shard}of{shards}.h5"),
    log:
        "results/{run}/logs/ppxf_{shard}of{shards}.log",
    benchmark:
        "results/{run}/benchmarks/ppxf_{shard}of{shards}.tsv"
    conda:
        "../../envs/stellar.yaml"
    resources:
        runtime=240,
    params:
        settings=lambda wildcards: RUNS[wildcards.run].stellar.model_dump(
            mode="json", exclude={"firefly", "shards"}
        ),
        code=sources("stages.ppxf"),
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m sanspec ppxf"
        " --config results/{wildcards.run}/config.yaml --spectra {input.spectra}"
        " --predicted {input.predicted} --redshifts {input.redshifts} --templates {input.templates}"
        " --shard {wildcards.shard}/{wildcards.shards} --out {output.table} --models {output.models} > {log} 2>&1"


rule firefly:
    """One shard of the FIREFLY fits, at the velocity dispersions of pPXF."""
    input:
        spectra=rules.prepare.output.spectra,
        objects=rules.prepare.output.objects,
        predicted=rules.generate.output.predicted,
        redshifts=rules.redshift.output.table,
        kinematics="results/{run}/tables/ppxf.parquet",
        templates=lambda wildcards: str(RUNS[wildcards.run].stellar.firefly.library),
    output:
        table=temp("results/{run}/tables/shards/firefly_{shard}of{shards}.parquet"),
        models=temp("results/{run}/tables/shards/firefly_{shard}of{shards}.h5"),
    log:
        "results/{run}/logs/firefly_{shard}of{shards}.log",
    benchmark:
        "results/{run}/benchmarks/firefly_{shard}of{shards}.tsv"
    conda:
        "../../envs/base.yaml"
    resources:
        runtime=240,
    params:
        settings=lambda wildcards: RUNS[wildcards.run].stellar.model_dump(
            mode="json", exclude={"ppxf", "shards"}
        ),
        code=sources("stages.firefly"),
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python -m sanspec firefly"
        " --config results/{wildcards.run}/config.yaml --spectra {input.spectra}"
        " --predicted {input.predicted} --redshifts {input.redshifts} --templates {input.templates}"
        " --kinematics {input.kinematics} --shard {wildcards.shard}/{wildcards.shards}"
        " --out {output.table} --models {output.models} > {log} 2>&1"


rule stellar_merge:
    """The shards of one code as one table and one file of fitted spectra."""
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
        code=sources("stages.stellar_merge"),
    shell:
        "python -m sanspec stellar-merge --tables {input.tables} --models {input.models}"
        " --out {output.table} --models-out {output.models} > {log} 2>&1"
