"""Absorption indices corrected for velocity dispersion, emission lines, classes with their baselines, bimodality.

INPUTS   results/<run>/{prepared,generated}/*, tables/{redshift,indices}.ecsv, tables/ppxf.parquet and fitted spectra
OUTPUTS  results/<run>/tables/{broadening.json,lick,lines,classes,agn,bimodality,predictors}.*,
         tables/{table1,table2,table_budget,table_predictors}.{ecsv,tex,txt}
"""

TABLES = ("table1", "table2", "table_budget", "table_predictors")


use rule stage as broadening with:
    """What velocity dispersion does to indices, from population models: coefficients of the correction."""
    input:
        templates=rules.templates.output,
    output:
        out="results/{run}/tables/broadening.json",
    pathvars:
        name="broadening",
    params:
        **command("broadening", settings=section("lick", "prepare")),


use rule stage as lick with:
    """Lick indices of observed and predicted spectra, corrected for velocity dispersion, and how they agree."""
    input:
        spectra=rules.prepare.output.spectra,
        objects=rules.prepare.output.table,
        predicted=rules.generate.output.out,
        indices=rules.indices.output.out,
        populations="results/{run}/tables/ppxf.parquet",
        models=continuum,
        broadening=rules.broadening.output.out,
    output:
        out="results/{run}/tables/lick.ecsv",
        summary="results/{run}/tables/lick.json",
    pathvars:
        name="lick",
    params:
        **command("lick", settings=section("lick", "lines")),


use rule stage as starlight with:
    """A quick stellar continuum of the test spectra, in place of a population fit."""
    input:
        spectra=rules.prepare.output.spectra,
        predicted=rules.generate.output.out,
        redshifts=rules.redshift.output.out,
        templates=rules.templates.output,
    output:
        out="results/{run}/tables/starlight_models.h5",
    pathvars:
        name="starlight",
    params:
        **command("starlight --split test"),


use rule stage as lines with:
    """Emission lines of observed and predicted spectra."""
    input:
        spectra=rules.prepare.output.spectra,
        objects=rules.prepare.output.table,
        predicted=rules.generate.output.out,
        redshifts=rules.redshift.output.out,
        populations="results/{run}/tables/ppxf.parquet",
        models=continuum,
    output:
        out="results/{run}/tables/lines.parquet",
        summary="results/{run}/tables/lines.json",
    pathvars:
        name="lines",
    params:
        **command("lines", settings=section("lines")),


use rule stage as classify with:
    """Passive, star-forming or active: classes, confusion matrix, error budget."""
    input:
        lines=rules.lines.output.out,
    output:
        out="results/{run}/tables/classes.ecsv",
        summary="results/{run}/tables/classes.json",
    pathvars:
        name="classify",
    params:
        **command("classify", settings=section("classify")),


use rule stage as training_starlight with:
    """A quick stellar continuum of observed training spectra."""
    input:
        spectra=rules.prepare.output.spectra,
        templates=rules.templates.output,
    output:
        out=temp("results/{run}/tables/training_models.h5"),
    pathvars:
        name="training_starlight",
    params:
        **command(
            "starlight --split train",
            settings=lambda wildcards: RUNS[wildcards.run].agn.spectra,
        ),


use rule stage as training_lines with:
    """The emission lines of those training spectra, from which the baselines learn the classes."""
    input:
        spectra=rules.prepare.output.spectra,
        models=rules.training_starlight.output.out,
    output:
        out="results/{run}/tables/training_lines.parquet",
        summary="results/{run}/tables/training_lines.json",
    pathvars:
        name="training_lines",
    params:
        **command("lines --split train", settings=section("lines")),


use rule stage as agn with:
    """Active galaxies without a spectrum: a support vector machine on photometry, a network on images."""
    input:
        images=rules.prepare.output.images,
        statistics=rules.prepare.output.statistics,
        objects=rules.prepare.output.table,
        training=rules.training_lines.output.out,
        classes=rules.classify.output.out,
    output:
        out="results/{run}/tables/agn.ecsv",
        summary="results/{run}/tables/agn.json",
    pathvars:
        name="agn",
    conda:
        "../../envs/torch.yaml"
    params:
        **command("agn", settings=section("agn", "classify")),


use rule stage as bimodality with:
    """One or two populations of galaxies, in five properties of observed and predicted spectra."""
    input:
        objects=rules.prepare.output.table,
        indices=rules.indices.output.out,
        populations="results/{run}/tables/ppxf.parquet",
    output:
        out="results/{run}/tables/bimodality.ecsv",
        summary="results/{run}/tables/bimodality.json",
    pathvars:
        name="bimodality",
    params:
        **command("bimodality"),


use rule stage as compare with:
    """Indices and classes from the spectra of every predictor, all measured in the same way."""
    input:
        spectra=rules.prepare.output.spectra,
        predicted=rules.generate.output.out,
        baselines=rules.baselines.output.out,
        redshifts=rules.redshift.output.out,
        templates=rules.templates.output,
    output:
        out="results/{run}/tables/predictors.parquet",
        summary="results/{run}/tables/predictors.json",
    pathvars:
        name="compare",
    params:
        **command("compare", settings=section("lick", "lines", "classify")),


rule table:
    """Tables 1 and 2 of the paper, the error budget and the predictors compared: ECSV, LaTeX, plain text."""
    input:
        classes=rules.classify.output.summary,
        compared=rules.compare.output.summary,
        agn=rules.agn.output.summary,
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
        **command("table {table} --run {run}", settings=section("survey")),
    shell:
        "python -m sanspec {params.stage} --config results/{wildcards.run}/config.yaml --classes {input.classes}"
        " --compared {input.compared} --agn {input.agn} --out {output.table} > {log} 2>&1"
