"""Tests of what the cube file is taken to be, on its own galaxies: units, order of bands, orientation.

The publication does not say that pixels are nanomaggies, bands ugriz and north up; the catalogue's fibre
magnitudes and the survey's frames do.
"""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from sanspec.physics.constants import NORMAL_MAD, PIXEL_SCALE
from sanspec.survey import cubes, cutouts
from sanspec.survey.cubes import BANDS, SIDE

OFFSET_MAX = 0.3  # mag: fiberMag is measured at 2 arcsec seeing, an aperture on the cube at the frame's own
MAGNITUDES_AGREE = 0.5  # mag: offset and scatter of fiberMag_r against prepared images
CENTRE_MAX = 2.0  # pixels
# What an image may have been through: an optional mirror, then quarter turns.
TRANSFORMS = {
    f"{'mirrored, ' if mirror else ''}turned by {90 * turns} degrees": (mirror, turns)
    for mirror in (False, True)
    for turns in range(4)
}
IDENTITY = "turned by 0 degrees"
log = logging.getLogger(__name__)


def fluxes(images: Float[np.ndarray, "gal y x band"]) -> Float[np.ndarray, "gal band"]:
    """Magnitude within 3 arcsec of the centre, in each plane; NaN where the flux is not positive."""
    planes = [cutouts.fibre_magnitude(images[..., band]) for band in range(images.shape[-1])]
    return np.stack(planes, axis=1)


def compare_apertures(images: Float[np.ndarray, "gal y x band"], rows: pd.DataFrame) -> dict:
    """Aperture minus fibre magnitude: offset and scatter [mag] by band, and the order of the bands.

    rows: fibermag_u ... fibermag_z of the same galaxies. `order` names the band of each plane, by the
    assignment with the smallest sum of offsets and scatters.
    """
    measured = fluxes(images)
    fibre = rows[[f"fibermag_{band}" for band in BANDS]].to_numpy(float)
    difference = measured[:, :, None] - fibre[:, None, :]  # (gal, plane, band)
    middle = np.nanmedian(difference, axis=0)
    spread = NORMAL_MAD * np.nanmedian(np.abs(difference - middle), axis=0)
    cost = np.abs(middle) + spread
    plane, band = linear_sum_assignment(np.nan_to_num(cost, nan=99.0))
    order = "".join(BANDS[i] for i in band[np.argsort(plane)])
    offset, scatter = np.diag(middle), np.diag(spread)
    return {
        "galaxies": len(images),
        "offset": dict(zip(BANDS, offset.round(4).tolist())),
        "scatter": dict(zip(BANDS, scatter.round(4).tolist())),
        "order": order,
        "order_cost": float(cost[plane, band].sum()),
        "ugriz_cost": float(np.trace(cost)),
        "holds_order": order == BANDS,
        "holds_units": bool(np.nanmax(np.abs(offset)) < OFFSET_MAX),
    }


def compare_magnitudes(table: pd.DataFrame, magnitude: Float[np.ndarray, " gal"]) -> dict[str, float]:
    """fiberMag_r of the catalogue minus `magnitude` of the images: median and scatter [mag].

    Logs a warning where they disagree: the cubes have another unit, centre or order. Empty without the column.
    """
    if "fibermag_r" not in table:
        return {}
    offset = table["fibermag_r"].to_numpy() - magnitude
    middle = float(np.nanmedian(offset))
    scatter = float(NORMAL_MAD * np.nanmedian(np.abs(offset - middle)))
    if not (abs(middle) < MAGNITUDES_AGREE and scatter < MAGNITUDES_AGREE):
        log.warning(
            "fiberMag_r differs from the images by %.2f mag, scatter %.2f: are the cubes in nanomaggies, "
            "centred, and in the order of their ids?",
            middle,
            scatter,
        )
    return {"catalogue_minus_image": middle, "scatter": scatter}


def compare_centres(images: Float[np.ndarray, "gal y x band"]) -> dict:
    """Distance [pixel] of the light centroid in r (within 5 arcsec) from the centre (31.5, 31.5)."""
    y, x = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    inside = np.hypot(x, y) < 5 / PIXEL_SCALE
    light = np.where(inside, np.clip(np.nan_to_num(images[..., BANDS.index("r")]), 0, None), 0)
    total = np.maximum(light.sum(axis=(1, 2)), 1e-12)
    apart = np.hypot((light * x).sum(axis=(1, 2)) / total, (light * y).sum(axis=(1, 2)) / total)
    median = float(np.median(apart))
    return {"centroid": round(median, 3), "holds_centre": median < CENTRE_MAX}


def transform(image: Float[np.ndarray, "y x"], name: str) -> Float[np.ndarray, "y x"]:
    """`image` mirrored and turned as `name` says."""
    mirror, turns = TRANSFORMS[name]
    return np.rot90(image[:, ::-1] if mirror else image, turns)


def compare_orientation(images: Sequence[np.ndarray], references: Sequence[np.ndarray]) -> dict:
    """Mean correlation of images with references cut from frames (north up), for each turn and mirror.

    images, references: (y, x) each, the same galaxies. The best must be the identity.
    """
    scores = {name: [] for name in TRANSFORMS}
    for image, reference in zip(images, references):
        good = np.isfinite(image) & np.isfinite(reference)
        for name in TRANSFORMS:
            turned = transform(np.where(good, reference, np.nan), name)
            scores[name].append(_correlation(image, turned))
    means = {name: float(np.nanmean(values)) for name, values in scores.items()} if len(images) else {}
    ranked = sorted(means, key=means.get, reverse=True)
    best = ranked[0] if ranked else None
    flux = [np.nansum(image) / np.nansum(reference) for image, reference in zip(images, references)]
    return {
        "galaxies_framed": len(images),
        "orientation": best,
        "orientation_margin": round(means[ranked[0]] - means[ranked[1]], 4) if ranked else None,
        "correlation": {name: round(value, 4) for name, value in means.items()},
        "flux_over_frame": round(float(np.median(flux)), 4) if flux else None,
        "holds_orientation": best in (None, IDENTITY),
    }


def _correlation(image: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation of square roots, so that a bright nucleus does not dominate; finite pixels only."""
    good = np.isfinite(image) & np.isfinite(other)
    pair = [np.sign(plane[good]) * np.sqrt(np.abs(plane[good])) for plane in (image, other)]
    return float(np.corrcoef(*pair)[0, 1]) if good.sum() > 100 else np.nan


def sample(ids: np.ndarray, catalogue: pd.DataFrame, count: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Up to `count` rows of the cube file that are in the catalogue, evenly spread, and their catalogue rows."""
    known = pd.Series(np.arange(len(catalogue)), index=catalogue["specobjid"].to_numpy())
    known = known[~known.index.duplicated()]
    rows = np.flatnonzero(np.isin(ids, known.index.to_numpy()))
    if len(rows):
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))]
    return rows, catalogue.iloc[known.loc[ids[rows]].to_numpy()].reset_index(drop=True)


def read_sample(path, rows: np.ndarray) -> Float[np.ndarray, "gal y x band"]:
    """The cubes of `rows`."""
    with cubes.open_cubes(path) as member:
        return member.take(rows)
