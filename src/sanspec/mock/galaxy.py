"""One simulated galaxy, from its own random generator to its image, photometry and spectrum."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from sanspec.config import Mock
from sanspec.mock import gas, image, night, photometry, population, spectrum, stars
from sanspec.mock.photometry import Photometry
from sanspec.mock.population import Galaxy
from sanspec.mock.spectrum import Spectrum
from sanspec.physics.air import vac_to_air
from sanspec.physics.lines import INDICES
from sanspec.spectra.grid import LOGLAM_STEP
from sanspec.stellar.library import open_library

PARSEC = 3.0857e18  # cm
R_EXTINCTION = 2.285  # A_r per E(B-V): Schlafly & Finkbeiner 2011, table 6
FIBRE_BRIGHT, FIBRE_FAINT = 15.0, 19.5  # fibre magnitude in r, about the limits of Strauss et al. 2002
MU50_LIMIT = 24.5  # r mag per square arcsec, mean within the half-light radius (Strauss et al. 2002)
# Error of the calibration of the images (Padmanabhan et al. 2008).
ZERO_POINT = np.array([0.02, 0.01, 0.01, 0.01, 0.01])


@dataclass(frozen=True)
class Light:
    """Light of a galaxy; components: bulge, old disk, young disk.

    sed: (component, pix) Lsun/Angstrom, rest frame, reddened by the galaxy's own dust; flux: (component, band)
    nanomaggies, reddened by the Milky Way; lines: (line) erg/s/cm2 of the gas around young stars, whole
    galaxy; scale: erg/s/cm2/A of the observed frame per Lsun/A; absolute_r: magnitude of the stars in
    the rest frame's r; sfr: solar masses per year (Salpeter); age [Gyr], metal [M/H]: means over the mass
    formed.
    """

    sed: Float[np.ndarray, "component pix"]
    flux: Float[np.ndarray, "component band"]
    lines: Float[np.ndarray, " line"]
    scale: float
    absolute_r: float
    sfr: float
    age: float
    metal: float


@dataclass(frozen=True)
class Fibre:
    """The truth inside the fibre: noiseless, without the Milky Way's dust.

    lines: (line) erg/s/cm2; width: equivalent width of Halpha [Angstrom, rest frame, emission positive];
    vdisp: light-weighted [km/s]; dn4000: of the continuum.
    """

    lines: Float[np.ndarray, " line"]
    width: float
    vdisp: float
    dn4000: float


@dataclass(frozen=True)
class Observation:
    """What the survey observes of one galaxy, and the truth. cube: (band, y, x) nanomaggies."""

    galaxy: Galaxy
    light: Light
    cube: Float[np.ndarray, "band y x"]
    photometry: Photometry
    spectrum: Spectrum
    fibre: Fibre
    platesn2: float


@dataclass(frozen=True)
class Instruments:
    """Stellar population models, filters and redshift window: the same for every galaxy."""

    stars: stars.Stars
    filters: Float[np.ndarray, "band pix"]
    z_min: float
    z_max: float

    @classmethod
    def read(cls, templates: Path, settings: Mock) -> "Instruments":
        """From a file of E-MILES templates. Raises SanspecError where it cannot be read."""
        library = stars.prepare(open_library(templates))
        return cls(library, stars.filter_weights(), settings.z_min, settings.z_max)

    def simulate(self, rng: np.random.Generator, others: Sequence[image.Neighbour] = ()) -> Observation:
        """The first galaxy drawn that the Main Galaxy Sample selects; `others` only appear in its image."""
        while True:
            galaxy = population.draw(rng, self.z_min, self.z_max)
            light = self.shine(galaxy, rng)
            total = float(photometry.magnitude(light.flux[:, 2].sum())) - R_EXTINCTION * galaxy.mw_ebv
            if total > population.FLUX_LIMIT + 0.05:  # a Petrosian flux is never much more than the total
                continue
            observation = self.observe(galaxy, light, list(others), rng)
            if observation is not None:
                return observation

    def shine(self, galaxy: Galaxy, rng: np.random.Generator) -> Light:
        """Spectra and ugriz fluxes of the components, and the emission lines of star formation."""
        bulge, disk = stars.weights(self.stars, galaxy.bulge), stars.weights(self.stars, galaxy.disk)
        shares = np.array([galaxy.bulge_fraction, 1 - galaxy.bulge_fraction])
        left = np.array([(weight.ravel() * self.stars.masses).sum() for weight in (bulge, disk)])
        formed = 10**galaxy.log_mass / stars.CHABRIER * shares / left  # Salpeter masses [solar]
        young = (self.stars.ages < stars.YOUNG)[:, None]
        parts = np.stack([bulge * formed[0], disk * formed[1] * ~young, disk * formed[1] * young])
        ebv = np.array([[galaxy.bulge_ebv], [galaxy.disk_ebv], [galaxy.disk_ebv]])
        sed = parts.reshape(3, -1).astype(np.float32) @ self.stars.flux
        sed = sed * 10 ** (-0.4 * ebv * stars.CALZETTI)
        area = 4 * np.pi * (population.luminosity_distance(galaxy.z) * 1e6 * PARSEC) ** 2
        scale = stars.LSUN / area / (1 + galaxy.z)
        sfr = float(stars.star_formation(galaxy.disk) * formed[1])
        halpha = gas.halpha(sfr, rng) / area
        lines = gas.fluxes(halpha, gas.star_forming(rng, galaxy.log_mass), galaxy.gas_ebv)
        seen = stars.shifted_weights(self.filters, galaxy.z, galaxy.mw_ebv)
        flux = sed @ seen.T * scale
        at = np.rint(np.log10(gas.WAVE) / LOGLAM_STEP).astype(int) - stars.FIRST
        flux[2] += seen[:, at] @ (lines / (gas.WAVE * (1 + galaxy.z) * np.log(10) * LOGLAM_STEP))
        at_rest = stars.shifted_weights(self.filters, 0.0, 0.0)[2]
        flux_r = sed.sum(axis=0) @ at_rest * stars.LSUN / (4 * np.pi * (10 * PARSEC) ** 2)  # at 10 pc
        whole = parts.sum(axis=0)
        by_age, by_metal = whole.sum(axis=1), whole.sum(axis=0)
        age = float(by_age @ self.stars.ages / by_age.sum())
        metal = float(by_metal @ self.stars.metals / by_metal.sum())
        return Light(sed, flux, lines, scale, float(photometry.magnitude(flux_r)), sfr, age, metal)

    def observe(
        self, galaxy: Galaxy, light: Light, others: list[image.Neighbour], rng: np.random.Generator
    ) -> Observation | None:
        """Image, photometry and spectrum; None where the Main Galaxy Sample does not select the galaxy."""
        parts, blur = image.components(galaxy, rng), image.seeing(galaxy)
        flux = light.flux * (1 + ZERO_POINT * rng.standard_normal(5))
        field = image.field(parts, flux, blur)
        inside = image.fibre_fractions(parts, blur)
        measured = photometry.measure(field, (flux * inside).sum(axis=0), flux.sum(axis=0), rng)
        if not selected(measured, galaxy.mw_ebv):
            return None
        others = others + image.draw_neighbours(rng)
        crowd = image.stamp(image.neighbours_field(others, blur)) if others else 0.0
        cube = image.noisy(image.stamp(field) + crowd, rng)
        platesn2 = float(np.clip(rng.normal(19, 4), 13, 40))
        observed, fibre = self._expose(galaxy, light, inside[:, 2], platesn2, rng)
        return Observation(galaxy, light, cube, measured, observed, fibre, platesn2)

    def _expose(
        self,
        galaxy: Galaxy,
        light: Light,
        inside: Float[np.ndarray, " component"],
        platesn2: float,
        rng: np.random.Generator,
    ) -> tuple[Spectrum, Fibre]:
        """The spectrum of the light inside the fibre, with the components' shares of the r image."""
        wdisp = night.DISPERSION * (1 + 0.05 * rng.normal())
        sigma, z = self.stars.sigma, galaxy.z
        bulge = spectrum.observe(light.sed[0] * inside[0], sigma, z, galaxy.bulge_vdisp, wdisp)
        disk = inside[1:] @ light.sed[1:]
        disk = spectrum.observe(disk.astype(np.float32), sigma, z, galaxy.disk_vdisp, wdisp)
        starlight = (bulge + disk) * light.scale
        lines, nuclear, width = _fibre_lines(galaxy, light, inside[2], starlight, rng)
        kms = np.where(nuclear > 0.5 * lines, np.clip(galaxy.bulge_vdisp, 90.0, 300.0), gas.width(galaxy))
        total = starlight + spectrum.emission(lines, z, kms, wdisp)
        observed = spectrum.expose(1e17 * total, wdisp, galaxy.mw_ebv, platesn2, rng)
        middle = slice(*np.searchsorted(night.WAVE, [4500 * (1 + z), 6000 * (1 + z)]))
        share = bulge[middle].sum() / (bulge + disk)[middle].sum()
        vdisp = float(np.sqrt(share * galaxy.bulge_vdisp**2 + (1 - share) * galaxy.disk_vdisp**2))
        return observed, Fibre(lines, width, vdisp, dn4000(starlight, z))


def selected(measured: Photometry, mw_ebv: float) -> bool:
    """Whether the Main Galaxy Sample selects: Petrosian r, surface brightness, fibre magnitude, all dereddened."""
    r, fibre = photometry.magnitude(np.array([measured.petro[2], measured.fibre[2]])) - R_EXTINCTION * mw_ebv
    mu50 = r + 2.5 * np.log10(2 * np.pi * measured.petro_r50[2] ** 2)
    return bool(r < population.FLUX_LIMIT and mu50 < MU50_LIMIT and FIBRE_BRIGHT < fibre < FIBRE_FAINT)


def _fibre_lines(
    galaxy: Galaxy,
    light: Light,
    inside: float,
    starlight: Float[np.ndarray, " pix"],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, " line"], Float[np.ndarray, " line"], float]:
    """Fluxes of all lines and those of the nucleus [erg/s/cm2]; rest-frame equivalent width of Halpha [Angstrom]."""
    at = int(np.searchsorted(night.WAVE, gas.WAVE[gas.INDEX["H_alpha"]] * (1 + galaxy.z)))
    continuum = float(np.median(starlight[at - 60 : at + 60])) * (1 + galaxy.z)
    ratios = gas.nuclear(rng, galaxy.nucleus)
    nuclear = gas.fluxes(1.0, ratios, 0.1 + 0.3 * rng.random())
    nuclear *= gas.nuclear_width(rng, galaxy) * continuum / nuclear[gas.INDEX["H_alpha"]]
    lines = light.lines * inside + nuclear
    return lines, nuclear, float(lines[gas.INDEX["H_alpha"]] / continuum)


def dn4000(starlight: Float[np.ndarray, " pix"], z: float) -> float:
    """Dn4000 (Balogh et al. 1999) of a noiseless spectrum on night.WAVE at `z`. Its windows are in air."""
    air = vac_to_air(night.WAVE / (1 + z))
    f_nu, weight = starlight * night.WAVE**2, night.WAVE
    inside = [(air > low) & (air < high) for low, high in (INDICES["dn4000"].red, INDICES["dn4000"].blue)]
    red, blue = (np.average(f_nu[use], weights=weight[use]) for use in inside)
    return float(red / blue)
