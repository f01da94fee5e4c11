"""A small, coherent set of products of a run, made without any stage, for tests of what reads them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from sanspec import store
from sanspec.config import NETWORKS
from sanspec.scores import metrics, summary
from sanspec.scores.numbers import Number, record
from sanspec.spectra.grid import coarse_wave

WAVE = np.arange(4000.0, 8500.0)
PREDICTORS = (
    "predicted",
    "predicted_mean",
    "predicted_medoid",
    "mean_spectrum",
    "nearest_image",
    "regression",
)
COUNT, TRAIN, VALID = 150, 80, 10


def spectrum(age: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Toy galaxies (gal, pix): break and red slope grow with age, emission lines fade with it."""
    rest = WAVE / (1 + z[:, None])
    age = age[:, None]
    flux = (rest / 6925.0) ** (-1.8 + 2.2 * age) * (1 - 0.45 * age / (1 + np.exp((rest - 4000) / 30)))
    for line, strength in ((4862.7, 0.3), (5008.2, 0.35), (6564.6, 1.2), (6585.3, 0.4), (3729.0, 0.8)):
        flux += strength * (1 - age) ** 2 * np.exp(-0.5 * ((rest - line) / 3.5) ** 2)
    for line, depth in ((5176.0, 0.15), (5893.0, 0.12), (3934.0, 0.4), (3969.0, 0.4)):
        flux *= 1 - depth * age * np.exp(-0.5 * ((rest - line) / 12) ** 2)
    window = (rest > 6900) & (rest < 6950)
    return flux / (np.where(window, flux, 0).sum(axis=1) / window.sum(axis=1))[:, None]


def make(
    folder: Path, seed: int = 0, count: int = COUNT, train: int = TRAIN, valid: int = VALID
) -> SimpleNamespace:
    """Write every product under `folder` and give their paths by key."""
    rng = np.random.default_rng(seed)
    sky = draw_sky(rng, count, train, valid)
    observed = spectrum(sky["age"].to_numpy(), sky["z"].to_numpy())
    noise = 0.03 * np.ones_like(observed)
    noisy = observed + noise * rng.normal(size=observed.shape)
    window = np.abs(WAVE / (1 + sky["z"].to_numpy()[:, None]) - 6925) <= 25
    noisy /= (np.where(window, noisy, 0).sum(1) / window.sum(1))[:, None]
    predictions, z_predicted = predict(rng, sky, observed)
    paths = SimpleNamespace(folder=folder, **{key: folder / name for key, name in FILES.items()})
    write_prepared(paths, rng, sky, noisy, noise)
    test = (sky["split"] == 2).to_numpy()
    write_predicted(paths, sky[test], predictions)
    write_tables(paths, rng, sky, noisy[test], noise[test], predictions, z_predicted)
    paths.records = write_records(folder / "nets", rng)
    return paths


FILES = {
    "objects": "prepared/objects.parquet",
    "spectra": "prepared/spectra.h5",
    "images": "prepared/images.h5",
    "predicted": "generated/predicted.h5",
    "quality": "tables/quality.ecsv",
    "quality_numbers": "tables/quality.json",
    "redshifts": "tables/redshift.ecsv",
    "redshift_numbers": "tables/redshift.json",
    "indices": "tables/indices.ecsv",
    "indices_numbers": "tables/indices.json",
    "losses": "matched/losses.ecsv",
}


def draw_sky(rng: np.random.Generator, count: int, train: int, valid: int) -> pd.DataFrame:
    """Catalogue rows of toy galaxies: old ones red and elliptical, young ones blue and spiral."""
    age = rng.uniform(0.05, 0.95, count)
    modelmag_r = rng.uniform(16, 17.7, count)
    return pd.DataFrame(
        {
            "specobjid": np.arange(count).astype(np.uint64) + np.uint64(845594848269461504),
            "ra": np.linspace(5, 355, count),
            "dec": np.linspace(-10, 60, count),
            "z": rng.uniform(0.05, 0.15, count),
            "age": age,
            "modelmag_u": modelmag_r + 1.2 + 1.6 * age + rng.normal(0, 0.1, count),
            "modelmag_r": modelmag_r,
            "fibermag_r": modelmag_r + 0.8,
            "split": np.repeat([0, 1, 2], [train, valid, count - train - valid]).astype(np.int8),
            "warn": np.zeros(count, np.uint32),
            "morphology": np.select([age > 0.65, age < 0.4], ["elliptical", "spiral"], "uncertain"),
        }
    )


def predict(rng: np.random.Generator, sky: pd.DataFrame, observed: np.ndarray) -> tuple[dict, np.ndarray]:
    """Predictions of the test objects (gal, pix) by predictor, and the redshift of the best one."""
    test, train = (sky[sky["split"] == split] for split in (2, 0))
    truth = test["age"].to_numpy(), test["z"].to_numpy()
    near = [
        np.clip(truth[0] + rng.normal(0, 0.07, len(test)), 0.01, 0.99),
        truth[1] + rng.normal(0, 0.01, len(test)),
    ]
    far = [
        np.clip(truth[0] + rng.normal(0, 0.25, len(test)), 0.01, 0.99),
        truth[1] + rng.normal(0, 0.03, len(test)),
    ]
    best = spectrum(*near)
    return {
        "predicted": best,
        "predicted_mean": 0.5 * (best + observed[test.index]),
        "predicted_medoid": best,
        "mean_spectrum": np.tile(observed[train.index].mean(axis=0), (len(test), 1)),
        "nearest_image": spectrum(*far),
        "regression": 0.6 * best + 0.4 * observed[train.index].mean(axis=0),
    }, near[1]


def write_prepared(
    paths: SimpleNamespace, rng, sky: pd.DataFrame, flux: np.ndarray, noise: np.ndarray
) -> None:
    """objects.parquet, spectra.h5, images.h5 and losses.ecsv."""
    store.write_table(paths.objects, sky.drop(columns="age"))
    norm = 10 ** (-0.4 * (sky["fibermag_r"].to_numpy() - 17)) * 40.0
    with store.create(paths.spectra, {}) as file:
        for name in ("specobjid", "split", "z", "warn"):
            store.put(file, name, sky[name].to_numpy(), "gal")
        store.put(file, "norm", norm, "gal")
        store.put(file, "wave", WAVE, "pix", "Angstrom")
        store.put(file, "flux", flux.astype(np.float32), "gal pix")
        store.put(file, "ivar", (noise**-2).astype(np.float32), "gal pix")
        store.put(file, "coarse_wave", coarse_wave(), "coarse", "Angstrom")
        store.put(file, "lsf", np.full((len(sky), coarse_wave().size), 10 / 3, np.float32), "gal coarse")
    with store.create(paths.images, {}) as file:
        store.put(file, "specobjid", sky["specobjid"].to_numpy(), "gal")
        store.put(file, "images", toy_images(rng, sky), "gal band y x", "nmgy")
    losses = pd.DataFrame({"reason": ["zwarning", "outside_z"], "count": [3, 4]})
    store.write_table(paths.losses, losses, meta={"counts": {"lost": 6}})


def toy_images(rng: np.random.Generator, sky: pd.DataFrame) -> np.ndarray:
    """Exponential disks (gal, band, y, x) [nanomaggies], redder with age."""
    y, x = np.mgrid[:64, :64] - 31.5
    slope = np.array([[0.35, 0.75, 1.0, 1.15, 1.2], [0.12, 0.5, 1.0, 1.4, 1.7]])
    age, tilt = sky["age"].to_numpy()[:, None], rng.uniform(0, np.pi, (len(sky), 1, 1))
    u, v = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    radius = np.hypot(u, v / rng.uniform(0.3, 1, (len(sky), 1, 1)))
    disk = 3 * np.exp(-radius / rng.uniform(3, 8, (len(sky), 1, 1)))
    colours = (1 - age) * slope[0] + age * slope[1]
    noise = np.array([0.05, 0.02, 0.03, 0.04, 0.15])[:, None, None] * rng.normal(size=(len(sky), 5, 64, 64))
    return (disk[:, None] * colours[:, :, None, None] + noise).astype(np.float16)


def write_predicted(paths: SimpleNamespace, test: pd.DataFrame, predictions: dict) -> None:
    """predicted.h5 of the test objects."""
    with store.create(paths.predicted, {}) as file:
        store.put(file, "specobjid", test["specobjid"].to_numpy(), "gal")
        store.put(file, "wave", WAVE, "pix", "Angstrom")
        store.put(file, "warn", np.zeros(len(test), np.uint32), "gal")
        for name, key in (("flux", "predicted"), ("mean", "predicted_mean"), ("medoid", "predicted_medoid")):
            store.put(file, name, predictions[key].astype(np.float32), "gal pix")


def write_tables(
    paths: SimpleNamespace, rng, sky: pd.DataFrame, observed, noise, predictions: dict, z_predicted
) -> None:
    """The tables of quality, redshift and indices, and their numbers."""
    test, train = sky[sky["split"] == 2], sky[sky["split"] == 0]
    z, count = test["z"].to_numpy(), len(test)
    use = (WAVE / (1 + z[:, None]) >= 4000) & (WAVE / (1 + z[:, None]) <= 7000)
    quality = test[["specobjid", "morphology"]].reset_index(drop=True)
    for name in PREDICTORS:
        quality[f"delta_{name}"] = metrics.delta_bar(observed, predictions[name], use)
        quality[f"mse_{name}"] = metrics.mse(observed, predictions[name], use)
        quality[f"mse_log_{name}"] = metrics.mse_log(observed, predictions[name], use, 0.02)
        quality[f"chi2_{name}"] = metrics.chi2_per_pixel(observed, predictions[name], use / noise**2)
    quality["mse_noise"] = (noise**2).mean(axis=1)
    quality["warn"] = np.zeros(count, np.uint32)
    store.write_table(paths.quality, quality)
    redshifts = pd.DataFrame(
        {
            "specobjid": test["specobjid"].to_numpy(),
            "z_spec": z,
            "z_observed": z + rng.normal(0, 1e-5, count),
            "z_predicted": z_predicted,
            "z_predicted_mean": z_predicted,
            "z_predicted_medoid": z_predicted,
            "z_regression": z + rng.normal(0, 0.016, count),
            "z_nearest_image": z + rng.normal(0, 0.03, count),
            "z_median": np.full(count, train["z"].median()),
        }
    )
    for name in ("observed", "predicted", "regression"):
        redshifts[f"z_{name}_warn"] = np.zeros(count, np.uint32)
    store.write_table(paths.redshifts, redshifts)
    old = test["age"].to_numpy()
    indices = pd.DataFrame({"specobjid": test["specobjid"].to_numpy(), "dn4000_observed": 1.2 + 0.8 * old})
    indices["dn4000_predicted"] = 1.2 + 0.8 * old + rng.normal(0, 0.03, count)
    indices["warn"] = np.zeros(count, np.uint32)
    store.write_table(paths.indices, indices)
    sigma_mad = {
        kind: metrics.sigma_mad(metrics.delta_z(redshifts[f"z_{kind}"].to_numpy(), z))
        for kind in ("predicted", "median")
    }
    write_numbers(paths.folder, quality, sigma_mad)


def write_numbers(folder: Path, quality: pd.DataFrame, sigma_mad: dict[str, float]) -> None:
    """The files of scores of all stages and figures that declare numbers: those that the truths rest on, and others."""
    values = {
        "tables/quality": {f"mse_{name}": quality[f"mse_{name}"].mean() for name in PREDICTORS},
        "tables/redshift": {
            "sigma_mad": sigma_mad["predicted"],
            "sigma_mad_median_baseline": sigma_mad["median"],
            "bias": 0.001,
        },
        "tables/validation": {"coverage_fine": 0.7},
        "tables/broadening": {"vdisp_correction_worst": 0.02},
        "tables/lines": {"h_alpha_over_ppxf": 1.01},
    }
    for source in summary.SOURCES:
        if source != summary.SAMPLE:
            own = values.get(source, {f"a_number_of_{Path(source).stem}": 0.5})
            declared = [
                Number(name, value, f"{name}, as a fake run declares it", paper="1 (table 1)")
                for name, value in own.items()
            ]
            store.write_json(folder / f"{source}.json", {"run": "main"} | record(declared))


def write_records(folder: Path, rng: np.random.Generator) -> list[Path]:
    """Records of five short trainings."""
    steps = np.arange(10, 1001, 10)
    for network in NETWORKS:
        metric = "mse_log" if network == "regressor" else "loss"
        loss = 0.2 + 2 * (steps / 10) ** -0.6 * np.exp(rng.normal(0, 0.08, len(steps)))
        points = [{"step": int(step), metric: 0.25 + 2 * (step / 10) ** -0.6} for step in steps[9::10]]
        record = {
            "network": network,
            "parameters": 1_800_000,
            "galaxies": TRAIN,
            "seconds": 101.0,
            "step": 1000,
            "best_step": points[-1]["step"],
            "best_value": points[-1][metric],
            "curve": {"step": steps.tolist(), "loss": loss.tolist()},
            "valid": points,
        }
        store.write_json(folder / f"{network}.json", record)
    return [folder / f"{network}.json" for network in NETWORKS]


def inputs_of(paths: SimpleNamespace, module) -> dict:
    """What a figure's module reads, by key."""
    return {key.rstrip("*"): getattr(paths, key.rstrip("*")) for key in module.INPUTS}
