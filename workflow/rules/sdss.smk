"""The real survey, or the loopback one, downloaded: included when `survey.source` is sdss.

INPUTS   SciServer, CasJobs, SkyServer, SAS and the cube file, as the settings say (`acquire`); credentials from the
         environment or the keyring
OUTPUTS  results/raw/sdss/{sdss.npz,catalogue.csv,spectra/} and a report of each (.json)

The downloads are in `acquire.store`, which no rule owns: sdss.npz and spectra/ are links into it, so that a rerun deletes
a link and continues with what is there. No source files are inputs: a refactor must not fetch again.
"""


localrules:
    sdss_cubes,
    sdss_query,
    sdss_spectra,
    sdss_inspect,


rule sdss_cubes:
    """The cube file: a local one checked and linked, or a download with resume and checksum."""
    output:
        cubes="results/raw/sdss/sdss.npz",
        report=protected("results/raw/sdss/cubes.json"),
    log:
        "results/raw/logs/sdss_cubes.log",
    benchmark:
        "results/raw/benchmarks/sdss_cubes.tsv"
    retries: 3
    conda:
        "../../envs/base.yaml"
    params:
        settings=lambda wildcards: RUNS["main"].acquire.model_dump(
            mode="json", include={"cubes", "cubes_sha256"}
        ),
    shell:
        "python -m sanspec cubes --config results/main/config.yaml --out {output.cubes} --report {output.report}"
        " 2>&1 | tee {log}"


rule sdss_query:
    """The catalogue, by CasJobs or anonymously; an interrupted run finds its CasJobs job again."""
    input:
        cubes=rules.sdss_cubes.output.cubes,
    output:
        catalogue=protected("results/raw/sdss/catalogue.csv"),
        report=protected("results/raw/sdss/query.json"),
    log:
        "results/raw/logs/sdss_query.log",
    benchmark:
        "results/raw/benchmarks/sdss_query.tsv"
    retries: 2  # three logins with a wrong password, no more
    conda:
        "../../envs/base.yaml"
    params:
        settings=lambda wildcards: RUNS["main"].acquire.model_dump(
            mode="json", include={"release", "form", "z_min", "z_max", "sample"}
        ),
    shell:
        "python -m sanspec query --config results/main/config.yaml --cubes {input.cubes}"
        " --out {output.catalogue} --report {output.report} 2>&1 | tee {log}"


rule sdss_spectra:
    """The spectra, or the reason for each that is missing; an interrupted run continues where it stopped."""
    input:
        catalogue=rules.sdss_query.output.catalogue,
    output:
        spectra=directory("results/raw/sdss/spectra"),
        report=protected("results/raw/sdss/spectra.json"),
    log:
        "results/raw/logs/sdss_spectra.log",
    benchmark:
        "results/raw/benchmarks/sdss_spectra.tsv"
    retries: 3
    conda:
        "../../envs/base.yaml"
    params:
        settings=lambda wildcards: RUNS["main"].acquire.model_dump(
            mode="json", include={"sources", "sparcl_release", "pack"}
        ),
    shell:
        "python -m sanspec spectra --config results/main/config.yaml --catalogue {input.catalogue}"
        " --out {output.spectra} --report {output.report} 2>&1 | tee {log}"


rule sdss_inspect:
    """Checks of the cube file: units, order of the bands and orientation, each with a number."""
    input:
        cubes=rules.sdss_cubes.output.cubes,
        catalogue=rules.sdss_query.output.catalogue,
    output:
        protected("results/raw/sdss/inspection.json"),
    log:
        "results/raw/logs/sdss_inspect.log",
    retries: 3
    conda:
        "../../envs/base.yaml"
    shell:
        "python -m sanspec inspect --config results/main/config.yaml --cubes {input.cubes}"
        " --catalogue {input.catalogue} --out {output} 2>&1 | tee {log}"


ACQUIRED += [rules.sdss_inspect.output[0], rules.sdss_spectra.output.report]
