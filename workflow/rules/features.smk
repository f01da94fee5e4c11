"""Absorption indices freed of velocity dispersion, emission lines, classes with their baselines, bimodality.

INPUTS   results/<run>/{prepared,generated}/*, tables/{redshift,indices}.ecsv, tables/ppxf.parquet and fitted spectra
OUTPUTS  results/<run>/tables/{broadening.json,lick,lines,classes,agn,bimodality,predictors}.*,
         tables/{table1,table2,table_budget,table_predictors}.{ecsv,tex,txt}
"""

TABLES = ("table1", "table2", "table_budget", "table_predictors")


rule broadening:
    """What velocity dispersion does to indices, from population models: coefficients of the correction."""
    input:
        templates=rules.templates.output,
    output:
        "results/{run}/tables/broadening.json",
    log:
        "results/{run}/logs/broadening.log",
    benchmark:
        "results/{run}/benchmarks/broadening.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.broadening"),
        settings=section("lick", "prepare"),
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m sanspec broadening"
        " --config results/{wildcards.run}/config.yaml --templates {input.templates} --out {output} > {log} 2>&1"


rule lick:
    """Indices of both members of every pair, freed of velocity dispersion, and how they agree."""
    input:
        spectra=rules.prepare.output.spectra,
        objects=rules.prepare.output.objects,
        predicted=rules.generate.output.predicted,
        indices=rules.indices.output.table,
        populations="results/{run}/tables/ppxf.parquet",
        models=continua,
        broadening=rules.broadening.output,
    output:
        table="results/{run}/tables/lick.ecsv",
        numbers="results/{run}/tables/lick.json",
    log:
        "results/{run}/logs/lick.log",
    benchmark:
        "results/{run}/benchmarks/lick.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.lick"),
        settings=section("lick", "lines"),
    shell:
        "python -m sanspec lick --config results/{wildcards.run}/config.yaml --spectra {input.spectra}"
        " --objects {input.objects} --predicted {input.predicted} --indices {input.indices}"
        " --populations {input.populations} --models {input.models} --broadening {input.broadening}"
        " --out {output.table} --summary {output.numbers} > {log} 2>&1"


rule starlight:
    """A quick stellar continuum of the test spectra, in place of a population fit."""
    input:
        spectra=rules.prepare.output.spectra,
        predicted=rules.generate.output.predicted,
        redshifts=rules.redshift.output.table,
        templates=rules.templates.output,
    output:
        "results/{run}/tables/starlight_models.h5",
    log:
        "results/{run}/logs/starlight.log",
    benchmark:
        "results/{run}/benchmarks/starlight.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.starlight"),
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m sanspec starlight --split test"
        " --config results/{wildcards.run}/config.yaml --spectra {input.spectra} --predicted {input.predicted}"
        " --redshifts {input.redshifts} --templates {input.templates} --out {output} > {log} 2>&1"


rule lines:
    """Emission lines of observed and predicted spectra."""
    input:
        spectra=rules.prepare.output.spectra,
        objects=rules.prepare.output.objects,
        predicted=rules.generate.output.predicted,
        redshifts=rules.redshift.output.table,
        populations="results/{run}/tables/ppxf.parquet",
        models=continua,
    output:
        table="results/{run}/tables/lines.parquet",
        numbers="results/{run}/tables/lines.json",
    log:
        "results/{run}/logs/lines.log",
    benchmark:
        "results/{run}/benchmarks/lines.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.lines"),
        settings=section("lines"),
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m sanspec lines"
        " --config results/{wildcards.run}/config.yaml --spectra {input.spectra} --models {input.models}"
        " --predicted {input.predicted} --redshifts {input.redshifts} --populations {input.populations}"
        " --objects {input.objects} --out {output.table} --summary {output.numbers} > {log} 2>&1"


rule classify:
    """Passive, star-forming or active: classes, confusion matrix, error budget."""
    input:
        rules.lines.output.table,
    output:
        table="results/{run}/tables/classes.ecsv",
        numbers="results/{run}/tables/classes.json",
    log:
        "results/{run}/logs/classify.log",
    benchmark:
        "results/{run}/benchmarks/classify.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.classify"),
        settings=section("classify"),
    shell:
        "python -m sanspec classify --config results/{wildcards.run}/config.yaml --lines {input}"
        " --out {output.table} --summary {output.numbers} > {log} 2>&1"


rule training_starlight:
    """A quick stellar continuum of observed training spectra."""
    input:
        spectra=rules.prepare.output.spectra,
        templates=rules.templates.output,
    output:
        temp("results/{run}/tables/training_models.h5"),
    log:
        "results/{run}/logs/training_starlight.log",
    benchmark:
        "results/{run}/benchmarks/training_starlight.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.starlight"),
        settings=lambda wildcards: RUNS[wildcards.run].agn.spectra,
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m sanspec starlight --split train"
        " --config results/{wildcards.run}/config.yaml --spectra {input.spectra} --templates {input.templates}"
        " --out {output} > {log} 2>&1"


rule training_lines:
    """Their emission lines: what the baselines learn the classes from."""
    input:
        spectra=rules.prepare.output.spectra,
        models=rules.training_starlight.output,
    output:
        table="results/{run}/tables/training_lines.parquet",
        numbers="results/{run}/tables/training_lines.json",
    log:
        "results/{run}/logs/training_lines.log",
    benchmark:
        "results/{run}/benchmarks/training_lines.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.lines"),
        settings=section("lines"),
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m sanspec lines --split train"
        " --config results/{wildcards.run}/config.yaml --spectra {input.spectra} --models {input.models}"
        " --out {output.table} --summary {output.numbers} > {log} 2>&1"


rule agn:
    """Active galaxies without a spectrum: a support vector machine on photometry, a network on images."""
    input:
        images=rules.prepare.output.images,
        statistics=rules.prepare.output.statistics,
        objects=rules.prepare.output.objects,
        training=rules.training_lines.output.table,
        classes=rules.classify.output.table,
    output:
        table="results/{run}/tables/agn.ecsv",
        numbers="results/{run}/tables/agn.json",
    log:
        "results/{run}/logs/agn.log",
    benchmark:
        "results/{run}/benchmarks/agn.tsv"
    conda:
        "../../envs/torch.yaml"
    params:
        code=sources("stages.agn", "nets.classifier"),
        settings=section("agn", "classify"),
    shell:
        "python -m sanspec agn --config results/{wildcards.run}/config.yaml --images {input.images}"
        " --statistics {input.statistics} --objects {input.objects} --training {input.training}"
        " --classes {input.classes} --out {output.table} --summary {output.numbers} > {log} 2>&1"


rule bimodality:
    """One or two kinds of galaxies, in five properties of observed and predicted spectra."""
    input:
        objects=rules.prepare.output.objects,
        indices=rules.indices.output.table,
        populations="results/{run}/tables/ppxf.parquet",
    output:
        table="results/{run}/tables/bimodality.ecsv",
        numbers="results/{run}/tables/bimodality.json",
    log:
        "results/{run}/logs/bimodality.log",
    benchmark:
        "results/{run}/benchmarks/bimodality.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.bimodality"),
    shell:
        "python -m sanspec bimodality --config results/{wildcards.run}/config.yaml --objects {input.objects}"
        " --indices {input.indices} --populations {input.populations} --out {output.table}"
        " --summary {output.numbers} > {log} 2>&1"


rule compare:
    """Indices and classes on the spectra of every predictor, the baselines' measured as ours are."""
    input:
        spectra=rules.prepare.output.spectra,
        predicted=rules.generate.output.predicted,
        baselines=rules.baselines.output,
        redshifts=rules.redshift.output.table,
        templates=rules.templates.output,
    output:
        table="results/{run}/tables/predictors.parquet",
        numbers="results/{run}/tables/predictors.json",
    log:
        "results/{run}/logs/compare.log",
    benchmark:
        "results/{run}/benchmarks/compare.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.compare"),
        settings=section("lick", "lines", "classify"),
    shell:
        "OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m sanspec compare"
        " --config results/{wildcards.run}/config.yaml --spectra {input.spectra} --predicted {input.predicted}"
        " --baselines {input.baselines} --redshifts {input.redshifts} --templates {input.templates}"
        " --out {output.table} --summary {output.numbers} > {log} 2>&1"


rule table:
    """Tables 1 and 2 of the paper, from this run, and the predictors beside each other: ECSV, LaTeX, plain text."""
    input:
        classes=rules.classify.output.numbers,
        compared=rules.compare.output.numbers,
        agn=rules.agn.output.numbers,
    output:
        table="results/{run}/tables/{table}.ecsv",
        latex="results/{run}/tables/{table}.tex",
        text=report(
            "results/{run}/tables/{table}.txt",
            caption="../report/table.rst",
            category="Tables",
            labels={"run": "{run}", "table": "{table}"},
        ),
    log:
        "results/{run}/logs/{table}.log",
    wildcard_constraints:
        table="|".join(TABLES),
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.table"),
        settings=section("survey"),
    shell:
        "python -m sanspec table {wildcards.table} --config results/{wildcards.run}/config.yaml"
        " --run {wildcards.run} --classes {input.classes} --compared {input.compared} --agn {input.agn}"
        " --out {output.table} > {log} 2>&1"
