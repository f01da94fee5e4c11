"""Compare predicted with observed spectra pixel by pixel, baselines beside them."""

import logging
from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float

from sanspec import config, options, store
from sanspec.products import samples
from sanspec.scores import metrics
from sanspec.spectra import grid

log = logging.getLogger(__name__)

FILES = options.files(
    "config spectra predicted baselines redshifts objects",
    out="table to write (.ecsv)",
    summary="scores to write (.json)",
)
PREDICTORS = (*samples.PREDICTED, "mean_spectrum", *samples.NEIGHBOURS, "regression")
IN_PLACE = (*samples.PREDICTED, "regression")  # also compared without any move: no measured redshift enters
SCORES = ("delta", "mse", "mse_log", "chi2")


def run(args) -> None:
    """Score every predictor on every test galaxy, write the table and the summary."""
    settings = config.load(args.config)
    test = samples.read_sample(args.spectra, "test")
    redshifts, objects = (samples.aligned(path, test.specobjid) for path in (args.redshifts, args.objects))
    table = pd.DataFrame({"specobjid": test.specobjid, "morphology": objects["morphology"].to_numpy()})
    rest = grid.WAVE / (1 + test.z[:, None])
    window = (rest >= settings.quality.wave_min) & (rest <= settings.quality.wave_max) & (test.ivar > 0)
    for name, flux, wave, z in predictions(args, test, redshifts):
        moved = in_frame_of(flux, wave, z, test.z)
        for score, values in compare(test, moved, window, settings.prepare.log_floor).items():
            table[f"{score}_{name}"] = values
        if name in IN_PLACE:
            table[f"mse_in_place_{name}"] = metrics.mse(test.flux, flux, window)
    table["mse_noise"] = metrics.masked_mean(1 / np.where(window, test.ivar, np.inf), window)
    table["warn"] = objects["warn"].to_numpy().astype(np.uint32)
    store.write_table(
        args.out, table, meta=store.provenance("quality", settings.quality.model_dump(mode="json"))
    )
    store.write_json(args.summary, summary(table, settings.quality.bootstrap))


def predictions(args, test: samples.Sample, redshifts: pd.DataFrame):
    """Name, flux (gal, pix), its wavelengths and the redshift at which it stands, of every predictor."""
    columns = {
        name: redshifts[name].to_numpy(dtype=np.float64) for name in redshifts if name.startswith("z_")
    }
    for name, flux in samples.read_predicted(args.predicted, test.specobjid).items():
        yield name, flux, grid.WAVE, columns[f"z_{name}"]
    with store.arrays(args.baselines) as file:
        rows = samples.order(test.specobjid, file["specobjid"][:], args.baselines)
        mean = np.broadcast_to(file["mean_rest"][:], (len(test.z), file["mean_rest"].size))
        yield "mean_spectrum", mean, file["rest_wave"][:], np.zeros(len(test.z))
        for name in samples.NEIGHBOURS:
            yield name, file[f"{name}/flux"][:][rows], grid.WAVE, file[f"{name}/z"][:][rows]
        yield "regression", file["regression/flux"][:][rows], grid.WAVE, columns["z_regression"]


def in_frame_of(
    flux: Float[np.ndarray, "gal pix"],
    wave: Float[np.ndarray, " pix"],
    z: Float[np.ndarray, " gal"],
    z_spec: Float[np.ndarray, " gal"],
) -> Float[np.ndarray, "gal out"]:
    """Spectra that stand at `z` moved to `z_spec`, on grid.WAVE; NaN where they do not reach or z is unknown.

    The paper moves the predicted spectrum to the observed one's redshift (Doorenbos et al. 2024, section
    4.1), so that the observed pixels and their errors stay as they are. Normalised flux keeps its value.
    """
    known = np.isfinite(z)
    shift = (1 + np.where(known, z, 0.0)) / (1 + z_spec) - 1
    return np.where(known[:, None], grid.rest_frame(flux, shift, grid.WAVE, wave), np.nan)


def compare(
    test: samples.Sample, moved: Float[np.ndarray, "gal pix"], window: np.ndarray, floor: float
) -> dict[str, Float[np.ndarray, " gal"]]:
    """Every score of one predictor: mean squares inside the window, the others over all common pixels."""
    return {
        "delta": metrics.delta_bar(test.flux, moved, test.ivar > 0),
        "mse": metrics.mse(test.flux, moved, window),
        "mse_log": metrics.mse_log(test.flux, moved, window, floor),
        "chi2": metrics.chi2_per_pixel(test.flux, moved, test.ivar),
    }


# ------------------------------------------------------------------------------------------------- summary


def summary(table: pd.DataFrame, draws: int) -> dict:
    """Documented numbers, and quantiles and distances by morphology; the headline logged."""
    classes = {"all": table} | {name: table[table["morphology"] == name] for name in samples.MORPHOLOGIES}
    columns = [f"{score}_{name}" for score in SCORES for name in PREDICTORS]
    numbers = headline(table) | ratios(table, draws)
    for name in ("mse_predicted", "mse_mean_spectrum", "mse_nearest_image", "mse_regression", "mse_noise"):
        log.info("%s %.5f", name, numbers[name])
    return {
        "numbers": numbers,
        "count": len(table),
        "missing": {name: int(table[f"mse_{name}"].isna().sum()) for name in PREDICTORS},
        "by_morphology": {
            kind: {column: metrics.quantiles(rows[column].to_numpy()) for column in columns}
            for kind, rows in classes.items()
        },
        "ks_chi2_predicted": {
            f"{one}_{two}": metrics.ks_distance(
                *(classes[kind]["chi2_predicted"].to_numpy() for kind in (one, two))
            )
            for one, two in combinations(samples.MORPHOLOGIES, 2)
        },
    }


def headline(table: pd.DataFrame) -> dict[str, float]:
    """Mean squared errors of every predictor, each over the galaxies that have it, and further medians."""
    numbers = {"n_quality": int(table["mse_predicted"].notna().sum())}
    for name in PREDICTORS:
        numbers[f"mse_{name}"] = float(table[f"mse_{name}"].mean())
        numbers[f"mse_{name}_log"] = float(table[f"mse_log_{name}"].mean())
        numbers[f"mse_{name}_median"] = float(table[f"mse_{name}"].median())
    for name in IN_PLACE:
        numbers[f"mse_{name}_in_place"] = float(table[f"mse_in_place_{name}"].mean())
    numbers["mse_noise"] = float(table["mse_noise"].mean())
    for score, stem in (("delta", "delta_bar"), ("chi2", "chi2_per_pixel")):
        found = metrics.quantiles(table[f"{score}_predicted"].to_numpy())
        numbers |= {f"{stem}_median": found["median"], f"{stem}_p90": found["p90"]}
    return numbers


def ratios(table: pd.DataFrame, draws: int) -> dict[str, float]:
    """mse_predicted over that of each baseline, with paired bootstrap errors."""
    result = {}
    for name in ("mean_spectrum", *samples.NEIGHBOURS, "regression"):
        pair = table["mse_predicted"].to_numpy(), table[f"mse_{name}"].to_numpy()
        use = np.isfinite(pair).all(axis=0)
        result[f"mse_predicted_over_{name}"] = metrics.ratio_of_means(*(values[use] for values in pair))
        result[f"mse_predicted_over_{name}_error"] = metrics.bootstrap(
            metrics.ratio_of_means, *pair, draws=draws
        )
    return result
