"""Properties of the simulated galaxies: mass, type, structure, star formation history, dust, nucleus.

Drawn from published relations. Masses are for a Chabrier (2003) initial mass function, lengths on the sky in
arcsec, ages in Gyr of lookback time.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sanspec.physics.cosmology import COSMOLOGY
from sanspec.physics.relations import GALLAZZI

MASS_MIN, MASS_MAX = 8.8, 12.0  # log solar masses
FLUX_LIMIT = 17.77  # Petrosian r, dereddened: the Main Galaxy Sample (Strauss et al. 2002)
MARGIN = 0.9  # mag beyond the limit up to which masses and redshifts are proposed
EDGE = 13.5  # mag: brighter galaxies are not proposed, their fibres would be too bright
THICKNESS = 0.2  # intrinsic axial ratio of a disk seen edge on
BULGE_ONSET = 8.6, 1.3, 10.8  # lookback time [Gyr] of the first stars, its slope with log mass, and where
DISK_ONSET = 7.2, 1.2, 10.6  # of the disks of quenched galaxies


@dataclass(frozen=True, slots=True)
class Population:
    """Star formation history of one component: a quenched delayed tau model with an optional burst.

    onset, quench: lookback time [Gyr] of the first stars and of the end of normal star formation (0: still
    going); tau [Gyr]; burst: fraction of the mass formed within the last `burst_age` Gyr; metal: mean [M/H].
    """

    onset: float
    tau: float
    quench: float
    burst: float
    burst_age: float
    metal: float


@dataclass(frozen=True, slots=True)
class Galaxy:
    """Everything drawn for one galaxy: lengths in arcsec, angles in radian, km/s, E(B-V) in mag."""

    z: float
    log_mass: float  # solar masses, stars and remnants
    quenched: bool
    green: bool  # quenching now
    kind: str  # E, S0, S, Irr
    bulge_fraction: float  # of the mass
    bulge: Population
    disk: Population
    radius: float  # half-light radius of the whole, along the major axis
    bulge_radius: float
    disk_radius: float  # half-light radius of the disk
    sersic: float  # index of the bulge
    bulge_axis: float  # apparent axial ratios
    disk_axis: float
    inclination: float
    angle: float  # position angle
    arms: int  # number of spiral arms
    pitch: float
    contrast: float  # of the arms
    clumps: float  # contrast of the flocculent texture
    bar: float  # share of the old disk in the bar
    bulge_vdisp: float
    disk_vdisp: float
    bulge_ebv: float
    disk_ebv: float
    gas_ebv: float
    mw_ebv: float  # Schlegel et al. 1998 scale
    nucleus: str  # none, LINER, Seyfert
    seeing: float  # FWHM of the r-band image [arcsec]


@lru_cache(maxsize=1)
def _proposal() -> tuple[np.ndarray, ...]:
    """Cells of (log mass, z, quenched), cumulative probability: mass function x volume, if bright."""
    mass = np.arange(MASS_MIN, MASS_MAX, 0.02)
    z = np.arange(0.045, 0.156, 0.001)
    volume = COSMOLOGY.differential_comoving_volume(z).value
    modulus = COSMOLOGY.distmod(z).value
    red = quenched_fraction(mass)
    number = mass_function(mass)[:, None, None] * volume[:, None] * np.stack([1 - red, red], 1)[:, None, :]
    # Absolute r by a mean mass-to-light ratio: the final cut is on synthesised magnitudes.
    light = mass - np.array([0.05 + 0.20 * (mass - 9.7), 0.42 + 0.10 * (mass - 10.8)])
    for state in (0, 1):
        r = (4.65 - 2.5 * light[state])[:, None] + modulus + (1.05 if state else 0.6) * z
        number[..., state] *= (r < FLUX_LIMIT + MARGIN) & (r > EDGE)
    cumulative = np.cumsum(number.ravel())
    return mass, z, cumulative / cumulative[-1], np.array(number.shape)


def mass_function(log_mass: np.ndarray) -> np.ndarray:
    """Galaxies per Mpc3 and dex: double Schechter function of Baldry et al. 2012, eq. 6."""
    x = 10 ** (log_mass - 10.66)
    return np.log(10) * np.exp(-x) * (3.96e-3 * x ** (1 - 0.35) + 0.79e-3 * x ** (1 - 1.47))


def quenched_fraction(log_mass: np.ndarray) -> np.ndarray:
    """Share of galaxies on the red sequence: half at 10^10.45 solar masses (after Baldry et al. 2006)."""
    return 1 / (1 + np.exp(-(log_mass - 10.45) / 0.28))


def draw(rng: np.random.Generator, z_min: float, z_max: float) -> Galaxy:
    """A galaxy of the luminosity-limited parent population with z_min < z < z_max."""
    masses, redshifts, cumulative, shape = _proposal()
    z = -1.0
    while not z_min < z < z_max:
        cell = np.searchsorted(cumulative, rng.random(), side="right")
        i, j, state = np.unravel_index(min(cell, cumulative.size - 1), shape)
        z = redshifts[j] + 0.001 * (rng.random() - 0.5)
    mass, quenched = masses[i] + 0.02 * (rng.random() - 0.5), bool(state)
    green = not quenched and rng.random() < 0.10
    kind, bulge_fraction = _morphology(rng, mass, quenched)
    cos_i = rng.random()
    flat = np.sqrt(cos_i**2 * (1 - THICKNESS**2) + THICKNESS**2)
    bulge, disk = _histories(rng, mass, quenched, green)
    return Galaxy(
        z=z, log_mass=mass, quenched=quenched, green=green, kind=kind, bulge_fraction=bulge_fraction,
        bulge=bulge, disk=disk, inclination=np.arccos(cos_i), angle=rng.uniform(0, np.pi),
        **_shape(rng, mass, z, kind, flat),
        **_pattern(rng, kind, bulge_fraction, flat),
        **_dispersions(rng, mass, quenched, cos_i),
        **_dust(rng, mass, quenched, kind, cos_i),
        nucleus=_nucleus(rng, mass, quenched, green, bulge_fraction, bulge, disk),
        seeing=float(np.clip(rng.lognormal(np.log(1.32), 0.11), 1.0, 2.0)),
    )  # fmt: skip


def _morphology(rng: np.random.Generator, mass: float, quenched: bool) -> tuple[str, float]:
    """Type and mass fraction of the bulge: quenched galaxies are E or S0, the others S, or Irr at low mass."""
    u = rng.random()
    if quenched:
        kind = "E" if u < 0.55 + 0.25 * (mass - 10.5) else "S0"
    else:
        kind = "Irr" if u < 0.6 / (1 + np.exp((mass - 9.6) / 0.15)) else "S"
    fractions = {"E": rng.uniform(0.75, 1.0), "S0": rng.beta(5, 4), "Irr": 0.0}
    fractions["S"] = np.clip(rng.beta(1.6, 6) + 0.12 * (mass - 10.3), 0.0, 0.75)
    return kind, float(fractions[kind])


def _shape(rng: np.random.Generator, mass: float, z: float, kind: str, flat: float) -> dict:
    """Sizes and axial ratios: half-light radii and their scatter of Shen et al. 2003, eqs. 17-19, table 1."""
    linear = 10**mass
    early = kind in ("E", "S0")
    kpc = 2.88e-6 * linear**0.56 if early else 0.1 * linear**0.14 * (1 + linear / 3.98e10) ** 0.25
    scatter = 0.34 + 0.13 / (1 + (linear / 3.98e10) ** 2)
    kpc *= np.exp(rng.normal(0, scatter))
    kpc *= 1.12 if kind == "E" else 1.27  # from circularised radii to semi-major axes of the mean axial ratio
    arcsec = float(np.clip(kpc / kpc_per_arcsec(z), 0.3, 14.0))
    round_axis = rng.uniform(0.6, 1.0)
    elliptical = kind == "E"
    sersic = (4.2 + 0.8 * (mass - 10.8), 0.7, 2.2, 6.0) if elliptical else (2.8, 0.9, 1.0, 4.5)
    return {
        "radius": arcsec,
        "bulge_radius": arcsec if elliptical else float(np.clip(arcsec * rng.uniform(0.2, 0.45), 0.15, 6.0)),
        "disk_radius": arcsec * (1.6 if elliptical else rng.uniform(1.1, 1.3)),
        "sersic": float(np.clip(rng.normal(*sersic[:2]), *sersic[2:])),
        "bulge_axis": round_axis if elliptical else float(np.clip(rng.normal(0.8, 0.1), max(0.5, flat), 1.0)),
        "disk_axis": round_axis if elliptical else max(flat, 0.35) if kind == "Irr" else flat,
    }


_Z = np.linspace(0.01, 0.4, 1561)
_DISTANCE = COSMOLOGY.luminosity_distance(_Z).value


def luminosity_distance(z: float) -> float:
    """Luminosity distance [Mpc] at 0.01 < `z` < 0.4, interpolated to 1e-5."""
    return float(np.interp(z, _Z, _DISTANCE))


def kpc_per_arcsec(z: float) -> float:
    """Proper kpc per arcsec at `z`."""
    return luminosity_distance(z) / (1 + z) ** 2 * 1e3 * np.deg2rad(1 / 3600)


def _pattern(rng: np.random.Generator, kind: str, bulge_fraction: float, flat: float) -> dict:
    """Spiral arms (open where the bulge is small: Hubble's sequence), texture and bar; all fade edge on."""
    face_on = float(np.clip((flat - THICKNESS) / 0.35, 0.0, 1.0))
    contrast, clumps, barred = rng.uniform(0.6, 1.1), rng.uniform(0.2, 0.55), rng.random() < 0.35
    disk_galaxy = kind == "S"
    arms = int(rng.choice([2, 2, 2, 3, 4]))
    pitch = np.deg2rad(np.clip(rng.normal(23 - 18 * bulge_fraction, 4), 8, 35)) * rng.choice([-1, 1])
    return {
        "arms": arms,
        "pitch": float(pitch),
        "contrast": contrast * face_on if disk_galaxy else 0.0,
        "clumps": clumps * face_on if disk_galaxy else 2.0 * clumps if kind == "Irr" else 0.0,
        "bar": rng.uniform(0.1, 0.25) if barred and kind in ("S", "S0") else 0.0,
    }


def _histories(
    rng: np.random.Generator, mass: float, quenched: bool, green: bool
) -> tuple[Population, Population]:
    """Histories of bulge and disk: old where massive (downsizing), metals by Gallazzi et al. 2005."""
    metal = float(np.interp(mass, *GALLAZZI[:2]))
    bulge = Population(
        onset=float(np.clip(rng.normal(_onset(mass, BULGE_ONSET), 1.8), 3.5, 13.0)),
        tau=float(np.clip(rng.lognormal(np.log(0.7 if quenched else 1.2), 0.35), 0.2, 4.0)),
        quench=rng.uniform(0.8, 4.0) if quenched else 0.5,
        burst=0.0,
        burst_age=1.0,
        metal=float(np.clip(metal + (0.10 if quenched else 0.04) + rng.normal(0, 0.10), -1.4, 0.22)),
    )
    if quenched:
        onset, tau = rng.normal(_onset(mass, DISK_ONSET), 1.8), rng.lognormal(np.log(0.9), 0.3)
    else:
        onset = rng.normal(7.5, 2.0)
        tau = rng.lognormal(np.log(np.clip(5.0 * 10 ** (-0.45 * (mass - 10)), 1.8, 20.0)), 0.45)
    tau = rng.lognormal(np.log(1.9), 0.15) if green else np.clip(tau, 0.3, 30.0)
    starburst = not quenched and rng.random() < (0.16 if mass < 9.8 else 0.05)
    disk = Population(
        onset=float(np.clip(onset, 2.5, 13.0)),
        tau=float(tau),
        quench=rng.uniform(0.8, 4.0) if quenched else rng.uniform(0.1, 0.8) if green else 0.0,
        burst=10 ** rng.uniform(-2.2, -1.0) if starburst else 0.0,
        burst_age=rng.uniform(0.05, 0.6),
        metal=float(np.clip(metal - 0.02 + rng.normal(0, 0.12), -1.5, 0.20)),
    )
    return bulge, disk


def _dispersions(rng: np.random.Generator, mass: float, quenched: bool, cos_i: float) -> dict:
    """Velocity dispersions: bulges as Zahid et al. 2016; disks add unresolved rotation."""
    bulge = 118.3 * 10 ** ((mass - 10.26) * (0.293 if mass > 10.26 else 0.403)) * 10 ** rng.normal(0, 0.07)
    rotation = 10 ** (2.13 + 0.28 * (mass - 10)) * 10 ** rng.normal(0, 0.05)  # Tully & Fisher 1977
    turbulent = 25 + 20 * (mass > 10)
    disk = 0.85 * bulge if quenched else np.hypot(turbulent, 0.38 * rotation * np.sqrt(1 - cos_i**2))
    return {"bulge_vdisp": float(np.clip(bulge, 25, 400)), "disk_vdisp": float(np.clip(disk, 25, 400))}


def _dust(rng: np.random.Generator, mass: float, quenched: bool, kind: str, cos_i: float) -> dict:
    """Reddening: grows with mass and inclination in star-forming disks; gas has 1/0.44 of it."""
    if quenched:
        disk = abs(rng.normal(0, 0.03))
    else:
        path = 1 + 0.28 * (1 / max(cos_i, 0.3) - 1)
        disk = float(np.clip((0.045 + 0.075 * (mass - 9.3)) * path + rng.normal(0, 0.035), 0.0, 0.5))
    return {
        "disk_ebv": disk,
        "bulge_ebv": disk if kind == "E" else 0.6 * disk,
        "gas_ebv": min(disk / 0.44, 1.1),
        "mw_ebv": float(np.clip(rng.lognormal(np.log(0.026), 0.5), 0.004, 0.15)),
    }


def _nucleus(
    rng: np.random.Generator,
    mass: float,
    quenched: bool,
    green: bool,
    bulge_fraction: float,
    bulge: Population,
    disk: Population,
) -> str:
    """Type of active nucleus, in hosts like those of the survey; quenched galaxies only have LINERs.

    How well the host's image predicts activity is set by the survey's images: 82 per cent of predictions are
    right, 67 per cent if no galaxy is called active (Doorenbos et al. 2024, section 5.7).
    """
    if quenched:
        chance = _liner_chance(mass, bulge_fraction, bulge, disk)
    else:
        chance = 0.9 if green else _active_chance(mass, bulge_fraction)
    if rng.random() >= chance:
        return "none"
    return "LINER" if quenched or rng.random() < 0.5 else "Seyfert"


def _active_chance(mass: float, bulge_fraction: float) -> float:
    """Probability that a star-forming galaxy is active: high in massive and concentrated hosts.

    Kauffmann et al. 2003, sections 5 and 6. Almost all galaxies in transition are active (Schawinski et al.
    2007).
    """
    return 0.03 + 0.95 / (1 + np.exp(-(mass - 10.5 + 0.6 * (bulge_fraction - 0.2)) / 0.05))


def _liner_chance(mass: float, bulge_fraction: float, bulge: Population, disk: Population) -> float:
    """Probability that a quenched galaxy is a LINER: high with a disk, and if young for its mass.

    Ionised gas is where disks are (Sarzi et al. 2006); LINERs of the red sequence are some 2-3 Gyr younger
    than its inactive galaxies (Graves et al. 2007).
    """
    excess = bulge_fraction * (bulge.onset - _onset(mass, BULGE_ONSET))
    excess += (1 - bulge_fraction) * (disk.onset - _onset(mass, DISK_ONSET))
    return 0.04 + 0.88 / (1 + np.exp(2.0 * excess - 4.0 * (0.65 - bulge_fraction) + 1.0))


def _onset(mass: float, line: tuple[float, float, float]) -> float:
    """Mean lookback time [Gyr] of the first stars of a quenched galaxy."""
    middle, slope, pivot = line
    return middle + slope * (mass - pivot)
