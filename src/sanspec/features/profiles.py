"""Gaussian emission lines over a straight continuum: the astropy model, its fit, its errors.

The variance of a line is that of the line-spread function plus that of an intrinsic dispersion >= 0, so that no line
is narrower than the instrument. Lines from one upper level are fitted as one.
"""

import functools
from dataclasses import dataclass

import numpy as np
from astropy.modeling import Fittable1DModel, Parameter
from astropy.modeling.fitting import TRFLSQFitter
from jaxtyping import Float

from sanspec.config import Lines
from sanspec.physics.constants import C_KMS
from sanspec.physics.lines import EMISSION_LINES, EmissionLine
from sanspec.spectra import noise


@dataclass(frozen=True)
class Window:
    """One range of one continuum-subtracted spectrum, rest frame.

    wave (pix): vacuum Angstrom; flux, ivar (pix): any flux density and its inverse variance, 0 = masked; weight
    (pix): of each pixel in the fit, 0 = masked; correlation (lag, pix): of the noise; lsf (pix): standard deviation
    of the line-spread function [Angstrom].
    """

    wave: Float[np.ndarray, " pix"]
    flux: Float[np.ndarray, " pix"]
    ivar: Float[np.ndarray, " pix"]
    weight: Float[np.ndarray, " pix"]
    correlation: Float[np.ndarray, "lag pix"]
    lsf: Float[np.ndarray, " pix"]

    def coverage(self, line: EmissionLine, v: float, sigma: float) -> float:
        """Fraction of a line's squared profile, which weights the fit, that falls on good pixels."""
        total, good = 0.0, 0.0
        for wave, ratio in line.members:
            width = np.hypot(np.interp(wave, self.wave, self.lsf), sigma / C_KMS * wave)
            edges = np.arange(wave - 4 * width, wave + 4 * width, np.diff(self.wave).min()) * (1 + v / C_KMS)
            bell = ratio**2 * np.exp(-(((edges - edges.mean()) / width) ** 2))
            near = np.clip(np.searchsorted(self.wave, edges), 0, len(self.wave) - 1)
            inside = (edges >= self.wave[0]) & (edges <= self.wave[-1])
            total += bell.sum()
            good += bell[inside & (self.ivar[near] > 0)].sum()
        return good / total


# -------------------------------------------------------------------------------------------------- model


class Profiles(Fittable1DModel):
    """Emission lines over a straight continuum; lines with the same slot share velocity and dispersion.

    Parameters of its subclasses (`start_model`): `flux_<line>`, then `v_<slot>` and `sigma_<slot>` [km/s], `level`
    and `tilt` (per 100 Angstrom). Instances need `middle`, the wavelength of `level`, and `spread`, the standard
    deviation of the line-spread function at each member of each line [Angstrom].
    """

    names: tuple[str, ...] = ()
    slots: tuple[int, ...] = ()
    col_fit_deriv = True

    def unit_profiles(self, x, parameters):
        """For each line: slot, unit-flux profile, and its derivatives with respect to velocity and dispersion."""
        for name, slot, spreads in zip(self.names, self.slots, self.spread):
            v, sigma = (float(np.ravel(parameters[len(self.names) + 2 * slot + j])[0]) for j in (0, 1))
            total, by_v, by_sigma = np.zeros((3, *np.shape(x)))
            for (wave, ratio), spread in zip(EMISSION_LINES[name].members, spreads):
                centre, own = wave * (1 + v / C_KMS), sigma / C_KMS * wave
                width = np.hypot(spread, own)
                offset = (x - centre) / width
                bell = ratio * np.exp(-0.5 * offset**2) / (np.sqrt(2 * np.pi) * width)
                total += bell
                by_v += bell * offset / width * wave / C_KMS
                by_sigma += bell * (offset**2 - 1) / width * own / width * wave / C_KMS
            yield slot, total, by_v, by_sigma

    def evaluate(self, x, *parameters):
        """The model at rest-frame wavelengths x."""
        level, tilt = parameters[-2:]
        result = level + tilt * (x - self.middle) / 100.0
        for flux, (_, profile, _, _) in zip(parameters, self.unit_profiles(x, parameters)):
            result = result + flux * profile
        return result

    def fit_deriv(self, x, *parameters):
        """Derivatives of the model with respect to every parameter, in their order."""
        count = len(self.names)
        columns = [np.zeros(np.shape(x)) for _ in parameters]
        for k, (slot, profile, by_v, by_sigma) in enumerate(self.unit_profiles(x, parameters)):
            flux, at = float(np.ravel(parameters[k])[0]), count + 2 * slot
            columns[k] = profile
            columns[at] = columns[at] + flux * by_v
            columns[at + 1] = columns[at + 1] + flux * by_sigma
        columns[-2], columns[-1] = np.ones(np.shape(x)), (x - self.middle) / 100.0
        return columns

    def release(self, slot: int, settings: Lines) -> None:
        """Free velocity and dispersion of a slot within the bounds of the settings."""
        v, sigma = getattr(self, f"v_{slot}"), getattr(self, f"sigma_{slot}")
        v.fixed = sigma.fixed = False
        v.bounds, sigma.bounds = (-settings.v_max, settings.v_max), (0.0, settings.sigma_max)
        sigma.value = np.clip(sigma.value, 20.0, 0.9 * settings.sigma_max)  # at 0 its derivative vanishes

    def at_bound(self, name: str) -> bool:
        """Whether a parameter lies at its bound."""
        low, high = self.bounds[name]
        value = getattr(self, name).value
        return (low is not None and value <= low + 1e-3) or (high is not None and value >= high - 1e-3)


@functools.cache
def _subclass(names: tuple[str, ...], slots: tuple[int, ...]) -> type[Profiles]:
    """`Profiles` with the parameters of these lines."""
    parameters = {f"flux_{name}": Parameter(default=0.0) for name in names}
    for slot in range(max(slots) + 1):
        parameters |= {f"v_{slot}": Parameter(default=0.0), f"sigma_{slot}": Parameter(default=100.0)}
    parameters |= {"level": Parameter(default=0.0), "tilt": Parameter(default=0.0)}
    return type("Profiles", (Profiles,), parameters | {"names": names, "slots": slots})


def start_model(
    window: Window,
    names: tuple[str, ...],
    slots: tuple[int, ...],
    kinematics: tuple[float, float] = (0.0, 100.0),
) -> Profiles:
    """A model of these lines with the line-spread function of the window, all kinematics [km/s] fixed."""
    model = _subclass(names, slots)()
    model.middle = 0.5 * (window.wave[0] + window.wave[-1])
    model.spread = [
        [float(np.interp(wave, window.wave, window.lsf)) for wave, _ in EMISSION_LINES[name].members]
        for name in names
    ]
    for slot in set(slots):
        for kind, value in zip(("v", "sigma"), kinematics):
            setattr(model, f"{kind}_{slot}", value)
            getattr(model, f"{kind}_{slot}").fixed = True
    return model


# --------------------------------------------------------------------------------------------------- fits


@dataclass(frozen=True)
class Fit:
    """A fitted model, the names of its free parameters away from their bounds, and their covariance."""

    model: Profiles
    free: tuple[str, ...]
    covariance: Float[np.ndarray, "free free"]

    def flux(self, name: str) -> tuple[float, float]:
        """Flux of a line and its error."""
        at = self.free.index(f"flux_{name}")
        return float(getattr(self.model, f"flux_{name}").value), float(np.sqrt(self.covariance[at, at]))

    def snr(self, name: str) -> float:
        """Signal-to-noise ratio of a line."""
        flux, error = self.flux(name)
        return flux / error if error > 0 else 0.0

    def kinematics(self, name: str) -> tuple[float, float]:
        """Velocity and dispersion of a line [km/s]."""
        slot = self.model.slots[self.model.names.index(name)]
        return tuple(float(getattr(self.model, f"{kind}_{slot}").value) for kind in ("v", "sigma"))


def solve(window: Window, model: Profiles) -> Fit:
    """The model fitted to the good pixels: linear least squares, then all free parameters if kinematics are free."""
    use = window.weight > 0
    x, y, weights = window.wave[use], window.flux[use], np.sqrt(window.weight[use])
    linear = [name for name in model.param_names if not name.startswith(("v_", "sigma_"))]
    columns = dict(zip(model.param_names, model.fit_deriv(x, *model.parameters)))
    design = np.array([columns[name] for name in linear]).T
    best = np.linalg.lstsq(design * weights[:, None], y * weights, rcond=None)[0]
    fixed = all(model.fixed[name] for name in columns if name not in linear)
    scale = 1.0 if fixed else float(np.abs(y).max()) or 1.0  # makes all parameters of order one
    for name, value in zip(linear, best):
        setattr(model, name, value / scale)
    if not fixed:
        model = TRFLSQFitter()(
            model, x, y / scale, weights=weights * scale, maxiter=100, filter_non_finite=False
        )
        for name in linear:
            setattr(model, name, getattr(model, name).value * scale)
    return Fit(model, *_covariance(window, model))


def _covariance(window: Window, model: Profiles) -> tuple[tuple[str, ...], np.ndarray]:
    """Free parameters away from their bounds, and their covariance.

    The estimator is that for independent pixels; the noise covariance is propagated through it.
    """
    columns = dict(zip(model.param_names, model.fit_deriv(window.wave, *model.parameters)))
    free = tuple(name for name in columns if not model.fixed[name] and not model.at_bound(name))
    design = np.array([columns[name] for name in free])
    gain = np.linalg.pinv((design * window.weight) @ design.T, hermitian=True) @ (design * window.weight)
    return free, gain @ noise.covariance_times(gain, window.ivar, window.correlation).T
