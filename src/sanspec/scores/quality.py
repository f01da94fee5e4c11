"""How close the spectra of every predictor are to the observed ones, pixel by pixel."""

from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from sanspec.config import Quality
from sanspec.products.members import PREDICTORS, Members
from sanspec.products.samples import MORPHOLOGIES
from sanspec.scores import metrics
from sanspec.scores.numbers import Number, record
from sanspec.spectra import grid
from sanspec.spectra.spectra import Spectra, masked_mean, shifted

SCORES = ("delta", "mse", "mse_log", "chi2")
MEAN = "mean_spectrum"  # the mean training spectrum, the same for every galaxy
MSE = "MSE of the normalised flux, rest frame, settings quality.wave_min to wave_max"


def quality_table(test: Members, settings: Quality, floor: float) -> pd.DataFrame:
    """One row per galaxy: columns `<score>_<predictor>` of SCORES, and `mse_noise`, the mean variance of its pixels.

    Each spectrum is moved from its own redshift to that of the observed spectrum. Spectra of a predictor that implies
    no redshift are also compared without this move: `mse_in_place_<predictor>`. floor: minimum flux in logs.
    """
    observed = test.observed
    rest = grid.WAVE / (1 + observed.z[:, None])
    window = (rest >= settings.wave_min) & (rest <= settings.wave_max) & (observed.ivar > 0)
    columns: dict = {"specobjid": observed.specobjid}
    for spectra in test.predictors():
        moved = spectra.at_redshift(observed.z)
        columns |= distances(spectra.kind, observed, moved, window, floor)
        if not PREDICTORS[spectra.kind].z:
            columns[f"mse_in_place_{spectra.kind}"] = metrics.mse(observed.flux, spectra.flux, window)
    wave, mean = test.mean_spectrum()
    flux = np.broadcast_to(mean, (len(observed), mean.size))
    moved = shifted(flux, wave, np.zeros(len(observed)), observed.z)
    columns |= distances(MEAN, observed, moved, window, floor)
    columns["mse_noise"] = masked_mean(1 / np.where(window, observed.ivar, np.inf), window)
    return pd.DataFrame(columns)


def distances(
    name: str,
    observed: Spectra,
    moved: Float[np.ndarray, "gal pix"],
    window: Bool[np.ndarray, "gal pix"],
    floor: float,
) -> dict[str, Float[np.ndarray, " gal"]]:
    """Scores of one predictor: mean squares inside the window, the others over all pixels in common."""
    return {
        f"delta_{name}": metrics.delta_bar(observed.flux, moved, observed.ivar > 0),
        f"mse_{name}": metrics.mse(observed.flux, moved, window),
        f"mse_log_{name}": metrics.mse_log(observed.flux, moved, window, floor),
        f"chi2_{name}": metrics.chi2_per_pixel(observed.flux, moved, observed.ivar),
    }


def summary(table: pd.DataFrame) -> dict:
    """Numbers of the run; counts, quantiles and Kolmogorov-Smirnov distances by `morphology`, a column of the table."""
    classes = {"all": table} | {name: table[table["morphology"] == name] for name in MORPHOLOGIES}
    predictors = (*PREDICTORS, MEAN)
    columns = [f"{score}_{name}" for score in SCORES for name in predictors]
    chi2 = {kind: rows["chi2_predicted"].to_numpy() for kind, rows in classes.items()}
    return record(numbers(table)) | {
        "count": len(table),
        "missing": {name: int(table[f"mse_{name}"].isna().sum()) for name in predictors},
        "by_morphology": {
            kind: {column: metrics.quantiles(rows[column].to_numpy()) for column in columns}
            for kind, rows in classes.items()
        },
        "ks_chi2_predicted": {
            f"{one}_{two}": metrics.ks_distance(chi2[one], chi2[two])
            for one, two in combinations(MORPHOLOGIES, 2)
        },
    }


def numbers(table: pd.DataFrame) -> list[Number]:
    """Scores of every predictor over the galaxies that have them, and ratios of the best draw to each baseline."""
    about = {name: predictor.description for name, predictor in PREDICTORS.items()}
    about[MEAN] = "baseline: mean training spectrum"
    found = [Number("n_quality", int(table["mse_predicted"].notna().sum()), "test galaxies with an MSE")]
    for name, text in about.items():
        one, paper = table[f"mse_{name}"], "0.0107 (table 3)" if name == "predicted" else ""
        log = float(table[f"mse_log_{name}"].mean())
        found += [
            Number(f"mse_{name}", float(one.mean()), f"{text}: {MSE}", paper=paper),
            Number(f"mse_{name}_log", log, f"{text}: MSE of the natural log flux, same range"),
            Number(f"mse_{name}_median", float(one.median()), f"{text}: median MSE of a galaxy"),
        ]
        if (column := f"mse_in_place_{name}") in table:
            value = float(table[column].mean())
            found.append(
                Number(f"mse_{name}_in_place", value, f"{text}: MSE without a move to the true redshift")
            )
        if text.startswith("baseline"):
            found += ratio(table, name, text.removeprefix("baseline: "))
    text = "floor: mean variance of the observed pixels, the MSE of a perfect prediction"
    found.append(Number("mse_noise", float(table["mse_noise"].mean()), text))
    delta, chi2 = (metrics.quantiles(table[f"{score}_predicted"].to_numpy()) for score in ("delta", "chi2"))
    text = "of the mean fractional deviation of a galaxy (eq. 9)"
    return [
        *found,
        Number("delta_bar_median", delta["median"], f"median {text}", paper="0.055 (section 5.1)"),
        Number("delta_bar_p90", delta["p90"], f"90th percentile {text}", paper="< 0.10 (section 5.1)"),
        Number(
            "chi2_per_pixel_median", chi2["median"], "median chi2/N with the errors of the observed spectra"
        ),
        Number("chi2_per_pixel_p90", chi2["p90"], "90th percentile of chi2/N"),
    ]


def ratio(table: pd.DataFrame, name: str, label: str) -> list[Number]:
    """MSE of the best draw over that of a baseline, with the bootstrap error over galaxies in pairs."""
    pair = table["mse_predicted"].to_numpy(), table[f"mse_{name}"].to_numpy()
    use = np.isfinite(pair).all(axis=0)
    value = metrics.ratio_of_means(*(values[use] for values in pair))
    error = metrics.bootstrap(metrics.ratio_of_means, *pair)
    text = f"MSE of the best draw over that of the baseline {label}"
    return [
        Number(f"mse_predicted_over_{name}", value, text),
        Number(f"mse_predicted_over_{name}_error", error, f"bootstrap error of the ratio of {text}"),
    ]
