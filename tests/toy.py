"""A small prepared sky with a known link from image to spectrum, for tests of what trains, predicts and
measures.

Each galaxy has an age (colour of the image, slope, break and lines of the spectrum), a redshift (size,
brightness and colour of the image, places of the lines) and an inclination (shape of the image alone). The
files are those of docs/formats.md.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from sanspec import store
from sanspec.spectra import grid

WAVE, COARSE_WAVE = grid.WAVE, grid.coarse_wave()
SIZE, LAGS = 64, 3
SKY = np.array([0.05, 0.02, 0.03, 0.04, 0.15])  # noise of a pixel in ugriz [nanomaggies]
EMISSION = ((3729.0, 0.5), (4862.7, 0.25), (5008.2, 0.3), (6564.6, 1.1), (6585.3, 0.4))
ABSORPTION = ((3934.8, 0.5), (3969.6, 0.5), (4305.6, 0.15), (5176.0, 0.2), (5895.6, 0.15))


def spectrum(age: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Noiseless flux (gal, pix) normalised to 1 in 6900-6950 A, rest frame."""
    rest, age = WAVE / (1 + z[:, None]), age[:, None]
    flux = (rest / 6925) ** (-1.6 + 2 * age) * (1 - 0.4 * age / (1 + np.exp((rest - 4000) / 30)))
    for line, strength in EMISSION:
        flux += strength * (1 - age) ** 2 * np.exp(-0.5 * ((rest - line) / 4) ** 2)
    for line, depth in ABSORPTION:
        flux *= 1 - depth * age * np.exp(-0.5 * ((rest - line) / 9) ** 2)
    window = np.abs(rest - 6925) <= 25
    return flux / (np.where(window, flux, 0).sum(1) / window.sum(1))[:, None]


def images(age: np.ndarray, z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Inclined exponential disks (gal, band, y, x) [nanomaggies]; redder with age and redshift, fainter with
    redshift.
    """
    count = len(age)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    tilt, ratio = rng.uniform(0, np.pi, (count, 1, 1)), rng.uniform(0.3, 1, (count, 1, 1))
    u, v = x * np.cos(tilt) + y * np.sin(tilt), (y * np.cos(tilt) - x * np.sin(tilt)) / ratio
    radius = 4.0 * (0.1 / z)[:, None, None] * rng.uniform(0.9, 1.1, (count, 1, 1))
    disk = np.exp(-np.hypot(u, v) / radius) * 3 * (0.1 / z[:, None, None]) ** 2
    young, old = np.array([0.4, 0.8, 1.0, 1.1, 1.2]), np.array([0.12, 0.5, 1.0, 1.4, 1.7])
    colour = (1 - age[:, None]) * young + age[:, None] * old
    colour = colour * np.exp((z[:, None] - 0.1) * np.array([-6.0, -5.0, 0.0, 1.0, 1.5]))
    noise = SKY[:, None, None] * rng.normal(size=(count, 5, SIZE, SIZE))
    return (disk[:, None] * colour[:, :, None, None] + noise).astype(np.float16)


def draw(count: int, seed: int = 0, noise: float = 0.04) -> SimpleNamespace:
    """Galaxies in memory: age, z, images, clean and noisy spectra, masks, ids and splits (70, 15, 15 per
    cent).
    """
    rng = np.random.default_rng(seed)
    age, z = rng.uniform(0.05, 0.95, count), rng.uniform(0.05, 0.15, count)
    clean = spectrum(age, z)
    flux = clean * (1 + noise * rng.normal(size=clean.shape))
    mask = rng.random(flux.shape) > 0.01
    log_flux = np.log(np.clip(flux, 0.02, None))
    split = np.repeat([0, 1, 2], [count - 2 * (count * 15 // 100), count * 15 // 100, count * 15 // 100])
    ids = np.uint64(845594848269461504) + np.arange(count, dtype=np.uint64) * np.uint64(1024)
    stamps = images(age, z, rng)
    coarse_log_flux, coarse_mask = grid.coarse(log_flux, mask)
    return SimpleNamespace(
        age=age,
        z=z,
        clean=clean,
        flux=flux,
        mask=mask,
        noise=noise,
        log_flux=log_flux,
        specobjid=ids,
        images=stamps,
        split=split.astype(np.int8),
        coarse_log_flux=coarse_log_flux,
        coarse_mask=coarse_mask,
    )


def galaxies(sky: SimpleNamespace):
    """A drawn sky as the networks take it: all of `sanspec.nets.data.Galaxies`, images cropped by 4 pixels."""
    from sanspec.nets import data  # torch is slow to import, and most tests with a sky need none

    spectra = {"coarse": sky.coarse_log_flux, "coarse_mask": sky.coarse_mask, "z": sky.z}
    spectra |= {"fine": sky.log_flux, "fine_mask": sky.mask}
    return data.galaxies(sky.specobjid, sky.images, 4, **spectra)


def statistics(stamps: np.ndarray) -> dict:
    """Softening, mean and standard deviation per band of asinh(image / softening)."""
    scaled = np.arcsinh(stamps.astype(np.float64) / SKY[:, None, None])
    return {
        "softening": SKY.tolist(),
        "mean": scaled.mean((0, 2, 3)).tolist(),
        "std": scaled.std((0, 2, 3)).tolist(),
    }


def make(folder: Path, count: int = 80, seed: int = 0, sky: SimpleNamespace | None = None) -> SimpleNamespace:
    """Write prepared/{spectra.h5,images.h5,statistics.json,objects.parquet} under `folder`; paths, and the
    sky itself.
    """
    sky = draw(count, seed) if sky is None else sky
    prepared = Path(folder) / "prepared"
    paths = SimpleNamespace(
        sky=sky,
        spectra=prepared / "spectra.h5",
        images=prepared / "images.h5",
        statistics=prepared / "statistics.json",
        objects=prepared / "objects.parquet",
    )
    _write_spectra(paths.spectra, sky)
    with store.create(paths.images, {}) as file:
        store.put(file, "specobjid", sky.specobjid, "gal")
        store.put(file, "images", sky.images, "gal band y x", "nmgy")
    store.write_json(paths.statistics, statistics(sky.images[sky.split == 0]))
    kinds = np.select([sky.age > 0.65, sky.age < 0.4], ["elliptical", "spiral"], "uncertain")
    objects = {
        "specobjid": sky.specobjid,
        "z": sky.z,
        "split": sky.split,
        "warn": np.uint32(0),
        "morphology": kinds,
    }
    store.write_table(paths.objects, pd.DataFrame(objects))
    return paths


def _write_spectra(path: Path, sky: SimpleNamespace) -> None:
    """spectra.h5."""
    train, count = sky.split == 0, len(sky.z)
    one = np.ones((count, 1), np.float32)
    per_object = {
        "specobjid": sky.specobjid,
        "split": sky.split,
        "z": sky.z,
        "z_err": 1e-5 + 0 * sky.z,
        "norm": 10 + 0 * sky.z,
    }
    per_object |= {"snr": 1 / sky.noise + 0 * sky.z, "warn": np.zeros(count, np.uint32)}
    per_pixel = {"flux": sky.flux, "ivar": sky.mask / (sky.noise * sky.clean) ** 2, "log_flux": sky.log_flux}
    means = {
        "log_flux_mean": (sky.log_flux[train].mean(0), "pix"),
        "lsf_median": (np.full(4500, 10 / 3), "pix"),
    }
    means |= {"coarse_log_flux_mean": (sky.coarse_log_flux[train].mean(0), "coarse")}
    with store.create(path, {}) as file:
        for name, values in per_object.items():
            store.put(file, name, values, "gal")
        for name, values in per_pixel.items():
            store.put(file, name, values.astype(np.float32), "gal pix")
        for name, (values, axis) in means.items():
            store.put(file, name, values.astype(np.float32), axis)
        store.put(file, "mask", sky.mask, "gal pix")
        store.put(file, "coarse_log_flux", sky.coarse_log_flux.astype(np.float32), "gal coarse")
        store.put(file, "coarse_mask", sky.coarse_mask, "gal coarse")
        store.put(file, "correlation", np.zeros((count, LAGS, 4500), np.float16), "gal lag pix")
        store.put(file, "lsf", one * np.full(563, 10 / 3, np.float32), "gal coarse", "Angstrom")
        store.put(file, "wave", WAVE, "pix", "Angstrom")
        store.put(file, "coarse_wave", COARSE_WAVE, "coarse", "Angstrom")


def networks(folder: Path, paths: SimpleNamespace, train, names: tuple[str, ...]) -> Path:
    """Networks fitted to a made sky but not trained, in `folder`: what they draw is noise around the mean."""
    import torch

    from sanspec.nets import build, data

    own = paths.sky
    layout = build.Layout(64, store.read_json(paths.statistics), WAVE.tolist(), COARSE_WAVE.tolist())
    spectra = {"coarse": own.coarse_log_flux, "coarse_mask": own.coarse_mask}
    spectra |= {"fine": own.log_flux, "fine_mask": own.mask, "z": own.z}
    galaxies = data.galaxies(own.specobjid, own.images, 4, **spectra)
    for name in names:
        torch.manual_seed(0)
        model = build.build(name, train, layout)
        with torch.inference_mode():
            model.fit(galaxies)
        path = Path(folder) / f"{name}.safetensors"
        build.save(path, name, model, train, layout)
        store.write_json(path.with_suffix(".json"), {"weights": store.digest(path)})
    return Path(folder)
