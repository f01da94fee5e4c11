"""The networks, one job per network.

INPUTS   results/<run>/prepared/{spectra.h5,images.h5,statistics.json}
OUTPUTS  results/<run>/nets/<network>.safetensors and .json; TensorBoard logs under results/<run>/tensorboard

No source files are inputs: a refactor must not train again. A killed job resumes from results/<run>/nets/.state.
With train.devices above 1 that many GPUs train one network together; `--resources gpu=0` forces the CPU.
"""


rule train:
    """Train one network: weights, and a readable record of settings, learning curve and environment."""
    input:
        spectra=rules.prepare.output.spectra,
        images=rules.prepare.output.images,
        statistics=rules.prepare.output.statistics,
    output:
        weights="results/{run}/nets/{network}.safetensors",
        record="results/{run}/nets/{network}.json",
    log:
        "results/{run}/logs/train_{network}.log",
    benchmark:
        "results/{run}/benchmarks/train_{network}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=lambda wildcards: RUNS[wildcards.run].train.devices,
        runtime=2880,
        mem_mb=20000,
    params:
        settings=lambda wildcards: {
            key: value
            for key, value in section("train")(wildcards)["train"].items()
            if key not in {*NETWORKS, "devices"} or key == wildcards.network
        },
    shell:
        "python -m sanspec train --config results/{wildcards.run}/config.yaml --network {wildcards.network}"
        " --spectra {input.spectra} --images {input.images} --statistics {input.statistics}"
        " --state results/{wildcards.run}/nets/.state/{wildcards.network}"
        " --logdir results/{wildcards.run}/tensorboard/{wildcards.network}"
        " --threads {threads} --gpus {resources.gpu} --out {output.weights} --record {output.record} > {log} 2>&1"
