"""FIREFLY's method without the faults of the released code: the default.

Differences from the released code (`compat`): templates trimmed where they end; the data's own line-spread function; a
filter that mirrors the spectrum at its ends instead of wrapping it around; the error of every pixel in the filtered
fit; an attenuation averaged over the tree instead of that of its best solution; populations added with the share that
fits best; smooth errors of the flux calibration marginalised; means over all solutions, with errors calibrated on
mocks; masses corrected for all the light that dust absorbs.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from sanspec.config import Firefly
from sanspec.errors import Warn
from sanspec.physics.dust import CURVES, transmission
from sanspec.stellar.firefly import filtered, populations
from sanspec.stellar.firefly.match import Fitted, Matched
from sanspec.stellar.spectra import Unfit, solar_luminosity

Pixels = Float[np.ndarray, " used"]

# Factors on the fits' own spreads, so that 68 % of mocks lie within the stated errors: of the spread of the solutions,
# of the change by one error of E(B-V), and the minimum error in the unit of the quantity. Found on 400 mixtures of one
# to three M11-MILES populations with S/N 5-50 (seeds 1000-1399 of benchmarks/firefly_mocks.py), half of them with noise
# as correlated as that of prepared spectra; benchmarks/firefly_mocks.json holds their coverage on others.
FACTORS = {
    "ebv": (1.4, 0.0, 0.018),
    "metal": (1.15, 0.9, 0.008),
    "log": (1.2, 1.3, 0.005),
    "ml": (1.2, 1.3, 0.005),
}


class CleanFit:
    """The clean mode on one spectrum: all its bootstrap draws share the populations and the attenuation curve.

    places: positions of the used pixels in the span. flux (used): of the spectrum. norm (ssp): Lsun/Angstrom per solar
    mass formed that the populations are divided by. shapes (ssp, used): the populations, each of median 1. slow (ssp,
    used): their slow parts. curve (used): A / E(B-V).
    """

    def __init__(self, matched: Matched, settings: Firefly):
        self.matched, self.settings = matched, settings
        self.places, self.flux = np.flatnonzero(matched.used), matched.flux
        models = matched.models[:, matched.used]
        self.norm = np.median(models, axis=1)
        self.shapes = models / self.norm[:, None]
        self.slow = filtered.slow_part(self.shapes)
        self.wave = matched.wave[matched.used]
        self.curve = CURVES[settings.curve](self.wave)

    def solve(self, draw: Pixels | None = None) -> Fitted:
        """Dust, then populations, of the spectrum, or of a bootstrap draw of it, which gets no errors.

        The errors of the populations hold the spread of the solutions and the effect of the error of the dust. Raises
        Unfit.
        """
        flux = self.flux if draw is None else draw
        level = np.median(flux)
        if level <= 0:
            raise Unfit(Warn.NO_SIGNAL)
        scaled = flux / level, self.matched.error / level
        found = self.attenuation(*scaled)
        spectrum = self.matched.spectrum
        luminosity = solar_luminosity(spectrum.z) * spectrum.norm
        mass = level / self.norm * luminosity / float(np.median(transmission(found.ebv, self.curve)))
        means = self.means(*scaled, found.relative, found.keep, mass)
        values = dict(zip(populations.NAMES, means.mean.tolist())) | {"ebv_stars": found.ebv}
        errors = {"ebv_stars": stated_error("ebv_stars", found.spread)}
        if draw is None:
            tilts = (relative_transmission(sign * errors["ebv_stars"], self.curve) for sign in (1.0, -1.0))
            sides = [self.means(*scaled, found.relative * tilt, found.keep, mass).mean for tilt in tilts]
            changes = zip(populations.NAMES, means.spread, 0.5 * (sides[0] - sides[1]))
            errors |= {name: stated_error(name, spread, change) for name, spread, change in changes}
        return Fitted(values, errors, means.model * level, means.shares, means.chi2)

    def attenuation(self, flux: Pixels, error: Pixels) -> filtered.Attenuation:
        """The attenuation that multiplies the models: smoothed, or that of the named curve; flux of median 1."""
        found = filtered.find_attenuation(
            self.wave, flux, error, self.shapes, self.slow, self.curve, self.settings.ebv_max
        )
        if self.settings.attenuation == "curve":
            return replace(found, relative=relative_transmission(found.ebv, self.curve))
        return found

    def means(
        self,
        flux: Pixels,
        error: Pixels,
        relative: Pixels,
        keep: Bool[np.ndarray, " used"],
        mass: Float[np.ndarray, " ssp"],
    ) -> populations.Means:
        """The populations behind a `relative` attenuation; mass (ssp): solar masses of all the light, dust removed."""
        models = self.shapes * relative
        middle = np.median(models, axis=1)
        models /= middle[:, None]
        columns = populations.columns(
            self.matched.library, self.matched.young, mass / middle, self.settings.averages
        )
        return populations.fit_populations(flux, error, models, keep, columns, self.settings)


def stated_error(name: str, spread: float, change: float = 0.0) -> float:
    """The 1 sigma error of a quantity, by FACTORS.

    spread: standard deviation over the solutions; change: by one error of E(B-V). Masses and M/L go with age.
    """
    solutions, dust, minimum = FACTORS[name.split("_")[0]]
    return float(np.sqrt((solutions * spread) ** 2 + (dust * change) ** 2 + minimum**2))


def relative_transmission(ebv: float, curve: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """Transmission of dust of a curve A / E(B-V), over its median."""
    through = transmission(ebv, curve)
    return through / np.median(through)
