"""The figures, one rule each: PNG, PDF and a JSON of the numbers.

INPUTS   products of earlier rules, as listed in FIGURES
OUTPUTS  results/<run>/figures/<figure>.{png,pdf,json}
"""

PRODUCTS = {
    "spectra": rules.prepare.output.spectra,
    "images": rules.prepare.output.images,
    "objects": rules.prepare.output.table,
    "predicted": rules.generate.output.out,
    "redshifts": rules.redshift.output.out,
    "redshift_numbers": rules.redshift.output.summary,
    "quality": rules.quality.output.out,
    "quality_numbers": rules.quality.output.summary,
    "indices": rules.indices.output.out,
    "templates": rules.templates.output,
    "ppxf": "results/{run}/tables/ppxf.parquet",
    "ppxf_models": "results/{run}/tables/ppxf_models.h5",
    "firefly": "results/{run}/tables/firefly.parquet",
    "firefly_models": "results/{run}/tables/firefly_models.h5",
    "lick": rules.lick.output.out,
    "lick_numbers": rules.lick.output.summary,
    "classes": rules.classify.output.out,
    "classes_numbers": rules.classify.output.summary,
    "bimodality": rules.bimodality.output.out,
    "bimodality_numbers": rules.bimodality.output.summary,
    "records": expand("results/{{run}}/nets/{network}.json", network=NETWORKS),
    "cubes": rules.mock.output.cubes,
    "catalogue": rules.mock.output.catalogue,
    "truth": rules.mock.output.truth,
    "population": rules.mock.output.population,
    "sky_spectra": rules.mock.output.spectra,
}

FIGURES = {
    "fig01": ("objects", "images"),
    "fig02": ("spectra", "images", "objects", "predicted", "redshifts", "quality"),
    "fig03": (),
    "fig04": (
        *("predicted", "images", "objects"),
        *("ppxf", "ppxf_models", "firefly", "firefly_models"),
    ),
    "fig05": ("quality", "quality_numbers"),
    "fig06": ("redshifts", "redshift_numbers"),
    "fig07": ("lick", "lick_numbers"),
    "fig08": ("ppxf", "firefly", "objects"),
    "fig09": ("ppxf", "firefly", "objects", "indices"),
    "fig10": ("ppxf", "firefly"),
    "fig11": ("bimodality", "bimodality_numbers"),
    "fig12": ("classes", "classes_numbers"),
    "learning": ("records",),
}
if RUNS["main"].survey.source == "mock":
    FIGURES |= {
        "mocksky": ("cubes", "truth", "sky_spectra"),
        "mockpopulation": ("truth", "population"),
        "stellar_truth": ("ppxf", "firefly", "truth", "templates", "objects"),
    }


for figure, needs in FIGURES.items():

    rule:
        name:
            f"figure_{figure}"
        input:
            **{key: PRODUCTS[key] for key in needs},
        output:
            png=report(
                f"results/{{run}}/figures/{figure}.png",
                caption=f"../report/{figure}.rst",
                category="Figures",
                labels={"run": "{run}", "figure": figure},
            ),
            pdf=f"results/{{run}}/figures/{figure}.pdf",
            numbers=f"results/{{run}}/figures/{figure}.json",
        log:
            f"results/{{run}}/logs/figure_{figure}.log",
        benchmark:
            f"results/{{run}}/benchmarks/figure_{figure}.tsv"
        conda:
            "../../envs/base.yaml"
        params:
            code=sources("stages.figure", f"figures.{figure}"),
            figure=figure,
            inputs=lambda wildcards, input: [
                f"{key}={path}"
                for key, paths in input.items()
                for path in ([paths] if isinstance(paths, str) else paths)
            ],
            settings=section("survey", "generate", "figures"),
        shell:
            "python -m sanspec figure {params.figure} --config results/{wildcards.run}/config.yaml"
            " --run {wildcards.run} --inputs {params.inputs} --out {output.png} > {log} 2>&1"
