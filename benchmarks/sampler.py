"""The default sampler against DDPM with 250 steps on the same trained network: time, CRPS, error of the mean.

    python benchmarks/sampler.py --config FILE --nets FOLDER --spectra FILE --images FILE
        [--network diff_coarse] [--galaxies 512] [--draws 8] [--keep FILE] [--reuse FILE]
        [--out benchmarks/sampler.json]

The galaxies are those of the test and the validation split. The two samplers take turns, block by block of eight
galaxies, in one process on one thread; because the machine may be shared, the speed ratio is that of processor time,
and that of wall time is added. A ratio of scores is ours over DDPM-250's (below 1: ours is better), with its error by
paired bootstrap over galaxies. Spectra are natural log flux; HF power is the mean square difference of
neighbouring pixels over that of the true spectra.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from measuring import galaxies, made
from tqdm import tqdm

from sanspec import config, store
from sanspec.config import Sampler
from sanspec.nets import build, data, validation
from sanspec.products import samples
from sanspec.scores import ensembles, metrics

BLOCK = 8  # galaxies per turn
TIMED = 64  # galaxies on which both are timed if the draws of DDPM-250 are reused
ANCESTRAL = Sampler(method="ddpm", evaluations=250, schedule="cosine")


def read(args, crop: int) -> data.Galaxies:
    """`args.galaxies` galaxies of the test and validation splits, evenly spread."""
    with store.arrays(args.spectra) as file:
        rows = np.sort(np.concatenate([samples.split_rows(file, split) for split in ("test", "valid")]))
    rows = rows[np.linspace(0, len(rows) - 1, min(args.galaxies, len(rows))).round().astype(int)]
    return galaxies(args.spectra, args.images, rows, crop)


def race(
    model, samplers: dict[str, Sampler], galaxies: data.Galaxies, draws: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Draws (gal, draw, pix) of every sampler, and its seconds of processor and of wall time."""
    drawn, seconds = ({name: [] for name in samplers} for _ in range(2))
    for number, rows in enumerate(tqdm(torch.arange(len(galaxies)).split(BLOCK), mininterval=5.0)):
        some = galaxies.take(rows)
        for name in sorted(samplers, reverse=bool(number % 2)):  # the first of a turn changes
            begin = time.process_time(), time.perf_counter()
            drawn[name].append(validation.drawn(model, samplers[name], some, draws, "race"))
            seconds[name].append((time.process_time() - begin[0], time.perf_counter() - begin[1]))
    return {name: np.concatenate(parts) for name, parts in drawn.items()}, {
        name: np.sum(parts, axis=0) for name, parts in seconds.items()
    }


def continued(
    model, samplers: dict[str, Sampler], galaxies: data.Galaxies, args
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The race on the first galaxies; on the rest our draws alone, compared with earlier draws of DDPM-250.

    Raises SystemExit if the earlier draws are not those that DDPM-250 makes now.
    """
    kept = np.load(args.reuse)["ddpm250"]
    rows = torch.arange(len(galaxies))
    drawn, seconds = race(model, samplers, galaxies.take(rows[:TIMED]), args.draws)
    if kept.shape[0] != len(galaxies) or not np.allclose(kept[:TIMED], drawn["ddpm250"], atol=1e-3):
        raise SystemExit(f"{args.reuse} holds other draws: of another network, other galaxies or draws")
    ours = validation.drawn(model, samplers["default"], galaxies.take(rows[TIMED:]), args.draws, "race")
    return {"default": np.concatenate([drawn["default"], ours]), "ddpm250": kept}, seconds


def compared(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """Ratio of two means over the same galaxies, its error, and its lower limit at 95 % confidence."""
    ratio, error = (
        metrics.ratio_of_means(ours, theirs),
        metrics.bootstrap(metrics.ratio_of_means, ours, theirs),
    )
    return {"ratio": ratio, "error": error, "ratio_less_1.64_errors": ratio - 1.64 * error}


def report(args, settings: config.Config, found: dict, seconds: dict) -> dict:
    """The record."""
    speed = {name: dict(zip(("processor", "wall"), map(float, parts))) for name, parts in seconds.items()}
    mse, crps = (compared(found["default"][name], found["ddpm250"][name]) for name in ("mse_mean", "crps"))
    return {
        "what": "default sampler against DDPM-250 on the same trained network",
        "speed_ratio": speed["ddpm250"]["processor"] / speed["default"]["processor"],
        "speed_ratio_wall": speed["ddpm250"]["wall"] / speed["default"]["wall"],
        "mse_ratio": mse["ratio"],
        "mse_ratio_error": mse["error"],
        "crps_ratio": crps["ratio"],
        "crps_ratio_error": crps["error"],
        "compared": {"mse_mean": mse, "crps": crps},
        **{name: ensembles.summary(scores, args.draws) for name, scores in found.items()},
        "seconds": speed,
        "samplers": {
            "default": getattr(settings.generate, args.network.removeprefix("diff_")).model_dump(),
            "ddpm250": ANCESTRAL.model_dump(),
        },
        "network": args.network,
        "weights": store.digest(args.nets / f"{args.network}.safetensors"),
        "galaxies": len(found["default"]["crps"]),
        "galaxies_timed": len(found["default"]["crps"]) if args.reuse is None else TIMED,
        "draws": args.draws,
        "simulated": settings.survey.simulated,
        "timing": "both samplers in turn, block by block, one thread; ratio of processor time (shared machine)",
    } | made()


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("config", "nets", "spectra", "images"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--network", choices=("diff_coarse", "diff_fine"), default="diff_coarse")
    parser.add_argument("--galaxies", type=int, default=512)
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument(
        "--reuse", type=Path, help="draws of DDPM-250 from such a file; both timed on 64 galaxies"
    )
    parser.add_argument("--keep", type=Path, help="file for the draws of both (.npz)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    settings = config.load(args.config)
    model, _ = build.load(args.nets / f"{args.network}.safetensors", args.network, settings.train)
    sample, which = read(args, settings.train.crop), args.network.removeprefix("diff_")
    samplers = {"default": getattr(settings.generate, which), "ddpm250": ANCESTRAL}
    if args.reuse is None:
        drawn, seconds = race(model, samplers, sample, args.draws)
    else:
        drawn, seconds = continued(model, samplers, sample, args)
    if args.keep is not None:
        np.savez(args.keep, **drawn)
    truth, mask = getattr(sample, which).float().numpy(), getattr(sample, f"{which}_mask").numpy()
    found = {name: ensembles.scores(values, truth, mask) for name, values in drawn.items()}
    text = json.dumps(report(args, settings, found, seconds), indent=1)
    args.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
