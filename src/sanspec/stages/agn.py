"""Tell active galaxies without a spectrum: a support vector machine on photometry, a network on images."""

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
LEAST = 20  # training galaxies of either kind, below which nothing is learnt
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
    if min(active.sum(), (~active).sum()) >= LEAST:
        result["active_svm"], about = by_photometry(table, train, active, test, settings.agn)
        result["active_image_classifier"] = by_image(args, train, active, test, settings)
    else:
        log.warning("%d of %d training galaxies are active: too few to learn from", active.sum(), len(active))
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
        log.info("%s: AGN accuracy %.3f (never: %.3f)", name, found[name]["accuracy"], found[name]["never"])


def labelled(path: Path, objects: pd.DataFrame, settings: config.Config) -> tuple[np.ndarray, np.ndarray]:
    """Training galaxies whose class is known and photometry complete, and whether they are active."""
    lines = store.read_table(path)
    rows = spectralclass.side(lines, "observed")
    basis = spectralclass.measured(rows)
    found, _ = diagnostics.classify(basis.fluxes, basis.width, settings.classify.ew_min)
    complete = photometric.photometry(objects.loc[rows.index]).complete
    use = (found != diagnostics.UNKNOWN) & complete
    return rows.index.to_numpy(np.uint64)[use], found[use] == diagnostics.ACTIVE


def by_photometry(
    objects: pd.DataFrame, train: np.ndarray, active: np.ndarray, test: np.ndarray, settings: config.Agn
) -> tuple[np.ndarray, dict]:
    """Whether each test galaxy is active by its photometry: 1, 0, NaN where that is incomplete; and how."""
    known, asked = (photometric.photometry(objects.loc[ids]) for ids in (train, test))
    z = objects.loc[train, "z"].to_numpy(float)
    use = asked.complete
    asked = photometric.Photometry(asked.values[use])
    features, wanted, scatter = photometric.with_redshifts(known, z, asked, settings)
    search = photometric.support_vectors(features, active, settings)
    result = np.full(len(test), np.nan)
    result[use] = search.predict(wanted)
    about = {
        "features": list(photometric.FEATURES),
        "chosen": {name.removeprefix("svm__"): value for name, value in search.best_params_.items()},
        "cross_validated_accuracy": float(search.best_score_),
        "photometric_redshift_scatter": scatter,
    }
    return result, about


def by_image(
    args, train: np.ndarray, active: np.ndarray, test: np.ndarray, settings: config.Config
) -> np.ndarray:
    """Whether each test galaxy is active by its image; torch is imported here, the photometry needs none."""
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
    said, actual = table[f"active_{method}"].to_numpy(float), table["class_observed"].to_numpy()
    use = np.isfinite(said) & (actual != diagnostics.UNKNOWN)
    said, true = said[use] > 0.5, actual[use] == diagnostics.ACTIVE
    sums = [int((a & b).sum()) for a, b in ((true, said), (~true, said), (true, ~said), (~true, ~said))]
    found = {name: float(value) for name, value in labels.scores(*sums).items()}
    return {"count": int(use.sum()), **dict(zip(("tp", "fp", "fn", "tn"), sums)), **found}
