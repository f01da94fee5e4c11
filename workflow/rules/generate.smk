"""Spectra for the test images, by the networks and by the baselines.

INPUTS   results/<run>/prepared/*, results/<run>/nets/*
OUTPUTS  results/<run>/generated/{predicted.h5,scores.parquet,valid.h5,valid_scores.parquet,baselines.h5}
"""


use rule stage as generate with:
    """Spectra of the test galaxies: coarse draws, then fine draws, each ranked by its contrastive score."""
    input:
        expand(
            "results/{{run}}/nets/{network}.{kind}",
            network=["diff_coarse", "clip_coarse", "diff_fine", "clip_fine"],
            kind=["safetensors", "json"],
        ),
        spectra=rules.prepare.output.spectra,
        images=rules.prepare.output.images,
        statistics=rules.prepare.output.statistics,
    output:
        out="results/{run}/generated/predicted.h5",
        scores="results/{run}/generated/scores.parquet",
    pathvars:
        name="generate",
    conda:
        "../../envs/torch.yaml"
    threads: workflow.cores or 1
    resources:
        gpu=1,
        runtime=240,
        mem_mb=16000,
    params:
        **command(
            "generate --split test --nets results/{run}/nets",
            settings=section("generate"),
        ),
        more=device,


use rule generate as generate_valid with:
    """The same for the validation galaxies, on which the draws are calibrated."""
    output:
        out="results/{run}/generated/valid.h5",
        scores="results/{run}/generated/valid_scores.parquet",
    pathvars:
        name="generate_valid",
    params:
        stage="generate --split valid --nets results/{run}/nets",


use rule stage as baselines with:
    """The mean training spectrum, the spectra of the nearest training galaxies, and direct regression."""
    input:
        spectra=rules.prepare.output.spectra,
        images=rules.prepare.output.images,
        statistics=rules.prepare.output.statistics,
        regressor="results/{run}/nets/regressor.safetensors",
        record="results/{run}/nets/regressor.json",
        contrastive="results/{run}/nets/clip_fine.safetensors",
    output:
        out="results/{run}/generated/baselines.h5",
    pathvars:
        name="baselines",
    conda:
        "../../envs/torch.yaml"
    params:
        **command("baselines"),
