"""Identify active galaxies without a spectrum: a support vector machine on photometry, a network on images."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from sanspec import config, options, store
from sanspec.classes import diagnostics, labels, photometric, spectralclass
from sanspec.products import samples
from sanspec.scores.numbers import Number, record

log = logging.getLogger(__name__)

FILES = options.files(
    "config images statistics objects classes",
    training="tables/training_lines.parquet: lines of observed training spectra",
    out="table to write (.ecsv)",
    summary="scores to write (.json)",
)
MIN_GALAXIES = 20  # active or other training galaxies, below which nothing is trained
METHODS = {
    "svm": "a support vector machine on photometry",
    "image_classifier": "a network trained to classify images",
}
PAPER = {("svm", "accuracy"): "0.76 (Cavuoti et al. 2014)"}


def run(args) -> None:
    """Train both on the classes of training spectra, apply them to the test galaxies, score, write."""
    settings = config.load(args.config)
    table, classes = store.read_table(args.objects), store.read_table(args.classes)
    table = table.set_index(samples.ids(table))
    train, active = labelled(args.training, table, settings)
    test = samples.ids(classes)
    result = pd.DataFrame({"specobjid": test, "class_observed": classes["class_observed"]})
    about: dict = {}
    if min(active.sum(), (~active).sum()) >= MIN_GALAXIES:
        known, asked = (photometric.photometry(table.loc[ids]) for ids in (train, test))
        z = table.loc[train, "z"].to_numpy(float)
        found = photometric.predict_active(known, z, active, asked, settings.agn.seed)
        result["active_svm"], about = found
        result["active_image_classifier"] = by_image(args, train, active, test, settings)
    else:
        log.warning("%d of %d training galaxies are active: too few to train on", active.sum(), len(active))
        result[[f"active_{name}" for name in METHODS]] = np.nan
    store.write_table(args.out, result, meta=store.provenance("agn", settings.agn.model_dump(mode="json")))
    found = {name: score(result, name) for name in METHODS}
    numbers = [
        Number(
            f"agn_{name}_{key}",
            found[name][key],
            f"baseline, {method}: {text}",
            paper=PAPER.get((name, key), ""),
        )
        for name, method in METHODS.items()
        for key, (text, _) in spectralclass.ACTIVE_SCORES.items()
        if key not in ("f1", "mcc")
    ]
    sizes = {"training": {"count": len(train), "active": int(active.sum())}}
    store.write_json(args.summary, record(numbers) | sizes | {"photometry": about} | found)
    for name in METHODS:
        log.info(
            "%s: AGN accuracy %.3f (never active: %.3f)", name, found[name]["accuracy"], found[name]["never"]
        )


def labelled(path: Path, objects: pd.DataFrame, settings: config.Config) -> tuple[np.ndarray, np.ndarray]:
    """Training galaxies whose class is known and photometry complete, and whether they are active."""
    rows = spectralclass.of_kind(store.read_table(path), "observed")
    basis = spectralclass.strengths(rows)
    found, _ = diagnostics.classify(basis.fluxes, basis.width, settings.classify.ew_min)
    complete = np.isfinite(photometric.photometry(objects.loc[rows.index])).all(axis=1)
    use = (found != diagnostics.UNKNOWN) & complete
    return rows.index.to_numpy(np.uint64)[use], found[use] == diagnostics.ACTIVE


def by_image(
    args, train: np.ndarray, active: np.ndarray, test: np.ndarray, settings: config.Config
) -> np.ndarray:
    """Whether each test galaxy is active by its image; imports torch, which photometry does not need."""
    import torch

    from sanspec.nets import classifier, data

    statistics = store.read_json(args.statistics)
    with store.arrays(args.images) as file:
        stored = file["specobjid"][:]
        groups = []
        for ids in (train, test):
            places = samples.order(ids, stored, args.images)
            ascending = np.argsort(places)
            stamps = np.empty((len(ids), *file["images"].shape[1:]), np.float16)
            stamps[ascending] = samples.take(file["images"], places[ascending])
            groups.append(data.galaxies(ids, stamps, settings.train.crop))
    model = classifier.fit(groups[0], torch.from_numpy(active), statistics, settings.agn, settings.train)
    return (model.probability(groups[1]) > 0.5).numpy().astype(float)


def score(table: pd.DataFrame, method: str) -> dict:
    """Scores of the active class on the test galaxies whose observed class is known."""
    predicted, actual = table[f"active_{method}"].to_numpy(float), table["class_observed"].to_numpy()
    use = np.isfinite(predicted) & (actual != diagnostics.UNKNOWN)
    counts = labels.outcomes(actual[use] == diagnostics.ACTIVE, predicted[use] > 0.5)
    found = {name: float(value) for name, value in labels.scores(*counts).items()}
    return {"count": int(use.sum()), **dict(zip(("tp", "fp", "fn", "tn"), map(int, counts))), **found}
