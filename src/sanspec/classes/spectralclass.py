"""Classes of galaxies from the emission lines of observed and predicted spectra, and their agreement."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sanspec.classes import diagnostics, labels
from sanspec.classes.diagnostics import CLASSES, LINES, PASSIVE, UNKNOWN
from sanspec.config import Classify
from sanspec.products import samples
from sanspec.scores import metrics
from sanspec.scores.numbers import Number, record
from sanspec.stellar.results import KINDS

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


def of_kind(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Rows of one kind of spectra, indexed by specobjid."""
    rows = table[table["kind"] == kind]
    return rows.set_index(samples.ids(rows))


def strengths(rows: pd.DataFrame, min_snr: float = 0.0) -> labels.Strengths:
    """Fluxes and the width of Halpha, on which a class rests; absent lines are 0, those not measured NaN.

    Lines below `min_snr` times their error count as absent.
    """
    fluxes = {}
    for line in LINES:
        flux, error = rows[f"flux_{line}"].to_numpy(float), rows[f"flux_{line}_err"].to_numpy(float)
        present = rows[f"present_{line}"].to_numpy()
        found = np.where(present == 1, flux, np.where(present == 0, 0.0, np.nan))
        fluxes[line] = np.where(found < min_snr * error, 0.0, found)
    return labels.Strengths(fluxes, rows["ew_h_alpha"].to_numpy(float))


def columns(rows: pd.DataFrame, settings: Classify, seed: int) -> pd.DataFrame:
    """Class, place in the diagrams, widths, probabilities and WARN bits of every spectrum of one kind."""
    basis = strengths(rows)
    x, y = diagnostics.ratios(basis.fluxes)
    found, warn = diagnostics.classify(basis.fluxes, basis.width, settings.ew_min)
    chances = labels.probabilities(basis, settings, settings.ew_reading, seed)
    values = {
        "class": found,
        "log_n_ii_h_alpha": x,
        "log_o_iii_h_beta": y,
        "ew_h_alpha": basis.width,
        "region": np.where(found > PASSIVE, diagnostics.region(x, y), UNKNOWN),
        "whan": diagnostics.whan(x, basis.width, rows["ew_n_ii_6583"].to_numpy(float)),
        **{f"p_{name.replace('-', '_')}": chances[:, k] for k, name in enumerate(CLASSES)},
        "warn": warn | rows["warn"].to_numpy(np.uint32),
    }
    return pd.DataFrame(values, index=rows.index)


def table_of(lines: pd.DataFrame, settings: Classify) -> pd.DataFrame:
    """One row per object: `columns` of both kinds with `_observed` and `_predicted` appended."""
    parts = [
        columns(of_kind(lines, kind), settings, settings.seed + k).add_suffix(f"_{kind}")
        for k, kind in enumerate(KINDS)
    ]
    return pd.concat(parts, axis=1, join="inner").rename_axis("specobjid").reset_index()


# ------------------------------------------------------------------------------------------------ summary


def summary(lines: pd.DataFrame, table: pd.DataFrame, settings: Classify) -> dict:
    """Confusion matrix and scores, error budget, counts in the diagrams, and scores under other rules."""
    actual, predicted = (table[f"class_{kind}"].to_numpy() for kind in KINDS)
    report = labels.report(labels.confusion(actual, predicted))
    pairs = [strengths(of_kind(lines, kind)) for kind in KINDS]
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
    """Counts by class, region of the diagram and WHAN class; medians of the ratios of galaxies with emission."""
    emitting = table[f"class_{kind}"].to_numpy() > PASSIVE
    result: dict = {"with_emission": int(emitting.sum())}
    systems = {"classes": CLASSES, "regions": diagnostics.REGIONS, "whan": diagnostics.WHAN}
    for column, (system, names) in zip(("class", "region", "whan"), systems.items()):
        places = dict(enumerate(names)) | {UNKNOWN: "unknown"}
        found = table[f"{column}_{kind}"].value_counts()
        result[system] = {name: int(found.get(place, 0)) for place, name in places.items()}
    return result | {
        "medians": {
            name: metrics.quantiles(table.loc[emitting, f"{name}_{kind}"].to_numpy())["median"]
            for name in ("log_n_ii_h_alpha", "log_o_iii_h_beta")
        }
    }


def choices(lines: pd.DataFrame, settings: Classify) -> dict:
    """Scores under other rules: limits on the width of Halpha and on S/N, unknown predictions as passive."""
    rules = {f"ew_min_{limit:g}": (limit, 0.0) for limit in (0.5, 2.0, 3.0)}
    rules |= {"absent_below_snr_3": (settings.ew_min, 3.0), "plain": (settings.ew_min, 0.0)}
    found = {}
    for name, (ew_min, min_snr) in rules.items():
        bases = [strengths(of_kind(lines, kind), min_snr) for kind in KINDS]
        found[name] = [diagnostics.classify(basis.fluxes, basis.width, ew_min)[0] for basis in bases]
    actual, predicted = found.pop("plain")
    found["predicted_unknown_as_passive"] = [actual, np.where(predicted == UNKNOWN, PASSIVE, predicted)]
    reports = {name: labels.report(labels.confusion(*pair)) for name, pair in found.items()}
    keys = (*labels.SCORES, "never", "count", "matrix")
    return {name: {key: report[key] for key in keys} for name, report in reports.items()}
