"""Learning curves of the networks: training loss and validation metric against the step."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sanspec.config import NETWORKS, Config
from sanspec.errors import SanspecError
from sanspec.figures import style
from sanspec.store import read_json

INPUTS = ("records*",)

TITLES = {
    "diff_coarse": "coarse diffusion",
    "clip_coarse": "coarse contrastive",
    "diff_fine": "fine diffusion",
    "clip_fine": "fine contrastive",
    "regressor": "regression baseline",
}
METRICS = {"loss": "validation loss", "mse_log": "validation MSE of log flux"}
TRAINING, VALIDATION = "#0072B2", "#D55E00"


def draw(inputs: Mapping[str, Sequence[Path]], settings: Config) -> tuple[Figure, dict]:
    """One panel for each network, and a table of their sizes and times."""
    records = {record["network"]: record for record in map(read_json, inputs["records"])}
    if set(records) != set(NETWORKS) or len(inputs["records"]) != len(NETWORKS):
        raise SanspecError(
            f"figure learning: records of {sorted(records)}; one of each is needed: {NETWORKS}"
        )
    figure = style.canvas(style.PAGE, 3.9)
    panels = figure.subplots(2, 3).ravel()
    for axes, network in zip(panels, NETWORKS):
        curves(axes, TITLES[network], records[network])
    board(panels[5], records)
    numbers = {network: facts(records[network]) for network in NETWORKS}
    return figure, {"n": min(record["galaxies"] for record in records.values()), "networks": numbers}


def curves(axes: Axes, title: str, record: Mapping) -> None:
    """Training loss and validation metric; the latter on a scale of its own where it is another quantity."""
    metric = metric_of(record)
    axes.plot(record["curve"]["step"], record["curve"]["loss"], color=TRAINING, lw=0.7, label="training loss")
    axes.set(title=title, xlabel="step")
    scale = axes
    if metric != "loss":
        scale = axes.twinx()
        axes.tick_params(which="both", right=False)
        scale.tick_params(which="both", colors=VALIDATION)
    steps = [point["step"] for point in record["valid"]]
    scale.plot(steps, [point[metric] for point in record["valid"]], ".-", color=VALIDATION, lw=0.9, ms=3.5)
    scale.plot(record["best_step"], record["best_value"], "*", color=VALIDATION, ms=8, mec="black", mew=0.4)
    for each in {axes, scale}:
        each.set_yscale("log")
        low, high = each.get_ylim()
        each.set_ylim(low, high * (high / low) ** 0.45)  # room for the key
        style.logarithmic(each.yaxis)
    axes.plot([], [], ".-", color=VALIDATION, label=METRICS.get(metric, f"validation {metric}"))
    kept = f"kept: step {record['best_step']}"
    axes.plot([], [], "*", color=VALIDATION, ms=7, mec="black", mew=0.4, label=kept)
    axes.legend(loc="upper right", borderpad=0.2, labelspacing=0.25, handlelength=1.5)


def metric_of(record: Mapping) -> str:
    """Name of the metric by which the weights were chosen. Raises SanspecError when none was taken."""
    if not record["valid"] or not record["curve"]["step"]:
        raise SanspecError(f"figure learning: the record of {record['network']} has no curve; train anew")
    names = [name for name in record["valid"][0] if name != "step"]
    return record.get("metric") or ("loss" if "loss" in names else names[0])


def facts(record: Mapping) -> dict:
    """What the JSON says of one network."""
    best = next((point for point in record["valid"] if point["step"] == record["best_step"]), {})
    return {
        "parameters": record["parameters"],
        "galaxies": record["galaxies"],
        "steps": record["step"],
        "best_step": record["best_step"],
        "metric": metric_of(record),
        "best": record["best_value"],
        "at_best": best,
        "last_training_loss": float(np.mean(record["curve"]["loss"][-10:])),
        "seconds": record["seconds"],
    }


def board(axes: Axes, records: Mapping[str, Mapping]) -> None:
    """Sizes and times as a table."""
    axes.axis("off")
    rows = [("network", "weights", "steps", "time")]
    rows += [
        (name, f"{record['parameters'] / 1e6:.2f} M", f"{record['step']}", f"{record['seconds']:.0f} s")
        for name, record in ((network, records[network]) for network in NETWORKS)
    ]
    total = sum(record["seconds"] for record in records.values())
    rows.append(("all", "", "", f"{total:.0f} s"))
    for k, row in enumerate(rows):
        for x, cell, side in zip((0.0, 0.58, 0.78, 1.0), row, ("left", "right", "right", "right")):
            axes.text(x, 0.92 - 0.125 * k, cell, ha=side, va="center", fontsize=7.5, transform=axes.transAxes)
    axes.plot([0, 1], [0.86, 0.86], color="black", lw=0.5, transform=axes.transAxes)
    axes.plot([0, 1], [0.235, 0.235], color="black", lw=0.5, transform=axes.transAxes)
