"""Score the draws as predictive distributions, on the test and the validation split, with the baselines.

Three kinds of draws are scored: coarse draws, unselected fine draws of generated coarse spectra, fine draws from the
true coarse spectrum and redshift. The calibration is fitted on the validation split and scored on the test split.
"""

import logging

import numpy as np

from sanspec import config, options, store
from sanspec.nets import lease
from sanspec.products import samples
from sanspec.products.members import PREDICTORS, DrawnSpectra, Members
from sanspec.scores import validation
from sanspec.scores.numbers import record
from sanspec.spectra import grid

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra images predicted valid baselines",
    nets="folder of the networks' .safetensors",
    out="table to write (.ecsv)",
    summary="scores to write (.json)",
)
NETS = ("diff_fine", "clip_coarse", "clip_fine")
FROM_TRUE = 5  # fine draws from a true coarse spectrum and redshift


arguments = lease.arguments


def run(args) -> None:
    """Lease a device, draw what is lacking, score, write."""
    settings = config.load(args.config)
    members = Members(args.spectra, args.predicted, args.baselines)
    drawn = members.draws()
    with lease.lease(args.device, args.gpus) as device:
        test = read(args, settings, members, drawn, device)
        valid = Members(args.spectra, args.valid, split="valid")
        valid = read(args, settings, valid, valid.draws(), device)
    fluxes = {
        name: members.predictor(name).flux[drawn.rows]
        for name, predictor in PREDICTORS.items()
        if predictor.is_baseline
    }
    widths = validation.h_alpha_widths(
        test, fluxes["regression"], (settings.match.z_min, settings.match.z_max)
    )
    images = {name: values[drawn.rows] for name, values in members.from_images().items()}
    numbers = [
        *test.numbers(),
        *valid.numbers(),
        *validation.calibrated(test, valid),
        *validation.baselines(test, fluxes),
        *validation.h_alpha_numbers(widths),
        *validation.from_images(images, properties(test)),
    ]
    made = store.provenance("validate", settings.generate.model_dump(mode="json"))
    store.write_table(args.out, validation.galaxy_table(test, widths), meta=made)
    found = record(numbers)
    store.write_json(args.summary, found)
    for name in ("crps_fine", "spread_skill_fine", "spread_skill_fine_from_true", "coverage_fine"):
        log.info("%s %.4f", name, found["numbers"][name])


def read(
    args, settings: config.Config, members: Members, drawn: DrawnSpectra, device: str
) -> validation.Split:
    """True and drawn spectra of one split; the networks add fine draws from the true coarse spectra, and retrieval."""
    rows = members.rows[drawn.rows]
    with store.arrays(args.spectra) as file, store.arrays(args.images) as pictures:
        truth = {
            "specobjid": file["specobjid"][:][rows],
            "z": file["z"][:][rows],
            "coarse": samples.take(file["coarse_log_flux"], rows),
            "coarse_mask": samples.take(file["coarse_mask"], rows),
            "fine": samples.take(file["log_flux"], rows),
            "mask": samples.take(file["mask"], rows),
        }
        images = samples.take(pictures["images"], rows)
    true, retrieval = by_networks(args, settings, truth, images, device)
    draws = {"coarse": drawn.coarse, "fine": drawn.fine, "fine_from_true": true}
    return validation.Split(members.split, **truth, draws=draws, best=drawn.best, retrieval=retrieval)


def by_networks(
    args, settings: config.Config, truth: dict, images: np.ndarray, device: str
) -> tuple[np.ndarray, dict[str, dict[str, float]]]:
    """Fine draws from the true coarse spectra, and retrieval; torch is imported here, after the lease."""
    import torch

    from sanspec.nets import build, data
    from sanspec.nets import validation as nets

    torch.set_num_threads(args.threads)
    models, _ = build.load_all(args.nets, settings.train, NETS)
    spectra = {name: truth[name] for name in ("z", "coarse", "coarse_mask", "fine")}
    spectra["fine_mask"] = truth["mask"]
    galaxies = data.galaxies(truth["specobjid"], images, settings.train.crop, **spectra).to(device)
    retrieval = {}
    with torch.inference_mode():
        for which in ("coarse", "fine"):
            found = models[f"clip_{which}"].to(device).validate([galaxies])
            retrieval[which] = {top: found[top] for top in ("top1", "top5")}
    sampler, model = settings.generate.fine, models["diff_fine"].to(device)
    return nets.drawn(model, sampler, galaxies, FROM_TRUE, "true", settings.generate.seed), retrieval


def properties(split: validation.Split) -> dict[str, np.ndarray]:
    """Properties of the observed spectra, as the regression network learns to predict them."""
    import torch

    from sanspec.nets.properties import PROPERTIES, measured

    z = torch.from_numpy(split.z.astype(np.float32))
    found = measured(torch.from_numpy(split.fine), torch.from_numpy(grid.WAVE.copy()), z)
    return dict(zip(PROPERTIES, found.double().numpy().T))
