"""Scores of the cascade of a finished run: fine draws given the true and given generated coarse spectra.

    python benchmarks/cascade.py --numbers results/main/tables/validation.json
        --records results/main/nets/diff_coarse.json results/main/nets/diff_fine.json
        --config results/main/config.yaml [--out benchmarks/cascade.json]

The numbers are those of `sanspec validate`: test split, natural log flux, observed frame. The truth is never used to
choose a draw, and only used to draw where a name says `from_true` (true coarse spectrum and redshift).
"""

import argparse
import json
from pathlib import Path

from measuring import made

from sanspec import config, store

LIMITS = {  # required range of each score, without calibration
    "spread_skill_fine_from_true": (0.9, 1.1),
    "hf_power_fine_from_true": (0.85, 1.15),
    "coverage_coarse": (0.58, 0.78),
    "coverage_fine": (0.58, 0.78),
}


def main() -> None:
    """Read, compare with the limits, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--numbers", type=Path, required=True)
    parser.add_argument("--records", type=Path, nargs="+", required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    settings, numbers = config.load(args.config), store.read_json(args.numbers)["numbers"]
    trained = {record["network"]: record for record in map(store.read_json, args.records)}
    result = {
        "what": "draws of the cascade as predictive distributions, test and validation split",
        "reached": {name: low <= numbers[name] <= high for name, (low, high) in LIMITS.items()},
        "limits": LIMITS,
        "numbers": numbers,
        "networks": {
            name: {key: record[key] for key in ("parameters", "best_step", "seconds_training", "weights")}
            for name, record in trained.items()
        },
        "generate": settings.generate.model_dump(mode="json"),
        "simulated": settings.survey.simulated,
    } | made()
    text = json.dumps(result, indent=1)
    args.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
