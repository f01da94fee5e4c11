"""Confusion matrices, scores of the active class, and the effect of line errors on them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from sanspec.classes.diagnostics import ACTIVE, CLASSES, LINES, UNKNOWN, classify
from sanspec.config import Classify

SCORES = ("accuracy", "precision", "recall")
_BLOCK = 250  # experiments held in memory at a time


def confusion(
    actual: Int[np.ndarray, " gal"], predicted: Int[np.ndarray, " gal"]
) -> Int[np.ndarray, "actual predicted"]:
    """Galaxies by actual class (row) and predicted class (column); those unknown in either are left out."""
    known = (actual != UNKNOWN) & (predicted != UNKNOWN)
    count = len(CLASSES)
    return np.bincount(count * actual[known] + predicted[known], minlength=count**2).reshape(count, count)


def counts(matrix: Int[np.ndarray, "*draw actual predicted"]) -> tuple[np.ndarray | np.integer, ...]:
    """True positives, false positives, false negatives and true negatives of the active class."""
    tp = matrix[..., ACTIVE, ACTIVE]
    fp, fn = matrix[..., ACTIVE].sum(axis=-1) - tp, matrix[..., ACTIVE, :].sum(axis=-1) - tp
    return tp, fp, fn, matrix.sum(axis=(-2, -1)) - tp - fp - fn


def outcomes(
    actual: Bool[np.ndarray, "*draw gal"], predicted: Bool[np.ndarray, "*draw gal"]
) -> tuple[np.ndarray | np.integer, ...]:
    """The same four counts from which galaxies are active and which are predicted to be."""
    pairs = (actual, predicted), (~actual, predicted), (actual, ~predicted), (~actual, ~predicted)
    return tuple((one & other).sum(axis=-1) for one, other in pairs)


def scores(tp, fp, fn, tn) -> dict[str, np.ndarray]:
    """Scores of a binary classification from its four counts (arrays or numbers); NaN where undefined.

    Accuracy, precision, recall: Doorenbos et al. 2024, eqs. 6-8; `never` is the accuracy of predicting no active
    galaxy; mcc: Matthews 1975.
    """
    tp, fp, fn, tn = (np.asarray(value, np.float64) for value in (tp, fp, fn, tn))
    total = tp + fp + fn + tn
    recall, specificity = ratio(tp, tp + fn), ratio(tn, tn + fp)
    product = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return {
        "accuracy": ratio(tp + tn, total),
        "precision": ratio(tp, tp + fp),
        "recall": recall,
        "f1": ratio(2 * tp, 2 * tp + fp + fn),
        "specificity": specificity,
        "balanced_accuracy": 0.5 * (recall + specificity),
        "mcc": ratio(tp * tn - fp * fn, product),
        "never": ratio(tn + fp, total),
    }


def ratio(above: np.ndarray | np.number | float, below: np.ndarray | np.number | float) -> np.ndarray:
    """A quotient; NaN where the divisor is 0."""
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)


def report(matrix: Int[np.ndarray, "actual predicted"]) -> dict:
    """Summary of a confusion matrix: scores of the active class, of each class and of all; binomial errors."""
    total, diagonal = matrix.sum(), np.diag(matrix)
    tp, fp, fn, tn = counts(matrix)
    found = {name: float(value) for name, value in scores(tp, fp, fn, tn).items()}
    chance = float(ratio((matrix.sum(axis=1) * matrix.sum(axis=0)).sum(), total**2))
    agreement = float(ratio(diagonal.sum(), total))
    trials = {"accuracy": total, "precision": tp + fp, "recall": tp + fn}
    return {
        "count": int(total),
        "classes": list(CLASSES),
        "matrix": matrix.tolist(),
        **found,
        "binomial_error": {k: float(np.sqrt(ratio(found[k] * (1 - found[k]), n))) for k, n in trials.items()},
        "accuracy_three_classes": agreement,
        "kappa": (agreement - chance) / (1 - chance) if chance < 1 else float("nan"),
        "recall_of_class": dict(zip(CLASSES, ratio(diagonal, matrix.sum(axis=1)).tolist())),
        "precision_of_class": dict(zip(CLASSES, ratio(diagonal, matrix.sum(axis=0)).tolist())),
    }


# ----------------------------------------------------------------------------------------- error budget


@dataclass(frozen=True)
class Strengths:
    """Fluxes of the four lines by name and equivalent width of Halpha [Angstrom], on which a class rests."""

    fluxes: Mapping[str, Float[np.ndarray, " gal"]]
    width: Float[np.ndarray, " gal"]


def probabilities(
    basis: Strengths, settings: Classify, reading: str, seed: int
) -> Float[np.ndarray, "gal class"]:
    """Probability of every class with fluxes and width perturbed by the error budget; NaN where no class is known.

    reading `additive`: width + N(0, ew_error); `multiplicative`: width x N(1, ew_error). The wording of
    the paper allows both.
    """
    rng, budget = np.random.default_rng(seed), dict(zip(LINES, settings.line_errors))
    tally = np.zeros((len(basis.width), len(CLASSES)))
    for _ in range(settings.draws):
        fluxes = {
            name: flux * (1 + budget[name] * rng.standard_normal(len(flux)))
            for name, flux in basis.fluxes.items()
        }
        spread = settings.ew_error * rng.standard_normal(len(basis.width))
        width = basis.width + spread if reading == "additive" else basis.width * (1 + spread)
        found, _ = classify(fluxes, width, settings.ew_min)
        known = found != UNKNOWN
        tally[np.flatnonzero(known), found[known]] += 1
    total = tally.sum(axis=1, keepdims=True)
    return np.where(total > 0, tally / np.maximum(total, 1), np.nan)


def experiments(
    actual: Float[np.ndarray, "gal class"],
    predicted: Float[np.ndarray, "gal class"],
    settings: Classify,
    seed: int,
) -> dict[str, Float[np.ndarray, " draw"]]:
    """Scores of the active class over draws of all labels, each by its own probabilities."""
    rng = np.random.default_rng(seed)
    use = np.isfinite(actual).all(axis=1) & np.isfinite(predicted).all(axis=1)
    chances = [p[use, ACTIVE] for p in (actual, predicted)]
    blocks = []
    for start in range(0, settings.experiments, _BLOCK):
        shape = min(_BLOCK, settings.experiments - start), int(use.sum())
        true, said = (rng.random(shape) < chance for chance in chances)
        blocks.append(scores(*outcomes(true, said)))
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def error_budget(actual: Strengths, predicted: Strengths, settings: Classify) -> dict[str, dict]:
    """For both readings and every score: mean and standard deviation over draws of the labels.

    Independent errors of the labels lower the mean below the scores of the unperturbed labels; the paper quotes the
    unperturbed scores with the standard deviation of the draws.
    """
    result = {}
    for reading in ("additive", "multiplicative"):
        chances = [
            probabilities(basis, settings, reading, settings.seed + k)
            for k, basis in enumerate((actual, predicted))
        ]
        drawn = experiments(*chances, settings, settings.seed + 2)
        result[reading] = {name: moments(values) for name, values in drawn.items()}
    return result


def moments(values: Float[np.ndarray, " draw"]) -> dict[str, float]:
    """Mean and standard deviation over the draws where a score is defined, and the number of draws where it is not."""
    known = values[np.isfinite(values)]
    return {
        "mean": float(np.mean(known)) if len(known) else float("nan"),
        "std": float(np.std(known, ddof=1)) if len(known) > 1 else float("nan"),
        "undefined": int(len(values) - len(known)),
    }
