"""Effect of each correction and improvement between the paper's recipe and ours, from short trainings.

    python benchmarks/ablation.py --spectra FILE --images FILE --statistics FILE
        [--config config/ablation.yaml] [--steps 150] [--galaxies 96] [--draws 4] [--out benchmarks/ablation.json]

Every named run of the configuration is compared with `main`. The networks whose settings it changes are trained for
`--steps` steps on the training split, from the same seed, on the same batches, and scored on validation galaxies. The
record is rewritten after each run. A ratio of CRPS is the run's over main's (above 1: the run, which lacks the
improvement, is worse), with its error by paired bootstrap over galaxies. The error does not include the scatter between
trainings. Below about a thousand steps the table shows which recipe learns faster at first, not which is better.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import yaml
from measuring import galaxies, made
from tqdm import tqdm

from sanspec import config, store
from sanspec.config import Config, base
from sanspec.nets import build, data, loop, validation
from sanspec.nets.data import seed_of
from sanspec.products import samples
from sanspec.scores import ensembles, metrics
from sanspec.spectra import grid
from sanspec.stages.train import read_layout

ROOT = Path(__file__).resolve().parents[1]
CAUTION = (
    "one short training each: ratios within a few per cent of 1 are noise; main's hf_power shows how close to "
    "convergence the networks are (1: converged); far from it, a ratio shows which recipe learns faster at first, "
    "not which is better in the end"
)
JUDGED = ("diff_coarse", "diff_fine", "clip_coarse")


def read(args, split: str, limit: int | None = None) -> data.Galaxies:
    """Galaxies of a split."""
    with store.arrays(args.spectra) as file:
        rows = samples.split_rows(file, split, limit)
    return galaxies(args.spectra, args.images, rows, 4)


def shortened(settings: dict, steps: int) -> dict:
    """Settings with all trainings shortened to `steps`."""
    short = {name: {"steps": steps, "warmup": min(50, steps // 5)} for name in JUDGED}
    return base.merge(settings, {"train": short | {"valid_every": 10**6}})


def trained(name: str, settings: Config, layout: build.Layout, train: data.Galaxies, valid: data.Galaxies):
    """A network after its short training."""
    torch.manual_seed(seed_of(settings.train.seed, name, "weights"))
    model = build.build(name, settings.train, layout)
    with torch.inference_mode():
        model.fit(train)
    return loop.Trainer(name, model, settings.train, train, valid, {}).run().eval()


def judged(name: str, model, settings: Config, valid: data.Galaxies, draws: int) -> tuple[dict, np.ndarray]:
    """Scores of a network on the validation galaxies, and the CRPS of each, which is compared in pairs."""
    if name == "clip_coarse":
        with torch.inference_mode():
            found = model.validate([valid])
        return {key: found[key] for key in ("top1", "top5")}, np.full(len(valid), np.nan)
    which = name.removeprefix("diff_")
    truth, mask = getattr(valid, which).float().numpy(), getattr(valid, f"{which}_mask").numpy()
    drawn = validation.drawn(model, getattr(settings.generate, which), valid, draws, "ablation")
    found = ensembles.scores(drawn, truth, mask)
    summary = ensembles.summary(found, draws)
    if which == "coarse":
        wave, limits = np.array(grid.coarse_wave()), (settings.match.z_min, settings.match.z_max)
        one, two = (np.arcsinh(ensembles.h_alpha_width(x, wave, limits) / 5) for x in (drawn[:, 0], truth))
        summary["rho_h_alpha"] = metrics.correlation(one, two)["pearson"]
    return summary, found["crps"]


def asked(settings: Config, main: Config) -> list[str]:
    """Networks that a run must train or sample again."""
    names = []
    for name in JUDGED:
        own = getattr(settings.train, name) != getattr(main.train, name)
        shared = settings.train.symmetries != main.train.symmetries and name == "diff_coarse"
        sampler = name.removeprefix("diff_")
        other = name.startswith("diff") and getattr(settings.generate, sampler) != getattr(
            main.generate, sampler
        )
        if own or shared or other:
            names.append(name)
    return names


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("spectra", "images", "statistics"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=ROOT / "config" / "ablation.yaml")
    parser.add_argument("--only", nargs="*", help="only these runs")
    for name, value in (("steps", 150), ("galaxies", 96), ("draws", 4)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    runs = config.resolve(shortened(yaml.safe_load(args.config.read_text()), args.steps))
    named = set(runs)
    runs = {name: run for name, run in runs.items() if name == "main" or not args.only or name in args.only}
    begin = time.process_time()
    for rows in compare(args, runs):
        result = {
            "what": "each improvement between the paper's recipe and ours undone; ratio = run / main",
            "runs": rows,
            "not_run": sorted(named - rows.keys()),
            "steps": args.steps,
            "galaxies": args.galaxies,
            "draws": args.draws,
            "simulated": runs["main"].survey.simulated,
            "caution": CAUTION,
            "seconds_processor": time.process_time() - begin,
        }
        args.out.write_text(json.dumps(result | made(), indent=1) + "\n")


def compare(args, runs: dict[str, Config]) -> Iterator[dict]:
    """Scores of every run's networks and ratios to those of main, yielded after every run with all so far."""
    layout = read_layout(args.spectra, args.images, args.statistics)
    whole, rows = {"main": list(JUDGED)}, {}
    train, valid = read(args, "train"), read(args, "valid", args.galaxies)
    whole |= {name: asked(run, runs["main"]) for name, run in runs.items() if name != "main"}
    models, reference = {}, {}
    for run, names in tqdm(whole.items(), mininterval=5.0):
        for name in names:
            key = runs[run].train.model_dump_json(include={name, "symmetries"})
            if key not in models:
                models[key] = trained(name, runs[run], layout, train, valid)
            scores, crps = judged(name, models[key], runs[run], valid, args.draws)
            reference.setdefault(name, crps)
            if run != "main" and np.isfinite(crps).all():
                scores["crps_ratio"] = metrics.ratio_of_means(crps, reference[name])
                scores["crps_ratio_error"] = metrics.bootstrap(metrics.ratio_of_means, crps, reference[name])
            rows.setdefault(run, {})[name] = scores
            tqdm.write(f"{run:22s} {name:12s} {scores}")
        yield rows


if __name__ == "__main__":
    main()
