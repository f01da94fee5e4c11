"""Spectra for the test images, by the networks and by the baselines.

INPUTS   results/<run>/prepared/*, results/<run>/nets/*
OUTPUTS  results/<run>/generated/{predicted.h5,scores.parquet,valid.h5,baselines.h5}
"""


rule generate:
    """Coarse draws, the best by contrast, fine draws, the best by contrast."""
    input:
        spectra=rules.prepare.output.spectra,
        images=rules.prepare.output.images,
        statistics=rules.prepare.output.statistics,
        nets=expand(
            "results/{{run}}/nets/{network}.{kind}",
            network=["diff_coarse", "clip_coarse", "diff_fine", "clip_fine"],
            kind=["safetensors", "json"],
        ),
    output:
        predicted="results/{run}/generated/predicted.h5",
        scores="results/{run}/generated/scores.parquet",
    log:
        "results/{run}/logs/generate.log",
    benchmark:
        "results/{run}/benchmarks/generate.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: workflow.cores or 1
    resources:
        gpu=1,
        runtime=240,
        mem_mb=16000,
    params:
        code=sources("stages.generate"),
        settings=section("generate"),
        nets=lambda wildcards: f"results/{wildcards.run}/nets",
        split="test",
    shell:
        "python -m sanspec generate --split {params.split} --config results/{wildcards.run}/config.yaml --spectra {input.spectra}"
        " --images {input.images} --statistics {input.statistics} --nets {params.nets} --threads {threads}"
        " --gpus {resources.gpu} --out {output.predicted} --scores {output.scores} > {log} 2>&1"


use rule generate as generate_valid with:
    output:
        predicted="results/{run}/generated/valid.h5",
        scores="results/{run}/generated/valid_scores.parquet",
    log:
        "results/{run}/logs/generate_valid.log",
    benchmark:
        "results/{run}/benchmarks/generate_valid.tsv"
    params:
        code=sources("stages.generate"),
        settings=section("generate"),
        nets=lambda wildcards: f"results/{wildcards.run}/nets",
        split="valid",


rule baselines:
    """The mean training spectrum, those of the nearest training galaxies, direct regression."""
    input:
        spectra=rules.prepare.output.spectra,
        images=rules.prepare.output.images,
        statistics=rules.prepare.output.statistics,
        regressor="results/{run}/nets/regressor.safetensors",
        record="results/{run}/nets/regressor.json",
        contrastive="results/{run}/nets/clip_fine.safetensors",
    output:
        "results/{run}/generated/baselines.h5",
    log:
        "results/{run}/logs/baselines.log",
    benchmark:
        "results/{run}/benchmarks/baselines.tsv"
    conda:
        "../../envs/torch.yaml"
    params:
        code=sources("stages.baselines"),
    shell:
        "python -m sanspec baselines --config results/{wildcards.run}/config.yaml --spectra {input.spectra}"
        " --images {input.images} --statistics {input.statistics} --regressor {input.regressor}"
        " --record {input.record} --contrastive {input.contrastive} --out {output} > {log} 2>&1"
