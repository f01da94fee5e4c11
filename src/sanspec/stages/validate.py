"""Judge the draws as predictive distributions, on the test and the validation split, baselines beside them.

Coarse draws, the unselected fine draws of generated coarse spectra, and fine draws from the true coarse spectrum and
redshift; the calibration is fitted on the validation split and judged on the test split. No score chooses with the
truth in hand.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from sanspec import config, options, store
from sanspec.errors import SanspecError, Warn
from sanspec.nets import ensembles, lease
from sanspec.products import samples
from sanspec.scores import metrics
from sanspec.spectra import grid

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra images predicted valid baselines",
    out="table to write (.ecsv)",
    summary="scores to write (.json)",
)
NETS = ("diff_fine", "clip_coarse", "clip_fine")
SINGLE = ("regression", *samples.NEIGHBOURS)
FROM_TRUE = 5  # fine draws from a true coarse spectrum and redshift


def arguments(parser) -> None:
    """Settings, inputs, outputs, and the device."""
    parser.add_argument("--nets", type=Path, required=True, help="folder of the networks' .safetensors")
    lease.arguments(parser)


@dataclass(frozen=True)
class Split:
    """True and drawn spectra of a split's galaxies, natural log of the normalised flux.

    coarse, fine: true (gal, pix) with masks; draws by kind (gal, draw, pix); best: coarse draw that the chosen
    spectrum belongs to; retrieval: top1 and top5 of each contrastive network.
    """

    specobjid: np.ndarray
    z: Float[np.ndarray, " gal"]
    coarse: Float[np.ndarray, "gal coarse"]
    coarse_mask: Bool[np.ndarray, "gal coarse"]
    fine: Float[np.ndarray, "gal pix"]
    mask: Bool[np.ndarray, "gal pix"]
    draws: dict[str, Float[np.ndarray, "gal draw pix"]]
    best: np.ndarray
    retrieval: dict[str, float]

    def truth(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """True spectra and masks beside the draws of a kind."""
        return (self.coarse, self.coarse_mask) if kind == "coarse" else (self.fine, self.mask)

    def scores(self, kind: str, scale: float = 1.0) -> dict[str, np.ndarray]:
        """Scores of each galaxy, the draws' spread multiplied by `scale`."""
        return ensembles.scores(ensembles.inflated(self.draws[kind], scale), *self.truth(kind))


def run(args) -> None:
    """Lease a device, draw what is lacking, score, write."""
    settings = config.load(args.config)
    with lease.lease(lease.wanted(args)) as device:
        splits = {
            name: read(args, settings, name, path, device)
            for name, path in (("test", args.predicted), ("valid", args.valid))
        }
    test, numbers = splits["test"], {}
    for name, split in splits.items():
        end = "" if name == "test" else f"_{name}"
        numbers |= {f"{key}{end}": value for key, value in of_split(split).items()}
    numbers |= calibrated(test, splits["valid"])
    lines = widths(args, settings, test)
    numbers |= {f"rho_h_alpha_{name}": correlated(lines, name) for name in lines if name != "observed"}
    numbers |= single(args, test)
    table = pd.DataFrame({"specobjid": test.specobjid} | per_galaxy(test))
    for name, values in lines.items():
        table[f"h_alpha_{name}"] = values
    made = store.provenance("validate", settings.generate.model_dump(mode="json"))
    store.write_table(args.out, table, meta=made)
    store.write_json(args.summary, {"numbers": numbers})
    for name in ("crps_fine", "spread_skill_fine", "spread_skill_fine_from_true", "coverage_fine"):
        log.info("%s %.4f", name, numbers[name])


# ------------------------------------------------------------------------------------------------ reading


def read(args, settings: config.Config, name: str, path: Path, device: str) -> Split:
    """Everything about one split; the fine draws from the true coarse spectra are made here.

    Raises SanspecError when the file holds no draws, or galaxies of another split.
    """
    with store.arrays(path) as file:
        if "draws_fine" not in file:
            raise SanspecError(f"{path} holds no draws: set generate.keep_draws and generate again")
        rows = np.flatnonzero(file["warn"][:] & np.uint32(Warn.NOT_GENERATED) == 0)
        ids, unselected = file["specobjid"][:][rows], ~file["selected"][:][rows][0]
        pool = np.flatnonzero(unselected if unselected.any() else ~unselected)
        draws = {"coarse": file["draws_coarse"][:][rows], "fine": file["draws_fine"][:, pool][rows]}
        best = np.take_along_axis(file["parent"][:][rows], file["best"][:][rows][:, None], 1)[:, 0]
    with store.arrays(args.spectra) as file, store.arrays(args.images) as pictures:
        here = samples.split_rows(file, name)
        here = here[np.sort(samples.order(ids, file["specobjid"][:][here], path))]
        order = samples.order(file["specobjid"][:][here], ids, path)
        spectra = {
            key: samples.take(file[dataset], here)
            for key, dataset in (
                ("coarse", "coarse_log_flux"),
                ("coarse_mask", "coarse_mask"),
                ("fine", "log_flux"),
                ("mask", "mask"),
            )
        }
        z, images = file["z"][:][here], samples.take(pictures["images"], here)
    draws = {kind: values[order] for kind, values in draws.items()}
    truth = {"specobjid": ids[order], "z": z, "best": best[order], **spectra}
    return Split(**truth, **by_networks(args, settings, truth, images, device, draws))


def by_networks(args, settings, truth: dict, images: np.ndarray, device: str, draws: dict) -> dict:
    """Fine draws from the true coarse spectrum beside the others, and retrieval; torch is imported here, after
    the lease.
    """
    import torch

    from sanspec.nets import build, data, validation

    torch.set_num_threads(args.threads)
    models, _ = build.load_all(args.nets, settings.train, NETS)
    spectra = {name: truth[name] for name in ("z", "coarse", "coarse_mask", "fine")}
    spectra["fine_mask"] = truth["mask"]
    galaxies = data.galaxies(truth["specobjid"], images, settings.train.crop, **spectra).to(device)
    with torch.inference_mode():
        found = {
            which: models[f"clip_{which}"].to(device).validate([galaxies]) for which in ("coarse", "fine")
        }
    sampler, model = settings.generate.fine, models["diff_fine"].to(device)
    true = validation.drawn(model, sampler, galaxies, FROM_TRUE, "true", settings.generate.seed)
    top = {f"retrieval_{key}_{which}": found[which][key] for which in found for key in ("top1", "top5")}
    return {"draws": draws | {"fine_from_true": true}, "retrieval": top}


# ------------------------------------------------------------------------------------------------ scores


def of_split(split: Split) -> dict[str, float]:
    """Every score of every kind of draws, and retrieval."""
    numbers = {"n_validated": len(split.z)}
    for kind, draws in split.draws.items():
        found = ensembles.summary(split.scores(kind), draws.shape[1])
        numbers |= {f"{name}_{kind}": value for name, value in found.items()}
    return numbers | split.retrieval


def calibrated(test: Split, valid: Split) -> dict[str, float]:
    """The draws' spread scaled as the validation split asks for, judged on the test split."""
    numbers = {}
    for kind in ("coarse", "fine"):
        scale = ensembles.spread_scale(valid.scores(kind), valid.draws[kind].shape[1])
        found = ensembles.summary(test.scores(kind, scale), test.draws[kind].shape[1])
        numbers[f"spread_scale_{kind}"] = scale
        for name in ("crps", "coverage", "spread_skill"):
            numbers[f"{name}_{kind}_calibrated"] = found[name]
    return numbers


def per_galaxy(split: Split) -> dict[str, np.ndarray]:
    """Columns of the table."""
    found = {kind: split.scores(kind) for kind in split.draws}
    names = ("crps", "mse_single", "mse_mean", "variance", "coverage")
    return {f"{name}_{kind}": found[kind][name] for kind in found for name in names}


def single(args, split: Split) -> dict[str, float]:
    """What a single spectrum a galaxy scores: the CRPS of one draw is its absolute error."""
    numbers = {}
    with store.arrays(args.baselines) as file:
        rows = samples.order(split.specobjid, file["specobjid"][:], args.baselines)
        for name in SINGLE:
            flux = np.log(np.maximum(file[f"{name}/flux"][:][rows], np.float32(1e-3)))
            found = ensembles.scores(flux[:, None], split.fine, split.mask)
            numbers[f"crps_{name}"] = float(np.nanmean(found["crps"]))
            numbers[f"mse_log_{name}"] = float(np.nanmean(found["mse_mean"]))
        numbers["rho_dn4000_cnn"] = told(file["cnn/dn4000"][:][rows], split, 1)
        numbers["rho_h_alpha_cnn"] = told(file["cnn/h_alpha_ew"][:][rows], split, 2)
    return numbers


def told(values: np.ndarray, split: Split, number: int) -> float:
    """Correlation of a property told from the image with that measured on the observed spectrum."""
    import torch

    from sanspec.nets.properties import measured

    z = torch.from_numpy(split.z.astype(np.float32))
    true = measured(torch.from_numpy(split.fine), torch.from_numpy(grid.WAVE.copy()), z)[:, number]
    return metrics.correlation(values, true.double().numpy())["pearson"]


def widths(args, settings: config.Config, split: Split) -> dict[str, np.ndarray]:
    """Equivalent widths of Halpha [Angstrom, observed frame] on coarse spectra, by whose they are."""
    wave, limits = grid.coarse_wave(), (settings.match.z_min, settings.match.z_max)
    drawn = ensembles.h_alpha_width(split.draws["coarse"], wave, limits)
    rows = np.arange(len(split.z))
    with store.arrays(args.baselines) as file:
        place = samples.order(split.specobjid, file["specobjid"][:], args.baselines)
        flux = np.log(file["regression/flux"][:][place])
    regression, _ = grid.coarse(flux, np.ones_like(flux, dtype=bool))
    return {
        "observed": ensembles.h_alpha_width(split.coarse, wave, limits),
        "predicted": drawn[rows, split.best],
        "predicted_mean": drawn.mean(axis=1),
        "regression": ensembles.h_alpha_width(regression, wave, limits),
    }


def correlated(lines: dict[str, np.ndarray], name: str) -> float:
    """Pearson correlation of asinh(width / 5 A) with that of the observed spectra."""
    one, two = (np.arcsinh(lines[key] / 5) for key in ("observed", name))
    return metrics.correlation(one, two)["pearson"]
