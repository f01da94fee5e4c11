"""Classes of galaxies from the emission lines of observed and predicted spectra, and how they agree."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sanspec.classes import diagnostics, labels
from sanspec.classes.diagnostics import ACTIVE, CLASSES, LINES, PASSIVE, UNKNOWN
from sanspec.config import Classify
from sanspec.products import samples
from sanspec.scores import metrics
from sanspec.scores.numbers import Number, record
from sanspec.stellar.results import KINDS

MEASURES = (
    "ew_h_alpha",
    "ew_n_ii_6583",
    *(f"{key}_{line}" for line in LINES for key in ("flux", "present", "warn")),
)
ACTIVE_SCORES = {  # meaning, and value in Doorenbos et al. 2024
    "accuracy": ("accuracy", "0.818 (section 5.7)"),
    "precision": ("fraction of the galaxies predicted active that are", "0.725 (section 5.7)"),
    "recall": ("fraction of the active galaxies predicted active", "0.736 (section 5.7)"),
    "f1": ("harmonic mean of precision and recall", "0.730 (from table 2)"),
    "balanced_accuracy": ("mean of recall and specificity", "0.798 (from table 2)"),
    "mcc": ("correlation of predicted and actual labels (Matthews 1975)", "0.594 (from table 2)"),
}
PAPER_SPREAD = {  # standard deviations over draws of the labels
    "accuracy": "0.011 (section 5.7)",
    "precision": "0.016 (section 5.7)",
    "recall": "0.018 (section 5.7)",
}


def side(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Rows of one kind of spectra by specobjid."""
    rows = table[table["kind"] == kind]
    return rows.set_index(samples.ids(rows))


def measured(rows: pd.DataFrame) -> labels.Measured:
    """What a class rests on: fluxes, absent lines as 0, unmeasured ones as NaN, and the width of Halpha."""
    fluxes = {}
    for line in LINES:
        flux, present = rows[f"flux_{line}"].to_numpy(float), rows[f"present_{line}"].to_numpy()
        fluxes[line] = np.where(present == 1, flux, np.where(present == 0, 0.0, np.nan))
    return labels.Measured(fluxes, rows["ew_h_alpha"].to_numpy(float))


def classify(basis: labels.Measured, settings: Classify) -> tuple[Int[np.ndarray, " gal"], np.ndarray]:
    """Classes and WARN bits of what `measured` gives."""
    return diagnostics.classify(basis.fluxes, basis.width, settings.ew_min)


def columns(rows: pd.DataFrame, settings: Classify, seed: int) -> pd.DataFrame:
    """Class, place in the diagrams, widths, probabilities and bits of every spectrum of one kind."""
    basis = measured(rows)
    x, y = diagnostics.ratios(basis.fluxes)
    found, warn = classify(basis, settings)
    seen = found > PASSIVE
    chances = labels.probabilities(basis, settings, settings.ew_reading, seed)
    width_n_ii = rows["ew_n_ii_6583"].to_numpy(float)
    values = {
        "class": found,
        "log_n_ii_h_alpha": x,
        "log_o_iii_h_beta": y,
        "ew_h_alpha": basis.width,
        "region": np.where(seen, diagnostics.region(x, y), UNKNOWN),
        "whan": diagnostics.whan(x, basis.width, width_n_ii),
        **{f"p_{name.replace('-', '_')}": chances[:, k] for k, name in enumerate(CLASSES)},
        "warn": warn | rows["warn"].to_numpy(np.uint32),
    }
    return pd.DataFrame(values, index=rows.index)


def table_of(lines: pd.DataFrame, settings: Classify) -> pd.DataFrame:
    """One row an object: `columns` of both kinds with `_observed` and `_predicted` appended."""
    parts = [
        columns(side(lines, kind), settings, settings.seed + k).add_suffix(f"_{kind}")
        for k, kind in enumerate(KINDS)
    ]
    return pd.concat(parts, axis=1, join="inner").rename_axis("specobjid").reset_index()


# ------------------------------------------------------------------------------------------------ summary


def summary(lines: pd.DataFrame, table: pd.DataFrame, settings: Classify) -> dict:
    """Confusion matrix and scores, error budget, counts in the diagrams, and what other choices change."""
    actual, predicted = (table[f"class_{kind}"].to_numpy() for kind in KINDS)
    report = labels.report(labels.confusion(actual, predicted))
    pairs = [measured(side(lines, kind)) for kind in KINDS]
    drawn = labels.error_budget(*pairs, settings)
    return {
        **record(numbers(report, drawn[settings.ew_reading])),
        "rule": f"passive: EW(Halpha) < {settings.ew_min:g} A or a line absent; active: beyond Kauffmann",
        "confusion": report,
        "unknown": {kind: int((table[f"class_{kind}"] == UNKNOWN).sum()) for kind in KINDS},
        "error_budget": {
            "fractional": dict(zip(LINES, settings.line_errors)),
            "ew": settings.ew_error,
            "reading": settings.ew_reading,
            "draws": settings.draws,
            "experiments": settings.experiments,
            "nominal": {name: report[name] for name in labels.SCORES},
            **drawn,
        },
        "diagram": {kind: diagram(table, kind) for kind in KINDS},
        "other_choices": choices(lines, settings),
    }


def numbers(report: Mapping, drawn: Mapping) -> list[Number]:
    """Scores of the active class, and their mean and standard deviation over draws of the labels."""
    result = [
        Number("n_classified", report["count"], "test galaxies with a class in both spectra", paper="1506"),
        Number(
            "accuracy_three_classes",
            report["accuracy_three_classes"],
            "accuracy over the classes passive, star-forming, active",
            paper="0.782 (from table 2)",
        ),
        Number(
            "agn_never_baseline",
            report["never"],
            "baseline: accuracy of calling no galaxy active",
            paper="0.666 (from table 2)",
        ),
    ]
    for name, (text, paper) in ACTIVE_SCORES.items():
        result.append(Number(f"agn_{name}", report[name], f"active or not, {text}", paper=paper))
    for name, spread in PAPER_SPREAD.items():
        text = f"{name} over draws of the labels from the error budget of the lines"
        result += [
            Number(f"agn_{name}_draw_mean", drawn[name]["mean"], f"active or not, mean {text}"),
            Number(
                f"agn_{name}_draw_std",
                drawn[name]["std"],
                f"active or not, standard deviation of the {text}",
                paper=spread,
            ),
        ]
    return result


def diagram(table: pd.DataFrame, kind: str) -> dict:
    """Counts by class, region of the diagram and WHAN class; medians of the ratios of emitters."""
    emitting = table[f"class_{kind}"].to_numpy() > PASSIVE
    medians = {
        name: metrics.quantiles(table.loc[emitting, f"{name}_{kind}"].to_numpy())["median"]
        for name in ("log_n_ii_h_alpha", "log_o_iii_h_beta")
    }
    return {
        "with_emission": int(emitting.sum()),
        "classes": tally(table[f"class_{kind}"].to_numpy(), CLASSES),
        "regions": tally(table[f"region_{kind}"].to_numpy(), diagnostics.REGIONS),
        "whan": tally(table[f"whan_{kind}"].to_numpy(), diagnostics.WHAN),
        "medians": medians,
    }


def tally(places: Int[np.ndarray, " gal"], names: tuple[str, ...]) -> dict[str, int]:
    """How many objects have each place, and how many none."""
    return {name: int((places == k).sum()) for k, name in enumerate(names)} | {
        "unknown": int((places == UNKNOWN).sum())
    }


def choices(lines: pd.DataFrame, settings: Classify) -> dict:
    """Scores under other rules: limits on the width of Halpha and on S/N, another count of the unknown."""
    changed = {f"ew_min_{limit:g}": (limit, 0.0) for limit in (0.5, 2.0, 3.0)}
    changed["absent_below_snr_3"] = settings.ew_min, 3.0
    found = {
        name: [classes_with(side(lines, kind), *rule) for kind in KINDS] for name, rule in changed.items()
    }
    plain = [classes_with(side(lines, kind), settings.ew_min, 0.0) for kind in KINDS]
    found["predicted_unknown_as_passive"] = [plain[0], np.where(plain[1] == UNKNOWN, PASSIVE, plain[1])]
    reports = {name: labels.report(labels.confusion(*pair)) for name, pair in found.items()}
    keys = (*labels.SCORES, "never", "count", "matrix")
    return {name: {key: report[key] for key in keys} for name, report in reports.items()}


def classes_with(rows: pd.DataFrame, ew_min: float, snr: float) -> Int[np.ndarray, " gal"]:
    """Classes where lines below `snr` count as absent."""
    basis = measured(rows)
    fluxes = {line: faint_as_absent(rows, line, flux, snr) for line, flux in basis.fluxes.items()}
    return diagnostics.classify(fluxes, basis.width, ew_min)[0]


def faint_as_absent(
    rows: pd.DataFrame, line: str, flux: Float[np.ndarray, " gal"], snr: float
) -> Float[np.ndarray, " gal"]:
    """The fluxes with 0 for those below `snr` times their error."""
    error = rows[f"flux_{line}_err"].to_numpy(float)
    return np.where(np.isfinite(flux) & (flux < snr * error), 0.0, flux)


def active_share(table: pd.DataFrame) -> float:
    """Fraction of the classified galaxies that are active, by their observed spectra."""
    known = table["class_observed"] != UNKNOWN
    return float((table.loc[known, "class_observed"] == ACTIVE).mean()) if known.any() else float("nan")
