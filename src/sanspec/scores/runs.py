"""Named runs side by side: what each changes in the settings, its scores, and ratios to the run main."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sanspec.errors import SanspecError
from sanspec.scores import metrics

MAIN = "main"
SCORES = (  # numbers of summary.json
    *("crps_coarse", "spread_skill_coarse", "coverage_coarse", "hf_power_coarse", "mse_mean_coarse"),
    *("crps_fine", "spread_skill_fine", "coverage_fine", "hf_power_fine", "mse_mean_fine"),
    *("retrieval_top1_coarse", "retrieval_top5_coarse", "rho_h_alpha_predicted"),
    *("mse_predicted", "sigma_mad", "rho_dn4000"),
)
PAIRED = ("crps_coarse", "mse_mean_coarse", "crps_fine", "mse_mean_fine")  # columns of validation.ecsv


def table(
    settings: Mapping[str, dict], summaries: Mapping[str, dict], galaxies: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """One row a run, main first: `changed` settings, scores, `<score>_ratio` to main and its error by paired
    bootstrap over test galaxies (NaN where the test galaxies differ). A ratio knows nothing of the luck of a
    training.

    settings: the resolved sections of each run. Raises SanspecError without a run main.
    """
    if MAIN not in settings:
        raise SanspecError(f"runs: no run {MAIN!r} among {', '.join(settings)}: give its files too")
    rows = []
    for run in sorted(settings, key=lambda name: name != MAIN):
        row = {"run": run, "changed": ", ".join(changes(settings[MAIN], settings[run]))}
        row |= {name: summaries[run].get(name, np.nan) for name in SCORES}
        rows.append(row | ratios(galaxies[run], galaxies[MAIN]))
    return pd.DataFrame(rows)


def changes(main: dict, other: dict, above: str = "") -> list[str]:
    """`section.key=value` of every setting in which a run differs from main."""
    found = []
    for key in sorted(main.keys() | other.keys()):
        one, two = main.get(key), other.get(key)
        if isinstance(one, dict) and isinstance(two, dict):
            found += changes(one, two, f"{above}{key}.")
        elif one != two:
            found.append(f"{above}{key}={two}")
    return found


def ratios(run: pd.DataFrame, main: pd.DataFrame) -> dict[str, float]:
    """Ratios of mean scores over the galaxies that both have, with errors; NaN where their ids differ."""
    found = {}
    pair = run.merge(main, on="specobjid", suffixes=("", "_of_main"), validate="one_to_one")
    for name in PAIRED:
        one, two = pair[name].to_numpy(), pair[f"{name}_of_main"].to_numpy()
        use = np.isfinite(one) & np.isfinite(two)
        same = len(pair) == len(run) == len(main) and use.any()
        found[f"{name}_ratio"] = metrics.ratio_of_means(one[use], two[use]) if same else np.nan
        found[f"{name}_ratio_error"] = (
            metrics.bootstrap(metrics.ratio_of_means, one[use], two[use]) if same else np.nan
        )
    return found


def text(rows: pd.DataFrame) -> str:
    """The table for reading: one block of columns a run, ratios with their errors."""
    head = ["run", "changed", *(f"{name} / main" for name in PAIRED), "spread/skill", "HF power", "top 5"]
    lines = [head]
    for row in rows.to_dict("records"):
        pairs = [f"{row[f'{name}_ratio']:.3f} ± {row[f'{name}_ratio_error']:.3f}" for name in PAIRED]
        single = ("spread_skill_coarse", "hf_power_coarse", "retrieval_top5_coarse")
        lines.append([row["run"], row["changed"] or "-", *pairs, *(f"{row[name]:.3f}" for name in single)])
    widths = [max(len(line[place]) for line in lines) for place in range(len(head))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
