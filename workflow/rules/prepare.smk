"""Observed galaxies as the networks and the measurements read them.

INPUTS   cubes, catalogue and spectra named in the settings (`survey`)
OUTPUTS  results/<run>/matched/{objects.parquet,losses.ecsv,lost.parquet}
         results/<run>/prepared/{spectra.h5,images.h5,statistics.json,objects.parquet}
"""


use rule stage as match with:
    """Join of catalogue, cubes and spectra by specobjid; every lost object with its reason."""
    input:
        lambda wildcards: str(RUNS[wildcards.run].survey.cubes),
        lambda wildcards: str(RUNS[wildcards.run].survey.catalogue),
        lambda wildcards: str(RUNS[wildcards.run].survey.spectra),
    output:
        out="results/{run}/matched/objects.parquet",
        losses=report(
            "results/{run}/matched/losses.ecsv",
            caption="../report/losses.rst",
            category="Sample",
        ),
        lost="results/{run}/matched/lost.parquet",
    pathvars:
        name="match",
    params:
        **command("match", settings=section("survey", "match")),


use rule stage as prepare with:
    """Spectra smoothed, resampled and normalised; images; splits; statistics of the training split."""
    input:
        objects=rules.match.output.out,
    output:
        spectra="results/{run}/prepared/spectra.h5",
        images="results/{run}/prepared/images.h5",
        statistics="results/{run}/prepared/statistics.json",
        table="results/{run}/prepared/objects.parquet",
    pathvars:
        name="prepare",
    threads: workflow.cores or 1
    params:
        **command("prepare", settings=section("survey", "prepare")),
