"""The end of a run: every number in one place, and the physical checks that must pass.

INPUTS   the JSON numbers of tables, figures and networks; the benchmarks of all rules
OUTPUTS  results/<run>/{summary.json,summary.txt,times.json,check.json}
         results/runs.{ecsv,txt}, when the settings name several runs
"""


rule summary:
    """Every number of the run under one documented name; seconds and memory per rule."""
    input:
        numbers=[
            *expand(
                "results/{{run}}/tables/{table}.json",
                table=[
                    *["redshift", "indices", "quality", "broadening", "lick"],
                    *["lines", "classes", "agn", "predictors", "bimodality"],
                    *["validation"],
                ],
            ),
            *expand("results/{{run}}/figures/{figure}.json", figure=FIGURES),
            *expand("results/{{run}}/nets/{network}.json", network=NETWORKS),
        ],
        losses=rules.match.output.losses,
        objects=rules.prepare.output.table,
    output:
        numbers="results/{run}/summary.json",
        table=report(
            "results/{run}/summary.txt",
            caption="../report/summary.rst",
            category="Numbers",
        ),
        times="results/{run}/times.json",
    log:
        "results/{run}/logs/summary.log",
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.summary"),
        benchmarks=lambda wildcards: [
            "results/raw/benchmarks",
            f"results/{wildcards.run}/benchmarks",
        ],
        settings=section("survey"),
    shell:
        "python -m sanspec summary --config results/{wildcards.run}/config.yaml --run {wildcards.run}"
        " --numbers {input.numbers} --losses {input.losses} --objects {input.objects}"
        " --benchmarks {params.benchmarks} --out {output.numbers} --times {output.times}"
        " > {output.table} 2> {log}"


rule check:
    """Physical checks of the products: a run is done when they pass."""
    input:
        summary=rules.summary.output.numbers,
        quality=rules.quality.output.out,
        redshifts=rules.redshift.output.out,
        indices=rules.indices.output.out,
        objects=rules.prepare.output.table,
        predicted=rules.generate.output.out,
        spectra=rules.prepare.output.spectra,
        networks=expand("results/{{run}}/nets/{network}.json", network=NETWORKS),
    output:
        "results/{run}/check.json",
    log:
        text="results/{run}/logs/check.log",
        truths="results/{run}/logs/check.json",  # stays when a failed check fails the rule
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.check"),
        settings=section("check"),
    shell:
        "python -m sanspec check --config results/{wildcards.run}/config.yaml --run {wildcards.run}"
        " --summary {input.summary} --quality {input.quality} --redshifts {input.redshifts}"
        " --indices {input.indices} --objects {input.objects} --predicted {input.predicted}"
        " --spectra {input.spectra} --networks {input.networks} --out {log.truths} > {log.text} 2>&1 && cp {log.truths} {output}"


if len(RUNS) > 1:

    rule runs:
        """The named runs side by side: the settings that each changes, its scores, ratios to main."""
        input:
            summary=expand(rules.summary.output.numbers, run=RUNS),
            scores=expand(rules.validate.output.out, run=RUNS),
        output:
            table="results/runs.ecsv",
            text=report(
                "results/runs.txt",
                caption="../report/runs.rst",
                category="Numbers",
            ),
        log:
            "results/runs.log",
        conda:
            "../../envs/base.yaml"
        params:
            code=sources("stages.runs"),
            configs=expand("results/{run}/config.yaml", run=RUNS),
            settings=section("survey"),
            changes=[RUNS[name].model_dump(mode="json") for name in RUNS],
        shell:
            "python -m sanspec runs --config {params.configs} --summary {input.summary}"
            " --scores {input.scores} --out {output.table} > {output.text} 2> {log}"
