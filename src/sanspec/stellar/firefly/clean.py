"""FIREFLY's method with its faults mended: the default.

What differs from the released code (`compat`): templates trimmed where they end; the data's own line spread;
a filter that mirrors the spectrum at its ends instead of wrapping it around; every pixel's own error in the
filtered fit; an attenuation averaged over the tree instead of that of its greedy winner; populations added
with the share that fits best; smooth errors of the flux calibration marginalised; means over all solutions,
with errors calibrated on mocks; masses corrected for all of the light that dust takes.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from sanspec.config import Firefly
from sanspec.stellar.firefly import dust, filtered, populations, tree
from sanspec.stellar.firefly.calibration import ebv_error, error
from sanspec.stellar.firefly.pose import Problem
from sanspec.stellar.spectra import solar_luminosity

CHILDREN = 1000  # combinations kept at most in one iteration of the filtered fit


@dataclass(frozen=True, eq=False)
class Templates:
    """Populations of a problem on the pixels in use, whatever its flux.

    shapes (ssp, pix): each of median 1; slow (ssp, pix): their slow parts; norm (ssp): Lsun/Angstrom per
    solar mass formed that they were divided by; curve (pix): A / E(B-V).
    """

    shapes: Float[np.ndarray, "ssp pix"]
    slow: Float[np.ndarray, "ssp pix"]
    norm: Float[np.ndarray, " ssp"]
    curve: Float[np.ndarray, " pix"]


@dataclass(frozen=True, eq=False)
class Solution:
    """Quantities by name (those of `populations.NAMES`, and `ebv_stars`) with their errors; the best fit.

    model (pix): flux on the pixels in use, unit of the spectrum; relative (pix): attenuation over its median;
    shares (ssp): of the light; chi2: per pixel.
    """

    values: dict[str, float]
    errors: dict[str, float]
    model: Float[np.ndarray, " pix"]
    relative: Float[np.ndarray, " pix"]
    shares: Float[np.ndarray, " ssp"]
    chi2: float


def templates(problem: Problem, settings: Firefly) -> Templates:
    """What of a problem every bootstrap draw shares."""
    models = problem.models[:, problem.used]
    norm = np.median(models, axis=1)
    shapes = models / norm[:, None]
    curve = dust.CURVES[settings.curve](problem.wave[problem.used])
    return Templates(shapes, filtered.slow_part(shapes), norm, curve)


def solve(
    problem: Problem,
    settings: Firefly,
    ready: Templates,
    flux: Float[np.ndarray, " pix"] | None = None,
    with_errors: bool = True,
) -> Solution:
    """Dust, then populations, of a problem's flux or of a draw `flux` in its place.

    The errors of the populations hold the spread of the solutions and what the error of the dust does to
    them.
    """
    flux = problem.flux if flux is None else flux
    level = np.median(flux)
    spectrum = flux / level, problem.error / level
    found = attenuation(problem, settings, ready, *spectrum)
    ebv_spread = ebv_error(found.spread)
    mass = level / ready.norm * luminosity(problem) / absolute(found.ebv, ready.curve)
    middle = means(problem, settings, ready, *spectrum, found, mass)
    values = dict(zip(populations.NAMES, middle.mean.tolist())) | {"ebv_stars": found.ebv}
    errors = {"ebv_stars": ebv_spread}
    if with_errors:
        tilts = (relative(sign * ebv_spread, ready.curve) for sign in (1.0, -1.0))
        sides = [
            means(
                problem, settings, ready, *spectrum, replace(found, relative=found.relative * tilt), mass
            ).mean
            for tilt in tilts
        ]
        by_dust = 0.5 * (sides[0] - sides[1])
        errors |= {
            name: error(name, spread, dusty)
            for name, spread, dusty in zip(populations.NAMES, middle.spread, by_dust)
        }
    return Solution(values, errors, middle.model * level, found.relative, middle.shares, middle.chi2)


def attenuation(
    problem: Problem,
    settings: Firefly,
    ready: Templates,
    flux: Float[np.ndarray, " pix"],
    error: Float[np.ndarray, " pix"],
) -> filtered.Attenuation:
    """The attenuation that multiplies the models, smoothed or of the named curve."""
    limits = tree.Limits(settings.iterations, CHILDREN)
    wave = problem.wave[problem.used]
    found = filtered.determine(
        wave,
        flux,
        error,
        ready.shapes,
        ready.slow,
        ready.curve,
        limits,
        settings.smoothing,
        settings.ebv_max,
    )
    if settings.attenuation == "curve":
        return replace(found, relative=relative(found.ebv, ready.curve))
    return found


def means(
    problem: Problem,
    settings: Firefly,
    ready: Templates,
    flux: Float[np.ndarray, " pix"],
    error: Float[np.ndarray, " pix"],
    found: filtered.Attenuation,
    mass: Float[np.ndarray, " ssp"],
) -> populations.Means:
    """The populations behind an attenuation; mass (ssp): solar masses of all the light, undimmed."""
    models = ready.shapes * found.relative
    middle = np.median(models, axis=1)
    models /= middle[:, None]
    made_of = populations.columns(problem.library, problem.young, mass / middle, settings.averages)
    return populations.determine(
        flux,
        error,
        models,
        found.keep,
        made_of,
        settings.averages,
        settings.calibration,
        settings.iterations,
    )


def relative(ebv: float, curve: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """Attenuation by a curve, over its median."""
    through = dust.transmission(ebv, curve)
    return through / np.median(through)


def absolute(ebv: float, curve: Float[np.ndarray, " pix"]) -> float:
    """The part of the light that is left in the pixel of median attenuation."""
    return float(np.median(dust.transmission(ebv, curve)))


def luminosity(problem: Problem) -> float:
    """Lsun/Angstrom of one unit of the spectrum's flux, rest frame; NaN where its norm is unknown."""
    return solar_luminosity(problem.spectrum.z) * problem.spectrum.norm
