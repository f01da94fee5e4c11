"""Starlight of the simulated sky: E-MILES on the rest-frame log grid, histories, dust, SDSS filters."""

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sanspec.mock.population import Population
from sanspec.physics.air import air_to_vac
from sanspec.physics.constants import AB_ZERO, C_ANGSTROM, FWHM_PER_SIGMA
from sanspec.physics.dust import CARDELLI_RV, calzetti, cardelli
from sanspec.spectra.grid import LOGLAM_STEP, bin_edges, loglam_edges, rebin
from sanspec.stellar.library import Library

FIRST, PIXELS = 33800, 6810  # rest frame: 2399-11508 A, vacuum, 1e-4 dex
SKY_FIRST, SKY_PIXELS = 34550, 6200  # observed frame, for the filters: 2851-11885 A
BANDS = "ugriz"
LSUN = 3.826e33  # erg/s, of the MILES models
CHABRIER = 10**-0.25  # Chabrier mass over Salpeter mass (Bernardi et al. 2010)
YOUNG = 0.32  # Gyr: younger stars follow the spiral arms
QUENCHING = 0.12  # Gyr: e-folding time of star formation once quenched
# Light of all stars younger than the youngest model, in units of that model: fits u-r of the blue cloud.
BRIGHTER = 2.0
POOR = 0.05  # mass fraction of metal-poor stars: without them red galaxies are too red (Maraston et al. 2009)
METAL_SPREAD = 0.16  # dex, of the metallicities within one component
RED_LEAK = 4200.0  # Angstrom: beyond it the red leak of the u filter is ignored

WAVE = 10 ** (LOGLAM_STEP * np.arange(FIRST, FIRST + PIXELS))
SKY_WAVE = 10 ** (LOGLAM_STEP * np.arange(SKY_FIRST, SKY_FIRST + SKY_PIXELS))


@dataclass(frozen=True)
class Stars:
    """Stellar population models as the simulation uses them.

    flux: (model, pix) Lsun/Angstrom per solar mass formed, models in the order (age, metal); masses: (model)
    left in stars and remnants; ages [Gyr], metals [M/H]; sigma: (pix) its resolution, pixels of 1e-4 dex.
    """

    flux: Float[np.ndarray, "model pix"]
    masses: Float[np.ndarray, " model"]
    ages: Float[np.ndarray, " age"]
    metals: Float[np.ndarray, " metal"]
    sigma: Float[np.ndarray, " pix"]


def prepare(library: Library) -> Stars:
    """The library rebinned, flux conserved, from air to the vacuum log grid of the rest frame."""
    edges = air_to_vac(bin_edges(library.lam))
    flux = rebin(edges, library.flux.T, loglam_edges(FIRST, PIXELS))
    flux[: library.metals.size] *= BRIGHTER
    fwhm = np.interp(WAVE, air_to_vac(library.lam), library.fwhm)
    sigma = fwhm / FWHM_PER_SIGMA / (WAVE * np.log(10) * LOGLAM_STEP)
    ages = np.ascontiguousarray(library.ages)  # a strided view would change the last bit of mean ages
    return Stars(flux.astype(np.float32), library.mass, ages, library.metals, sigma)


def formed(history: Population, lookback: Float[np.ndarray, " edge"]) -> Float[np.ndarray, " edge"]:
    """Mass formed before each lookback time [Gyr] by a quenched delayed tau model, 1 in total.

    Star formation goes as t exp(-t/tau) from the onset, and declines exponentially with QUENCHING once quenched.
    """
    tau, quench = history.tau, min(history.quench, 0.9 * history.onset)
    end = history.onset - quench

    def integral(t):
        """Mass formed by time t since the onset, without quenching."""
        return tau**2 * (1 - (1 + t / tau) * np.exp(-t / tau))

    time = np.clip(history.onset - lookback, 0.0, None)
    tail = QUENCHING * end * np.exp(-end / tau) * -np.expm1(-np.clip(time - end, 0, None) / QUENCHING)
    mass = integral(np.minimum(time, end)) + tail
    whole = integral(end) + QUENCHING * end * np.exp(-end / tau) * -np.expm1(-quench / QUENCHING)
    smooth = mass / whole
    steady = np.clip((history.burst_age - lookback) / history.burst_age, 0, 1)
    return (1 - history.burst) * smooth + history.burst * steady


def weights(stars: Stars, history: Population) -> Float[np.ndarray, "age metal"]:
    """Mass formed per model, 1 in total: by age the history, by [M/H] a Gaussian about its mean.

    The youngest model also stands for all younger stars.
    """
    edges = np.concatenate([[0.0], np.sqrt(stars.ages[1:] * stars.ages[:-1]), [20.0]])
    by_age = -np.diff(formed(history, edges))
    return by_age[:, None] * _metal_weights(stars.metals, history.metal)


_SPREAD = np.linspace(-3, 3, 19)
_BELL = np.append((1 - POOR) * np.exp(-0.5 * _SPREAD**2) / np.exp(-0.5 * _SPREAD**2).sum(), POOR)


def _metal_weights(metals: Float[np.ndarray, " metal"], mean: float) -> Float[np.ndarray, " metal"]:
    """Mass fraction per metallicity, linear between nodes, clipped at the ends; POOR of it lies 1.2 dex lower."""
    metal = np.clip(np.append(mean + METAL_SPREAD * _SPREAD, mean - 1.2), metals[0], metals[-1])
    low = np.clip(np.searchsorted(metals, metal, side="right") - 1, 0, metals.size - 2)
    high_share = (metal - metals[low]) / (metals[low + 1] - metals[low])
    count = metals.size
    return np.bincount(low, _BELL * (1 - high_share), count) + np.bincount(low + 1, _BELL * high_share, count)


def star_formation(history: Population) -> float:
    """Mean star formation rate over the last 20 Myr per unit of mass formed [1/yr]."""
    before, now = formed(history, np.array([0.02, 0.0]))
    return float((now - before) / 2e7)


# ------------------------------------------------------------------------------------------------------- dust


def milky_way(wave: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """A(lambda) per E(B-V) of Schlegel et al. 1998: Cardelli et al. 1989, eqs. 2-3b, R_V = 3.1.

    Times the 0.86 of Schlafly & Finkbeiner 2011. `wave` in Angstrom, held at 3030 A below it.
    """
    return 0.86 * CARDELLI_RV * cardelli(np.maximum(wave, 1e4 / 3.3))


CALZETTI = calzetti(WAVE)
MILKY_WAY = milky_way(SKY_WAVE)


# ---------------------------------------------------------------------------------------------------- filters


def filter_weights() -> Float[np.ndarray, "band pix"]:
    """Weights that turn a spectrum [erg/s/cm2/A] on SKY_WAVE into nanomaggies: sdss2010 of speclite.

    The curves are those of Doi et al. 2010. A flat AB spectrum of 3631 Jy gives 1e9 by construction.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from speclite.filters import load_filter

        curves = [load_filter(f"sdss2010-{band}") for band in BANDS]
    response = np.array(
        [np.interp(SKY_WAVE, curve.wavelength, curve.response, left=0, right=0) for curve in curves]
    )
    response[0, SKY_WAVE > RED_LEAK] = 0
    photons = response * SKY_WAVE * (SKY_WAVE * np.log(10) * LOGLAM_STEP)
    reference = (response / SKY_WAVE * (SKY_WAVE * np.log(10) * LOGLAM_STEP)).sum(axis=1, keepdims=True)
    return 1e9 * photons / (reference * C_ANGSTROM * AB_ZERO)


def shifted_weights(
    weights: Float[np.ndarray, "band pix"], z: float, mw_ebv: float
) -> Float[np.ndarray, "band rest"]:
    """Filter weights for a rest-frame spectrum at redshift `z`, reddened by `mw_ebv` of the Milky Way."""
    reddened = weights * 10 ** (-0.4 * mw_ebv * MILKY_WAY)
    start = FIRST + np.log10(1 + z) / LOGLAM_STEP - SKY_FIRST
    whole, part = int(np.floor(start)), start % 1
    rows = np.arange(whole, whole + PIXELS + 1)
    padded = np.where((rows >= 0) & (rows < SKY_PIXELS), reddened[:, np.clip(rows, 0, SKY_PIXELS - 1)], 0.0)
    return (1 - part) * padded[:, :-1] + part * padded[:, 1:]
