"""Tables 1 and 2 of Doorenbos et al. 2024 from our own products, as frames and as LaTeX."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sanspec.features import lick
from sanspec.features.lines import INDICES, Band

TABLES = {
    "table1": "definitions of the indices",
    "table2": "confusion matrix of passive, star-forming, active",
}
PAPER_MATRIX = ((359, 33, 72), (23, 448, 68), (45, 88, 370))  # Doorenbos et al. 2024, table 2


def indices() -> pd.DataFrame:
    """Table 1, of all indices measured: windows [Angstrom, air], unit, reference."""
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
        for index in (*INDICES.values(), *lick.definitions().values())
    ]
    return pd.DataFrame(rows)


def written(band: Band | None) -> str:
    """A window as the paper prints it; empty for none."""
    return "" if band is None else f"{band[0]:.3f}-{band[1]:.3f}"


def confusion(found: Mapping) -> pd.DataFrame:
    """Table 2: galaxies by actual (row) and predicted class, with sums; of `confusion` in classes.json."""
    matrix, names = np.array(found["matrix"]), list(found["classes"])
    whole = np.vstack(
        [np.column_stack([matrix, matrix.sum(axis=1)]), np.append(matrix.sum(axis=0), matrix.sum())]
    )
    table = pd.DataFrame(whole, columns=[*names, "sum"])
    table.insert(0, "actual", [*names, "sum"])
    return table


def latex(table: pd.DataFrame, caption: str) -> str:
    """A table in LaTeX, without any package: columns of text left, of numbers right."""
    shape = "".join("l" if kind == "O" or kind == "U" else "r" for kind in map(kind_of, table.dtypes))
    lines = [
        r"\begin{table}",
        rf"\caption{{{escaped(caption)}}}",
        rf"\begin{{tabular}}{{{shape}}}",
        r"\hline",
    ]
    lines += [
        row(table.columns),
        r"\hline",
        *(row(values) for values in table.itertuples(index=False)),
        r"\hline",
    ]
    return "\n".join([*lines, r"\end{tabular}", r"\end{table}"]) + "\n"


def kind_of(dtype) -> str:
    """O for text, else the letter of a numpy type."""
    return "O" if not isinstance(dtype, np.dtype) else dtype.kind


def row(values: Sequence) -> str:
    """One line of a LaTeX table."""
    return " & ".join(escaped(str(value)) for value in values) + r" \\"


def escaped(text: str) -> str:
    """Text with LaTeX's own characters made harmless."""
    return text.replace("_", r"\_").replace("&", r"\&").replace("%", r"\%")


def aligned(table: pd.DataFrame, caption: str) -> str:
    """A table as plain text."""
    return f"{caption}\n\n{table.to_string(index=False)}\n"
