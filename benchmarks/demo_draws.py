"""The demo's draws before and after a change of the networks: paired CRPS and errors on the same galaxies.

    python benchmarks/demo_draws.py --sky NAME SPECTRA BEFORE AFTER [--sky ...] --before COMMIT
        [--out benchmarks/demo_draws.json]

SPECTRA is a sky's prepared/spectra.h5, BEFORE and AFTER two generated/predicted.h5 of its test split. The demo
measures 402 galaxies; a second sky that no network has seen (`mock: {galaxies: 2400, seed: 77}`, `prepare:
{test: 0.9}`; `sanspec mock`, `match`, `prepare`, then `generate` with the demo's networks) narrows the errors, and a
third (seed 1078, coarse draws alone: `generate: {keep: 1, fine_draws: 1, spread: false}`) was not looked at while
settings were chosen. To make BEFORE, train and generate at that commit from the same prepared files. Scores are
those of `sanspec validate`: natural log flux, observed frame, unselected draws; a ratio is after over before (below 1:
better), with its error by bootstrap over galaxies, which does not include the scatter between trainings.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from measuring import COLUMNS, made

from sanspec import store
from sanspec.products import samples
from sanspec.scores import ensembles, metrics

SCORES = ("crps", "mse_mean", "mse_single")


def kinds(path: Path) -> list[str]:
    """Kinds of draws to compare: fine ones only if some are unselected (`generate.spread`)."""
    with store.arrays(path) as file:
        return ["coarse"] if file["selected"][0].all() else list(COLUMNS)


def draws(path: Path, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """specobjid, and unselected draws (gal, draw, pix) of natural log flux."""
    with store.arrays(path) as file:
        pool = np.flatnonzero(~file["selected"][0])
        kept = slice(None) if kind == "coarse" else pool
        return file["specobjid"][:], file[f"draws_{kind}"][:, kept]


def compared(kind: str, spectra: Path, before: Path, after: Path) -> dict:
    """Scores of both, and the ratios of their means with errors."""
    (ids, old), (others, new) = draws(before, kind), draws(after, kind)
    if not np.array_equal(ids, others):
        raise SystemExit(f"{before} and {after} hold other galaxies: generate both from the same spectra")
    with store.arrays(spectra) as file:
        rows = samples.split_rows(file, "test")
        rows = rows[samples.order(ids, file["specobjid"][:][rows], spectra)]
        truth, mask = (samples.take(file[name], rows) for name in COLUMNS[kind])
    found = {name: ensembles.scores(each, truth, mask) for name, each in (("before", old), ("after", new))}
    result = {name: ensembles.summary(each, old.shape[1]) for name, each in found.items()}
    for score in SCORES:
        pair = found["after"][score], found["before"][score]
        result[f"{score}_ratio"] = metrics.ratio_of_means(*pair)
        result[f"{score}_ratio_error"] = metrics.bootstrap(metrics.ratio_of_means, *pair)
    return result | {"galaxies": len(ids), "draws": [old.shape[1], new.shape[1]]}


def main() -> None:
    """Compare, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sky", nargs=4, action="append", required=True)
    parser.add_argument("--before", required=True, help="commit that BEFORE was made at")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    result = {
        "what": "the demo's draws, networks of this version (after) against an earlier one (before)",
        "before": args.before,
        "skies": {
            name: {kind: compared(kind, *map(Path, files)) for kind in kinds(Path(files[-1]))}
            for name, *files in args.sky
        },
        "simulated": True,
    } | made()
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
