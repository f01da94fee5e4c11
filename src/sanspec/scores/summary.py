"""Every number of a run under one documented name: its source, unit, meaning, and what the paper found.

A new number is one row of ENTRIES.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sanspec.config import Survey
from sanspec.errors import SanspecError
from sanspec.scores import compared, draws, populations

SPLITS = ("train", "valid", "test")
CAVEAT = "paper: Doorenbos et al. 2024, ApJ 977, 131, their SDSS galaxies: not the same sample"


class Entry(NamedTuple):
    """One number: its name, the file and key it is read from, unit, meaning, the paper's value."""

    name: str
    source: str
    key: str
    unit: str
    meaning: str
    paper: str


def entries(source: str, prefix: str, *rows: tuple[str, ...]) -> tuple[Entry, ...]:
    """Entries of one file from rows (name, unit, meaning[, paper]); the key is `prefix` and the name."""
    return tuple(
        Entry(name, source, f"{prefix}{name}", unit, meaning, "".join(paper))
        for name, unit, meaning, *paper in rows
    )


ENTRIES = (
    *entries(
        "sample",
        "",
        ("n_train", "", "galaxies in the training split", "268603"),
        ("n_valid", "", "galaxies in the validation split", "512"),
        ("n_test", "", "galaxies in the test split", "1506"),
        ("n_unused", "", "galaxies kept but in no split, by their WARN bits"),
        ("n_lost", "", "objects left out by match, by reason in matched/losses.ecsv"),
    ),
    *entries(
        "tables/quality",
        "numbers.",
        (
            "mse_predicted",
            "",
            "MSE of the normalised flux, rest frame, settings quality.wave_min to wave_max",
            "0.0107 (table 3)",
        ),
        ("mse_predicted_log", "", "the same of the natural log flux"),
        ("mse_predicted_mean", "", "MSE of the mean of all fine draws"),
        ("mse_predicted_medoid", "", "MSE of the fine draw nearest to all others"),
        ("mse_mean_spectrum", "", "baseline: MSE of the mean training spectrum"),
        ("mse_nearest_image", "", "baseline: MSE of the spectrum of the nearest training image"),
        ("mse_nearest_colour", "", "baseline: of the training galaxy nearest in colours and magnitude"),
        ("mse_nearest_contrastive", "", "baseline: of the nearest training image in the contrastive space"),
        ("mse_regression", "", "baseline: MSE of direct regression from the image"),
        ("mse_noise", "", "floor: mean variance of the observed pixels, the MSE of a perfect prediction"),
        ("mse_predicted_over_mean_spectrum", "", "ratio of the two MSE"),
        ("mse_predicted_over_mean_spectrum_error", "", "its bootstrap error, objects resampled in pairs"),
        ("mse_predicted_over_nearest_image", "", "ratio of the two MSE"),
        ("mse_predicted_over_nearest_image_error", "", "its bootstrap error, objects resampled in pairs"),
        ("delta_bar_median", "", "median of the mean fractional deviation (eq. 9)", "0.055 (section 5.1)"),
        ("delta_bar_p90", "", "its 90th percentile", "< 0.10 (section 5.1)"),
        ("chi2_per_pixel_median", "", "median chi2/N with the errors of the smoothed observed spectra"),
    ),
    *entries(
        "tables/redshift",
        "numbers.",
        ("sigma_mad", "", "sigma_MAD of dz = (z - z_spec)/(1 + z_spec)", "0.01177 (section 5.2)"),
        ("sigma_mad_error", "", "its bootstrap error"),
        ("bias", "", "mean of dz"),
        ("outliers_005", "", "fraction with |dz| > 0.05", "0.0013 (2 of 1506)"),
        ("outliers_003", "", "fraction with |dz| > 0.03"),
        ("sigma_mad_predicted_mean", "", "sigma_MAD, mean of all fine draws"),
        ("sigma_mad_predicted_medoid", "", "sigma_MAD, fine draw nearest to all others"),
        ("sigma_mad_drawn", "", "sigma_MAD, median of the redshifts drawn along with the spectra"),
        ("sigma_mad_observed", "", "sigma_MAD of the observed spectra, measured blindly"),
        ("sigma_mad_median_baseline", "", "baseline: the training split's median redshift for all"),
        ("sigma_mad_nearest_image", "", "baseline: redshift of the nearest training image"),
        ("sigma_mad_nearest_colour", "", "baseline: of the nearest in colours and magnitude"),
        ("sigma_mad_nearest_contrastive", "", "baseline: of the nearest in the contrastive space"),
        ("sigma_mad_cnn", "", "baseline: told from the image by a network, without a spectrum"),
        ("sigma_mad_regression", "", "baseline: measured on the spectra of direct regression"),
    ),
    *entries("tables/validation", "numbers.", *draws.ROWS),
    *entries(
        "tables/indices",
        "numbers.",
        (
            "rho_dn4000",
            "",
            "Pearson correlation of observed and predicted Dn4000",
            "0.91 (fig. 7, no spirals)",
        ),
        ("rho_dn4000_spearman", "", "their rank correlation"),
    ),
    *entries(
        "tables/lick",
        "numbers.",
        (
            "rho_mgfe",
            "",
            "Pearson correlation of observed and predicted [MgFe]', freed of velocity dispersion",
        ),
        ("rho_mgb", "", "the same of Mg b"),
        ("rho_hbeta", "", "of Hbeta, measured on the stellar fits"),
        ("rho_fe5270", "", "of Fe5270"),
        ("rho_fe5335", "", "of Fe5335"),
        ("rho_mgfe_no_spirals", "", "of [MgFe]', spirals left out", "0.71 (fig. 7)"),
        ("rho_mgb_no_spirals", "", "of Mg b, spirals left out", "0.60 (fig. 7)"),
        ("rho_mgb_elliptical", "", "of Mg b, ellipticals alone", "0.78 (section 5.3)"),
        ("rho_hbeta_no_spirals", "", "of Hbeta, spirals left out"),
        ("rho_fe5270_no_spirals", "", "of Fe5270, spirals left out", "< 0.5 (section 5.3)"),
        ("rho_fe5335_no_spirals", "", "of Fe5335, spirals left out", "0.2 (section 5.3)"),
        ("rho_dn4000_no_spirals", "", "of Dn4000, spirals left out", "0.91 (fig. 7)"),
    ),
    *entries(
        "tables/broadening",
        "numbers.",
        (
            "vdisp_correction_worst",
            "",
            "greatest relative error of an index freed of velocity dispersion, on mixtures not fitted",
            "usually < 0.05 (section 4.2)",
        ),
    ),
    *entries(
        "tables/lines",
        "numbers.",
        ("h_alpha_over_ppxf", "", "median ratio of our Halpha flux to pPXF's, observed, S/N > 5"),
        ("h_alpha_over_ppxf_scatter", "", "its scatter (1.4826 MAD)"),
    ),
    *entries(
        "tables/classes",
        "numbers.",
        ("n_classified", "", "test galaxies whose observed and predicted class are both known", "1506"),
        ("agn_accuracy", "", "accuracy of predicted spectra: active or not", "0.818 (section 5.7)"),
        ("agn_precision", "", "fraction of those predicted active that are", "0.725 (section 5.7)"),
        ("agn_recall", "", "fraction of the active ones predicted so", "0.736 (section 5.7)"),
        ("agn_never_baseline", "", "baseline: accuracy of never saying active", "0.666 (from table 2)"),
        ("agn_f1", "", "harmonic mean of precision and recall", "0.730 (from table 2)"),
        ("agn_balanced_accuracy", "", "mean of recall and specificity", "0.798 (from table 2)"),
        ("agn_mcc", "", "correlation of predicted and actual labels (Matthews 1975)", "0.594 (from table 2)"),
        ("agn_accuracy_draw_mean", "", "mean accuracy over draws of the labels by their error budget"),
        ("agn_accuracy_draw_std", "", "its standard deviation over the draws", "0.011 (section 5.7)"),
        ("agn_precision_draw_mean", "", "mean precision over the draws"),
        ("agn_precision_draw_std", "", "its standard deviation", "0.016 (section 5.7)"),
        ("agn_recall_draw_mean", "", "mean recall over the draws"),
        ("agn_recall_draw_std", "", "its standard deviation", "0.018 (section 5.7)"),
        ("accuracy_three_classes", "", "accuracy over passive, star-forming, active", "0.782 (from table 2)"),
    ),
    *entries(
        "tables/agn",
        "numbers.",
        (
            "agn_svm_accuracy",
            "",
            "baseline: a support vector machine on photometry",
            "0.76 (Cavuoti et al. 2014)",
        ),
        ("agn_svm_balanced_accuracy", "", "its mean of recall and specificity"),
        ("agn_image_classifier_accuracy", "", "baseline: a network trained to classify images"),
        ("agn_image_classifier_balanced_accuracy", "", "its mean of recall and specificity"),
    ),
    *entries(
        "tables/bimodality",
        "numbers.",
        *(
            (
                f"bic_gain_{name}_{kind}",
                "",
                f"{label} ({kind}): BIC of one Gaussian less that of two; > 0: two",
            )
            for name, label in (
                ("dn4000", "Dn4000"),
                ("log_age", "log age"),
                ("ebv", "E(B-V)"),
                ("vdisp", "velocity dispersion"),
                ("u_r", "u-r"),
            )
            for kind in ("observed", "predicted")
        ),
    ),
    *entries(
        "figures/fig05",
        "",
        ("fraction_delta_below_010", "", "fraction with a mean deviation below 10 %", "0.90 (section 5.1)"),
        ("ks_chi2_max", "", "largest KS distance of chi2/N between two morphological classes"),
    ),
    *entries("tables/predictors", "numbers.", *compared.ROWS),
    *(entry for source, rows in populations.rows().items() for entry in entries(source, "numbers.", *rows)),
)


def source_of(path: Path) -> str:
    """Name of a file of numbers: `tables/quality` for .../tables/quality.json."""
    return f"{path.parent.name}/{path.stem}"


def read_sources(paths: Sequence[Path], read: Callable[[Path], Any], run: str) -> dict[str, Any]:
    """Files of numbers by name. Raises SanspecError when two bear the same name, or one is of another run."""
    sources: dict[str, Any] = {}
    for path in paths:
        name, content = source_of(path), read(path)
        if name in sources:
            raise SanspecError(f"summary: two files are called {name}, one of them {path}; give each once")
        if isinstance(content, Mapping) and content.get("run", run) != run:
            raise SanspecError(
                f"summary: {path} is of run {content['run']!r}, not {run!r}; give files of one run"
            )
        sources[name] = content
    return sources


def sample(objects: pd.DataFrame, losses: pd.DataFrame) -> dict[str, int]:
    """Sizes of the splits, objects kept but in none of them, objects lost (once, whatever the reasons)."""
    sizes = {f"n_{name}": int((objects["split"] == number).sum()) for number, name in enumerate(SPLITS)}
    return sizes | {
        "n_unused": len(objects) - sum(sizes.values()),
        "n_lost": losses.attrs["meta"]["counts"]["lost"],
    }


def collect(sources: Mapping[str, Mapping], wanted: Sequence[Entry] = ENTRIES) -> dict[str, Any]:
    """Every number by its name. Raises SanspecError for a missing source or key or a repeated name."""
    numbers: dict[str, Any] = {}
    for entry in wanted:
        if entry.name in numbers:
            raise SanspecError(
                f"summary: the name {entry.name!r} is given twice; every number has a name of its own"
            )
        numbers[entry.name] = look_up(sources, entry)
    return numbers


def look_up(sources: Mapping[str, Mapping], entry: Entry) -> Any:
    """The value of one entry; None where it could not be measured."""
    if entry.source not in sources:
        raise SanspecError(
            f"summary: {entry.name} comes from {entry.source}.json, which is not among --numbers; add it"
        )
    value: Any = sources[entry.source]
    for part in entry.key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise SanspecError(
                f"summary: {entry.source}.json has no {entry.key!r} for {entry.name}; rerun its rule"
            )
        value = value[part]
    return value


def about(wanted: Sequence[Entry] = ENTRIES) -> dict[str, dict]:
    """What every name means, for the JSON."""
    return {
        entry.name: {
            "unit": entry.unit,
            "meaning": entry.meaning,
            "source": f"{entry.source}: {entry.key}",
            "paper": entry.paper,
        }
        for entry in wanted
    }


def table(numbers: Mapping[str, Any], head: str, wanted: Sequence[Entry] = ENTRIES) -> str:
    """The numbers as aligned text: name, value, unit, meaning, the paper's value."""
    rows = [("name", "value", "unit", "paper", "meaning")]
    rows += [(e.name, written(numbers[e.name]), e.unit or "-", e.paper or "-", e.meaning) for e in wanted]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([head, "", lines[0], "-" * max(map(len, lines)), *lines[1:], "", CAVEAT])


def headline(run: str, survey: Survey, times: Mapping[str, Any]) -> str:
    """What stands over the table: the run, its survey, the time it took."""
    sky = " (SIMULATED: no number here is a result about the real sky)" if survey.simulated else ""
    return (
        f"run {run}, survey {survey.name}{sky}\n"
        f"{times['total']:.0f} s of work in {len(times['jobs'])} jobs; training: {times['training']:.0f} s"
    )


def written(value: Any) -> str:
    """A value as text: whole numbers in full, others to four digits."""
    if value is None:
        return "missing"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
