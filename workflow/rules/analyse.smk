"""The same measurements on observed and predicted spectra.

INPUTS   results/<run>/prepared/*, results/<run>/generated/*
OUTPUTS  results/<run>/tables/{eigenspectra.h5,redshift,indices,quality,validation}.{ecsv,json}
"""


use rule stage as eigenspectra with:
    """PCA of the rest-frame training spectra: the redshift templates."""
    input:
        spectra=rules.prepare.output.spectra,
    output:
        out="results/{run}/tables/eigenspectra.h5",
    pathvars:
        name="eigenspectra",
    params:
        **command("eigenspectra", settings=section("redshift")),


use rule stage as redshift with:
    """Blind redshifts of observed, predicted and regressed spectra, and their scores."""
    input:
        spectra=rules.prepare.output.spectra,
        predicted=rules.generate.output.out,
        baselines=rules.baselines.output.out,
        eigenspectra=rules.eigenspectra.output.out,
    output:
        out="results/{run}/tables/redshift.ecsv",
        summary="results/{run}/tables/redshift.json",
    pathvars:
        name="redshift",
    params:
        **command("redshift", settings=section("redshift")),


use rule stage as indices with:
    """The 4000 Angstrom break and the Lick indices of observed and predicted spectra."""
    input:
        spectra=rules.prepare.output.spectra,
        predicted=rules.generate.output.out,
        redshifts=rules.redshift.output.out,
        objects=rules.prepare.output.table,
    output:
        out="results/{run}/tables/indices.ecsv",
        summary="results/{run}/tables/indices.json",
    pathvars:
        name="indices",
    params:
        **command("indices", settings=section("lick")),


use rule stage as quality with:
    """Predicted spectra compared with observed ones pixel by pixel, for the networks and every baseline."""
    input:
        spectra=rules.prepare.output.spectra,
        predicted=rules.generate.output.out,
        baselines=rules.baselines.output.out,
        redshifts=rules.redshift.output.out,
        objects=rules.prepare.output.table,
    output:
        out="results/{run}/tables/quality.ecsv",
        summary="results/{run}/tables/quality.json",
    pathvars:
        name="quality",
    params:
        **command("quality", settings=section("quality")),


use rule stage as validate with:
    """The draws scored as predictive distributions, on the test and the validation split."""
    input:
        expand(
            "results/{{run}}/nets/{network}.safetensors",
            network=["diff_fine", "clip_coarse", "clip_fine"],
        ),
        spectra=rules.prepare.output.spectra,
        images=rules.prepare.output.images,
        predicted=rules.generate.output.out,
        valid=rules.generate_valid.output.out,
        baselines=rules.baselines.output.out,
    output:
        out="results/{run}/tables/validation.ecsv",
        summary="results/{run}/tables/validation.json",
    pathvars:
        name="validate",
    conda:
        "../../envs/torch.yaml"
    resources:
        gpu=1,
        runtime=120,
        mem_mb=16000,
    params:
        **command("validate --nets results/{run}/nets", settings=section("generate")),
        more=device,
