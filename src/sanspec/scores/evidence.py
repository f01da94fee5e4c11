"""What the truths about a run rest on: facts of every spectrum, and how far the splits are apart."""

from pathlib import Path

import astropy.units as u
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree
from speclite import filters
from tqdm import tqdm

from sanspec.config import Prepare
from sanspec.products.members import Members
from sanspec.spectra import preparing
from sanspec.store import arrays

BLOCK = 1024
ARCSEC = np.pi / 180 / 3600
FLUX_UNIT = 1e-17 * u.Unit("erg / (s cm2 AA)")


def of_spectra(path: Path, settings: Prepare) -> pd.DataFrame:
    """One row per object of spectra.h5: specobjid, split, warn, `window`, `fibre_mag` (see truths)."""
    with arrays(path) as file:
        facts = pd.DataFrame({name: file[name][:] for name in ("specobjid", "split", "warn")})
        wave, z, norm = file["wave"][:], file["z"][:], file["norm"][:]
        window, magnitude = np.full((2, len(facts)), np.nan)
        for start in tqdm(range(0, len(facts), BLOCK), desc="check", mininterval=1.0):
            block = slice(start, start + BLOCK)
            flux = np.where(file["ivar"][block] > 0, file["flux"][block], np.nan)
            window[block] = mean_inside(flux, in_window(wave, z[block], settings))
            magnitude[block] = r_magnitude(flux * norm[block, None], wave)
    return facts.assign(window=window, fibre_mag=magnitude)


def in_window(
    wave: Float[np.ndarray, " pix"], z: Float[np.ndarray, " gal"], settings: Prepare
) -> Bool[np.ndarray, "gal pix"]:
    """Pixels of the normalisation window, in the frame that the settings name."""
    stretch = 1 + z[:, None] if settings.norm_frame == "rest" else np.ones((len(z), 1))
    return (wave >= settings.norm_min * stretch) & (wave <= settings.norm_max * stretch)


def mean_inside(
    flux: Float[np.ndarray, "gal pix"], inside: Bool[np.ndarray, "gal pix"]
) -> Float[np.ndarray, " gal"]:
    """Mean of the finite pixels inside; NaN where there is none."""
    use = inside & np.isfinite(flux)
    count = use.sum(axis=1)
    return np.where(count > 0, np.where(use, flux, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)


def r_magnitude(
    flux: Float[np.ndarray, "gal pix"], wave: Float[np.ndarray, " pix"]
) -> Float[np.ndarray, " gal"]:
    """AB magnitude through the SDSS r filter (Doi et al. 2010); flux [1e-17 erg/s/cm2/A], gaps interpolated.

    NaN for a spectrum without a good pixel or with no positive flux in r.
    """
    whole = np.nan_to_num(preparing.fill_gaps(flux, np.isfinite(flux)), nan=0.0)
    maggies = filters.load_filter("sdss2010-r").get_ab_maggies(whole * FLUX_UNIT, wave * u.AA)
    return -2.5 * np.log10(np.where(maggies > 0, maggies, np.nan))


def of_predicted(path: Path, spectra: Path) -> tuple[pd.DataFrame, float]:
    """One row per predicted spectrum: specobjid, warn, `least`, `finite`; and the `spread` of them all.

    `spread` is the scatter between galaxies of the predicted over the observed flux, in the median pixel.
    """
    with arrays(path) as file:
        facts = pd.DataFrame({name: file[name][:] for name in ("specobjid", "warn")})
        flux = file["flux"][:]
    finite = np.isfinite(flux)
    least = np.where(finite, flux, np.inf).min(axis=1, initial=np.inf)
    whole = finite.all(axis=1)
    observed = Members(spectra).observed.flux
    facts = facts.assign(least=least, finite=finite.mean(axis=1))
    if whole.sum() < 2 or len(observed) < 2:
        return facts, float("nan")
    use = np.isfinite(observed).sum(axis=0) > 1
    ratio = flux[whole][:, use].std(axis=0) / np.nanstd(observed[:, use], axis=0)
    return facts, float(np.median(ratio))


def separation(objects: pd.DataFrame, enough: float) -> float:
    """Smallest angle [arcsec] between objects of different splits; `enough` where none is nearer."""
    objects = objects[objects["split"] >= 0]
    ra, dec = (np.radians(objects[name].to_numpy(float)) for name in ("ra", "dec"))
    places = np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=1)
    split, reach, least = objects["split"].to_numpy(), 2 * np.sin(enough * ARCSEC / 2), np.inf
    for one in np.unique(split):
        if not (split != one).any():
            continue
        chord, _ = cKDTree(places[split != one]).query(
            places[split == one], distance_upper_bound=max(reach, 1e-12)
        )
        least = min(least, chord.min())
    return float(min(2 * np.arcsin(min(least / 2, 1.0)) / ARCSEC, enough))
