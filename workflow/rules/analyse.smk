"""The same measurements on observed and predicted spectra.

INPUTS   results/<run>/prepared/*, results/<run>/generated/*
OUTPUTS  results/<run>/tables/{eigenspectra.h5,redshift,indices,quality,validation}.{ecsv,json}
"""


rule eigenspectra:
    """PCA of the rest-frame training spectra: the redshift templates."""
    input:
        spectra=rules.prepare.output.spectra,
    output:
        "results/{run}/tables/eigenspectra.h5",
    log:
        "results/{run}/logs/eigenspectra.log",
    benchmark:
        "results/{run}/benchmarks/eigenspectra.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.eigenspectra"),
        settings=section("redshift"),
    shell:
        "python -m sanspec eigenspectra --config results/{wildcards.run}/config.yaml --spectra {input.spectra}"
        " --out {output} > {log} 2>&1"


rule redshift:
    """Blind redshifts of observed, predicted and regressed spectra, and their scores."""
    input:
        spectra=rules.prepare.output.spectra,
        predicted=rules.generate.output.predicted,
        baselines=rules.baselines.output,
        eigenspectra=rules.eigenspectra.output,
    output:
        table="results/{run}/tables/redshift.ecsv",
        numbers="results/{run}/tables/redshift.json",
    log:
        "results/{run}/logs/redshift.log",
    benchmark:
        "results/{run}/benchmarks/redshift.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.redshift"),
        settings=section("redshift"),
    shell:
        "python -m sanspec redshift --config results/{wildcards.run}/config.yaml --spectra {input.spectra}"
        " --predicted {input.predicted} --baselines {input.baselines} --eigenspectra {input.eigenspectra}"
        " --out {output.table} --summary {output.numbers} > {log} 2>&1"


rule indices:
    """The 4000 Angstrom break and the Lick indices of observed and predicted spectra."""
    input:
        spectra=rules.prepare.output.spectra,
        predicted=rules.generate.output.predicted,
        redshifts=rules.redshift.output.table,
        objects=rules.prepare.output.objects,
    output:
        table="results/{run}/tables/indices.ecsv",
        numbers="results/{run}/tables/indices.json",
    log:
        "results/{run}/logs/indices.log",
    benchmark:
        "results/{run}/benchmarks/indices.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.indices"),
        settings=section("lick"),
    shell:
        "python -m sanspec indices --config results/{wildcards.run}/config.yaml --spectra {input.spectra}"
        " --predicted {input.predicted} --redshifts {input.redshifts} --objects {input.objects}"
        " --out {output.table} --summary {output.numbers} > {log} 2>&1"


rule quality:
    """Predicted against observed spectra, pixel by pixel, baselines beside."""
    input:
        spectra=rules.prepare.output.spectra,
        predicted=rules.generate.output.predicted,
        baselines=rules.baselines.output,
        redshifts=rules.redshift.output.table,
        objects=rules.prepare.output.objects,
    output:
        table="results/{run}/tables/quality.ecsv",
        numbers="results/{run}/tables/quality.json",
    log:
        "results/{run}/logs/quality.log",
    benchmark:
        "results/{run}/benchmarks/quality.tsv"
    conda:
        "../../envs/base.yaml"
    params:
        code=sources("stages.quality"),
        settings=section("quality"),
    shell:
        "python -m sanspec quality --config results/{wildcards.run}/config.yaml --spectra {input.spectra}"
        " --predicted {input.predicted} --baselines {input.baselines} --redshifts {input.redshifts}"
        " --objects {input.objects} --out {output.table} --summary {output.numbers} > {log} 2>&1"


rule validate:
    """The draws as predictive distributions, on the test and the validation split."""
    input:
        spectra=rules.prepare.output.spectra,
        images=rules.prepare.output.images,
        predicted=rules.generate.output.predicted,
        valid=rules.generate_valid.output.predicted,
        baselines=rules.baselines.output,
        nets=expand(
            "results/{{run}}/nets/{network}.safetensors",
            network=["diff_fine", "clip_coarse", "clip_fine"],
        ),
    output:
        table="results/{run}/tables/validation.ecsv",
        numbers="results/{run}/tables/validation.json",
    log:
        "results/{run}/logs/validate.log",
    benchmark:
        "results/{run}/benchmarks/validate.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=1,
        runtime=120,
        mem_mb=16000,
    params:
        code=sources("stages.validate"),
        settings=section("generate"),
        nets=lambda wildcards: f"results/{wildcards.run}/nets",
    shell:
        "python -m sanspec validate --config results/{wildcards.run}/config.yaml --spectra {input.spectra}"
        " --images {input.images} --predicted {input.predicted} --valid {input.valid}"
        " --baselines {input.baselines} --nets {params.nets} --threads {threads} --gpus {resources.gpu}"
        " --out {output.table} --summary {output.numbers} > {log} 2>&1"
