"""Emission lines of the embedded sky: from the star formation rate, the metallicity and the nucleus."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sanspec.classes.diagnostics import KAUFFMANN, KEWLEY
from sanspec.mock.population import Galaxy
from sanspec.physics.dust import calzetti

# Vacuum wavelengths [Angstrom] and names as in the survey's line table.
LINES = {
    "[O_II] 3725": 3727.092, "[O_II] 3727": 3729.875, "[Ne_III] 3868": 3869.857, "H_delta": 4102.892,
    "H_gamma": 4341.684, "H_beta": 4862.683, "[O_III] 4959": 4960.295, "[O_III] 5007": 5008.240,
    "He_I 5876": 5877.249, "[O_I] 6300": 6302.046, "[O_I] 6363": 6365.536, "[N_II] 6548": 6549.859,
    "H_alpha": 6564.614, "[N_II] 6583": 6585.268, "[S_II] 6716": 6718.294, "[S_II] 6730": 6732.678,
}  # fmt: skip
WAVE = np.array(list(LINES.values()))
INDEX = {name: position for position, name in enumerate(LINES)}
ESCAPE = (
    0.7  # fraction of ionising photons that reach the gas rather than dust: fits the survey's Halpha fluxes
)
KENNICUTT = 7.9e-42  # solar masses per year per erg/s of Halpha, Salpeter (Kennicutt 1998, eq. 2)
SATURATED = -0.33  # maximum log [N II]/Ha of H II regions: draws above it are mirrored
FLICKER = 0.20  # scatter [dex] of the star formation rate over the last 10 Myr about that over 20 Myr
_NITROGEN = np.array([[8.5, 9.0, 9.5, 10.0, 10.5, 11.0], [-1.284, -1.042, -0.709, -0.506, -0.440, -0.404]])
CASE_B = {"H_alpha": 2.863, "H_beta": 1.0, "H_gamma": 0.468, "H_delta": 0.259}  # Storey & Hummer 1995


@dataclass(frozen=True, slots=True)
class Ratios:
    """Logarithms of line ratios: [N II]/Ha, [O III]/Hb, [S II]/Ha and [O II]/Hb (both lines), [O I]/Ha."""

    n2: float
    o3: float
    s2: float
    o2: float
    o1: float


def diagram(lines: Float[np.ndarray, "*gal line"]) -> tuple[np.ndarray, np.ndarray]:
    """log [N II]/Ha and log [O III]/Hb of fluxes of LINES; NaN where there are no lines."""
    n2, ha, o3, hb = (lines[..., INDEX[n]] for n in ("[N_II] 6583", "H_alpha", "[O_III] 5007", "H_beta"))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log10(n2 / ha), np.log10(o3 / hb)


def nitrogen(log_mass: float) -> float:
    """Mean log [N II]/Ha of star formers at z = 0.1: Faisst et al. 2018, eq. 3, inverted."""
    return float(np.interp(log_mass, *_NITROGEN))


def star_forming(rng: np.random.Generator, log_mass: float) -> Ratios:
    """Line ratios of H II regions on the star-forming branch, all below the curve of Kauffmann et al. 2003.

    The branch lies 0.48 dex below the curve with a scatter of 0.17 dex, as in the survey at z = 0.11.
    """
    n2 = nitrogen(log_mass) + rng.normal(0, 0.13)
    n2 = max(min(n2, 2 * SATURATED - n2), -1.6)
    o3 = float(KAUFFMANN(n2)) - 0.10 - abs(rng.normal(0.38, 0.17))
    s2 = np.clip(-0.45 + 0.15 * (n2 + 0.5) - 0.25 * (n2 < -1), -1.1, -0.25) + rng.normal(0, 0.05)
    o2 = 0.45 - 0.9 * max((n2 + 0.58) * 0.46, -0.5) + rng.normal(0, 0.08)
    return Ratios(n2, o3, s2, o2, -1.5 + rng.normal(0, 0.1))


def nuclear(rng: np.random.Generator, nucleus: str) -> Ratios:
    """Line ratios of active nuclei: Seyferts above, LINERs below 1.05 n2 + 0.45.

    All lie above the curve of Kewley et al. 2001.
    """
    liner, seyfert = [0.08, 0.35, 0.0, 0.75, -0.75], [-0.02, 0.82, -0.25, 0.45, -0.95]
    spread = rng.normal(0, [0.12, 0.13, 0.11, 0.11, 0.12])
    values = np.array(seyfert if nucleus == "Seyfert" else liner) + spread
    values[1] = max(values[1], float(KEWLEY(values[0])) + 0.02)
    return Ratios(*values)


def fluxes(halpha: float, ratios: Ratios, ebv: float) -> Float[np.ndarray, " line"]:
    """Reddened fluxes of LINES, in the unit of the intrinsic `halpha`; dust of Calzetti et al. 2000."""
    hbeta = halpha / CASE_B["H_alpha"]
    n2, o3, s2 = halpha * 10**ratios.n2, hbeta * 10**ratios.o3, halpha * 10**ratios.s2
    o2, o1 = hbeta * 10**ratios.o2, halpha * 10**ratios.o1
    intrinsic = np.array(
        [
            0.42 * o2, 0.58 * o2, 0.08 * o3, CASE_B["H_delta"] * hbeta,
            CASE_B["H_gamma"] * hbeta, hbeta, 0.336 * o3, o3,
            0.12 * hbeta, o1, o1 / 3.1, 0.327 * n2,
            halpha, n2, 0.57 * s2, 0.43 * s2,
        ]
    )  # fmt: skip
    return intrinsic * 10 ** (-0.4 * ebv * _REDDENING)


_REDDENING = calzetti(WAVE)


def halpha(sfr: float, rng: np.random.Generator) -> float:
    """Intrinsic Halpha luminosity [erg/s] of `sfr` [solar masses per year, Salpeter], with scatter."""
    return ESCAPE * sfr / KENNICUTT * 10 ** rng.normal(0, FLICKER)


def width(galaxy: Galaxy) -> float:
    """Velocity dispersion [km/s] of the gas in the disk: a little below that of the stars, at least 20."""
    return float(np.hypot(0.9 * galaxy.disk_vdisp, 20.0))


def nuclear_width(rng: np.random.Generator, galaxy: Galaxy) -> float:
    """Equivalent width of nuclear Halpha [Angstrom], relative to the starlight inside the fibre.

    Old stars alone give about half an Angstrom (Cid Fernandes et al. 2011).
    """
    if galaxy.nucleus == "none":
        return rng.lognormal(np.log(0.42), 0.6) if galaxy.quenched else 0.0
    typical, spread = (1.8, 0.5) if galaxy.nucleus == "LINER" else (4.5, 0.8)
    return rng.lognormal(np.log(typical), spread)
