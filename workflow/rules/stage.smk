"""What the rules of a run share, stated once: log, benchmark, environment and command line.

A rule inherits it (`use rule stage as NAME with`) and adds its own. Every named input and output is an option of the
stage's command line (`spectra=` becomes `--spectra FILE`); an input without a name is only waited for.
"""


rule stage:
    """What the other rules inherit; no job of its own."""
    output:
        "results/{run}/stage",
    log:
        "results/{run}/logs/<name>.log",
    benchmark:
        "results/{run}/benchmarks/<name>.tsv"
    pathvars:
        name="stage",
    conda:
        "../../envs/base.yaml"
    params:
        files=options,
        more="",
    shell:
        "python -m sanspec {params.stage} --config results/{wildcards.run}/config.yaml"
        " {params.files} {params.more} > {log} 2>&1"
