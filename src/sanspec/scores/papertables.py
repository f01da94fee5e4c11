"""Tables 1 and 2 of Doorenbos et al. 2024 from our own products, as frames and as LaTeX."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from sanspec.physics.lines import INDICES, Band, Index
from sanspec.products.members import PREDICTORS

TABLES = {
    "table1": "definitions of the indices",
    "table2": "confusion matrix of passive, star-forming, active",
    "table_budget": "scores of the active class under the error budget of the lines",
    "table_predictors": "indices and active galaxies by predictor, with the baselines",
}
PAPER_SCORES = {
    "accuracy": (0.818, 0.011),
    "precision": (0.725, 0.016),
    "recall": (0.736, 0.018),
}  # section 5.7
ACTIVE = ("count", "unknown", "accuracy", "precision", "recall", "balanced_accuracy", "mcc")
PAPER_MATRIX = ((359, 33, 72), (23, 448, 68), (45, 88, 370))  # Doorenbos et al. 2024, table 2


def index_definitions(lick: Iterable[Index]) -> pd.DataFrame:
    """Table 1, of the breaks and the Lick indices given: windows [Angstrom, air], unit, reference."""

    def written(band: Band | None) -> str:
        return "" if band is None else f"{band[0]:.3f}-{band[1]:.3f}"

    rows = [
        {
            "index": index.name,
            "blue": written(index.blue),
            "feature": written(index.feature),
            "red": written(index.red),
            "unit": index.unit or "ratio of F_nu",
            "reference": index.source,
            "frame": "air",
        }
        for index in (*INDICES.values(), *lick)
    ]
    return pd.DataFrame(rows)


def confusion(found: Mapping) -> pd.DataFrame:
    """Table 2: galaxies by actual (row) and predicted class, with sums; of `confusion` in classes.json."""
    matrix, names = np.array(found["matrix"]), list(found["classes"])
    whole = np.vstack(
        [np.column_stack([matrix, matrix.sum(axis=1)]), np.append(matrix.sum(axis=0), matrix.sum())]
    )
    table = pd.DataFrame(whole, columns=[*names, "sum"])
    table.insert(0, "actual", [*names, "sum"])
    return table


def budget(found: Mapping) -> pd.DataFrame:
    """Scores of the active class: of the labels as they are, and over draws of the labels; of classes.json.

    One row a reading of the budget and score: `nominal`, `mean` and `std` of the draws, the paper's value and
    deviation.
    """
    drawn, rows = found["error_budget"], []
    for reading in ("additive", "multiplicative"):
        for name, of_draws in drawn[reading].items():
            paper, spread = PAPER_SCORES.get(name, (np.nan, np.nan))
            rows.append(
                {
                    "reading": reading,
                    "score": name,
                    "nominal": found["confusion"][name],
                    **of_draws,
                    "paper": paper,
                    "paper_std": spread,
                }
            )
    table = pd.DataFrame(rows)
    return table.astype(dict.fromkeys(table.columns[2:], float))


def predictors(compared: Mapping, agn: Mapping) -> pd.DataFrame:
    """Coefficients of the indices and scores of the active class, one row per predictor; NaN where it has none.

    compared: of the stage `compare`; agn: of the stage `agn`, whose two methods predict no spectrum. The last row is
    that of calling no galaxy active.
    """
    first = compared["predicted"]
    active = first["active"]
    labels = {name: how.label for name, how in PREDICTORS.items() if how.indices} | {
        "svm": "support vectors, photometry",
        "image_classifier": "image classifier",
        "never": "never active",
    }
    never = {"count": active["count"], "unknown": 0, "accuracy": active["never"], "recall": 0.0}
    rows = []
    for name, label in labels.items():
        found = compared.get(name, {})
        scores = found.get("active") or agn.get(name) or never | {"balanced_accuracy": 0.5}
        rhos = {
            f"rho_{key}": found.get("indices", {}).get(key, {}).get("pearson") for key in first["indices"]
        }
        rows.append({"predictor": label} | rhos | {f"agn_{key}": scores.get(key) for key in ACTIVE})
    table = pd.DataFrame(rows)
    return table.astype(dict.fromkeys(table.columns[1:], float))


def latex(table: pd.DataFrame, caption: str) -> str:
    """A table in LaTeX, without any package: columns of text left, of numbers right."""

    def row(values: Iterable) -> str:
        return " & ".join(escaped(str(value)) for value in values) + r" \\"

    def escaped(text: str) -> str:
        return text.replace("_", r"\_").replace("&", r"\&").replace("%", r"\%")

    shape = "".join("r" if is_numeric_dtype(kind) else "l" for kind in table.dtypes)
    lines = [
        r"\begin{table}",
        rf"\caption{{{escaped(caption)}}}",
        rf"\begin{{tabular}}{{{shape}}}",
        r"\hline",
    ]
    lines += [row(table.columns), r"\hline", *map(row, plain(table).itertuples(index=False)), r"\hline"]
    return "\n".join([*lines, r"\end{tabular}", r"\end{table}"]) + "\n"


def aligned(table: pd.DataFrame, caption: str) -> str:
    """A table as plain text."""
    return f"{caption}\n\n{plain(table).to_string(index=False)}\n"


def plain(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its floating numbers as text: three decimals, none where all are whole, a dash for NaN."""
    result = table.copy()
    for name, values in table.select_dtypes("floating").items():
        decimals = 0 if (values.dropna() % 1 == 0).all() else 3
        result[name] = [f"{value:.{decimals}f}" if np.isfinite(value) else "-" for value in values]
    return result
