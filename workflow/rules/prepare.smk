"""Observed galaxies as the networks and the measurements take them.

INPUTS   cubes, catalogue and spectra named in the settings (`survey`)
OUTPUTS  results/<run>/matched/{objects.parquet,losses.ecsv,lost.parquet}
         results/<run>/prepared/{spectra.h5,images.h5,statistics.json,objects.parquet}
"""


rule match:
    """Join of catalogue, cubes and spectra by specobjid, with every loss and its reason."""
    input:
        cubes=lambda wildcards: str(RUNS[wildcards.run].survey.cubes),
        catalogue=lambda wildcards: str(RUNS[wildcards.run].survey.catalogue),
        spectra=lambda wildcards: str(RUNS[wildcards.run].survey.spectra),
    output:
        objects="results/{run}/matched/objects.parquet",
        losses=report(
            "results/{run}/matched/losses.ecsv",
            caption="../report/losses.rst",
            category="Sample",
        ),
        lost="results/{run}/matched/lost.parquet",
    log:
        "results/{run}/logs/match.log",
    benchmark:
        "results/{run}/benchmarks/match.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.match"),
        settings=section("survey", "match"),
    shell:
        "python -m sanspec match --config results/{wildcards.run}/config.yaml --out {output.objects}"
        " --losses {output.losses} --lost {output.lost} > {log} 2>&1"


rule prepare:
    """Spectra smoothed, resampled and normalised; images; splits; statistics of the training split."""
    input:
        objects=rules.match.output.objects,
    output:
        spectra="results/{run}/prepared/spectra.h5",
        images="results/{run}/prepared/images.h5",
        statistics="results/{run}/prepared/statistics.json",
        objects="results/{run}/prepared/objects.parquet",
    log:
        "results/{run}/logs/prepare.log",
    benchmark:
        "results/{run}/benchmarks/prepare.tsv"
    conda:
        "../../envs/base.yaml"
    threads: workflow.cores or 1
    params:
        code=sources("stages.prepare"),
        settings=section("survey", "prepare"),
    shell:
        "python -m sanspec prepare --config results/{wildcards.run}/config.yaml --objects {input.objects}"
        " --spectra {output.spectra} --images {output.images} --statistics {output.statistics}"
        " --table {output.objects} > {log} 2>&1"
