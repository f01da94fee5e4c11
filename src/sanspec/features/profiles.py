"""Gaussian emission lines over a straight continuum: the astropy model, its fit, its errors.

A line is a Gaussian of the instrument's line spread broadened by a dispersion of its own >= 0, so that no
line is narrower than the instrument; lines of one upper level are one line.
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
    """One stretch of one continuum-subtracted spectrum, rest frame.

    wave (pix): vacuum Angstrom; flux, ivar (pix): any flux density and its inverse variance, 0 = masked;
    weight (pix): of each pixel in the fit, 0 = masked; correlation (lag, pix): of the noise; lsf (pix):
    standard deviation of the line spread [Angstrom].
    """

    wave: Float[np.ndarray, " pix"]
    flux: Float[np.ndarray, " pix"]
    ivar: Float[np.ndarray, " pix"]
    weight: Float[np.ndarray, " pix"]
    correlation: Float[np.ndarray, "lag pix"]
    lsf: Float[np.ndarray, " pix"]


# -------------------------------------------------------------------------------------------------- model


@functools.cache
def profile_model(names: tuple[str, ...], slots: tuple[int, ...]) -> type[Fittable1DModel]:
    """An astropy model of lines over a straight continuum; lines of one slot share velocity and dispersion.

    Parameters: `flux_<line>`, then `v_<slot>` and `sigma_<slot>` [km/s], `level` and `tilt` (per 100
    Angstrom). Instances need `spread`, the standard deviation of the line spread [Angstrom] at each member of
    each line.
    """
    fluxes = {f"flux_{name}": Parameter(default=0.0) for name in names}
    kinematics = {}
    for slot in range(max(slots) + 1):
        kinematics |= {f"v_{slot}": Parameter(default=0.0), f"sigma_{slot}": Parameter(default=100.0)}
    base = {"level": Parameter(default=0.0), "tilt": Parameter(default=0.0)}
    methods = {"evaluate": _evaluate, "fit_deriv": _derivatives, "col_fit_deriv": True}
    facts = {"lines": tuple(EMISSION_LINES[name] for name in names), "slots": slots, "spread": None}
    return type("Profiles", (Fittable1DModel,), fluxes | kinematics | base | methods | facts)


def _members(model, x, parameters):
    """For each line: unit-flux profile, and its derivatives by velocity and dispersion."""
    count = len(model.lines)
    for k, (line, slot, spreads) in enumerate(zip(model.lines, model.slots, model.spread)):
        v, sigma = (float(np.ravel(parameters[count + 2 * slot + j])[0]) for j in (0, 1))
        total, by_v, by_sigma = np.zeros(np.shape(x)), np.zeros(np.shape(x)), np.zeros(np.shape(x))
        for (wave, ratio), spread in zip(line.members, spreads):
            centre, own = wave * (1 + v / C_KMS), sigma / C_KMS * wave
            width = np.hypot(spread, own)
            offset = (x - centre) / width
            bell = ratio * np.exp(-0.5 * offset**2) / (np.sqrt(2 * np.pi) * width)
            total += bell
            by_v += bell * offset / width * wave / C_KMS
            by_sigma += bell * (offset**2 - 1) / width * own / width * wave / C_KMS
        yield k, slot, total, by_v, by_sigma


def _evaluate(self, x, *parameters):
    """The model at rest-frame wavelengths x."""
    level, tilt = parameters[-2:]
    result = level + tilt * (x - self.middle) / 100.0
    for k, _, profile, _, _ in _members(self, x, parameters):
        result = result + parameters[k] * profile
    return result


def _derivatives(self, x, *parameters):
    """Derivatives of the model by every parameter, in their order."""
    count = len(self.lines)
    columns = [np.zeros(np.shape(x)) for _ in parameters]
    for k, slot, profile, by_v, by_sigma in _members(self, x, parameters):
        flux = float(np.ravel(parameters[k])[0])
        columns[k] = profile
        columns[count + 2 * slot] = columns[count + 2 * slot] + flux * by_v
        columns[count + 2 * slot + 1] = columns[count + 2 * slot + 1] + flux * by_sigma
    columns[-2], columns[-1] = np.ones(np.shape(x)), (x - self.middle) / 100.0
    return columns


# --------------------------------------------------------------------------------------------------- fits


@dataclass(frozen=True)
class Fit:
    """A fitted model with the covariance of its free parameters, which are `free` of all."""

    model: Fittable1DModel
    names: tuple[str, ...]
    free: tuple[str, ...]
    covariance: Float[np.ndarray, "free free"]

    def flux(self, name: str) -> tuple[float, float]:
        """Flux of a line and its error."""
        at = self.free.index(f"flux_{name}")
        return float(getattr(self.model, f"flux_{name}").value), float(np.sqrt(self.covariance[at, at]))

    def snr(self, name: str) -> float:
        """Signal to noise of a line."""
        flux, error = self.flux(name)
        return flux / error if error > 0 else 0.0

    def kinematics(self, name: str) -> tuple[float, float]:
        """Velocity and dispersion of a line [km/s]."""
        slot = self.model.slots[self.names.index(name)]
        return float(getattr(self.model, f"v_{slot}").value), float(
            getattr(self.model, f"sigma_{slot}").value
        )


def start_model(window: Window, names: tuple[str, ...], slots: tuple[int, ...]) -> Fittable1DModel:
    """A model of these lines with the line spread of the window, all kinematics fixed."""
    model = profile_model(names, slots)()
    model.middle = 0.5 * (window.wave[0] + window.wave[-1])
    model.spread = [
        [float(np.interp(wave, window.wave, window.lsf)) for wave, _ in line.members] for line in model.lines
    ]
    for slot in set(slots):
        for parameter in (f"v_{slot}", f"sigma_{slot}"):
            getattr(model, parameter).fixed = True
    return model


def release(model: Fittable1DModel, slot: int, settings: Lines) -> None:
    """Free velocity and dispersion of a slot within the bounds of the settings."""
    v, sigma = getattr(model, f"v_{slot}"), getattr(model, f"sigma_{slot}")
    v.fixed = sigma.fixed = False
    v.bounds, sigma.bounds = (-settings.v_max, settings.v_max), (0.0, settings.sigma_max)
    sigma.value = np.clip(
        sigma.value, 20.0, 0.9 * settings.sigma_max
    )  # at 0 the fit would have no slope to follow


def solve(window: Window, model: Fittable1DModel, names: tuple[str, ...]) -> Fit:
    """The model fitted to the good pixels, weighted by their noise; covariance from the noise covariance.

    The estimator is that of independent pixels; its covariance is that of the true, banded noise carried
    through it.
    """
    use = window.weight > 0
    x, y, weights = window.wave[use], window.flux[use], np.sqrt(window.weight[use])
    _set_linear(model, names, x, y, weights)
    if not all(model.fixed[name] for name in model.param_names if name.startswith(("v_", "sigma_"))):
        scale = float(np.abs(y).max()) or 1.0
        model = _fitted(model, x, y / scale, weights * scale, names, scale)
    return Fit(model, names, *_covariance(window, model))


def _fitted(model, x, y, weights, names, scale) -> Fittable1DModel:
    """The nonlinear fit, in units that make all parameters of order one."""
    linear = [f"flux_{name}" for name in names] + ["level", "tilt"]
    for parameter in linear:
        setattr(model, parameter, getattr(model, parameter).value / scale)
    fitted = TRFLSQFitter()(model, x, y, weights=weights, maxiter=100, filter_non_finite=False)
    for parameter in linear:
        setattr(fitted, parameter, getattr(fitted, parameter).value * scale)
    return fitted


def _set_linear(model, names, x, y, weights) -> None:
    """Fluxes and continuum at the least squares for the model's present kinematics."""
    columns = model.fit_deriv(x, *model.parameters)
    chosen = [k for k, name in enumerate(model.param_names) if not name.startswith(("v_", "sigma_"))]
    design = np.array([columns[k] for k in chosen]).T
    best = np.linalg.lstsq(design * weights[:, None], y * weights, rcond=None)[0]
    for k, value in zip(chosen, best):
        setattr(model, model.param_names[k], value)


def _covariance(window: Window, model: Fittable1DModel) -> tuple[tuple[str, ...], np.ndarray]:
    """Free parameters (those at a bound left out) and their covariance under the window's noise."""
    columns = model.fit_deriv(window.wave, *model.parameters)
    free = [
        k for k, name in enumerate(model.param_names) if not model.fixed[name] and not _stuck(model, name)
    ]
    design = np.array([columns[k] for k in free])
    normal = (design * window.weight) @ design.T
    gain = np.linalg.pinv(normal, hermitian=True) @ (design * window.weight)
    spread = noise.covariance_times(gain, window.ivar, window.correlation)
    return tuple(model.param_names[k] for k in free), gain @ spread.T


def _stuck(model: Fittable1DModel, name: str) -> bool:
    """Whether a parameter stands at its bound."""
    low, high = model.bounds[name]
    value = getattr(model, name).value
    return (low is not None and value <= low + 1e-3) or (high is not None and value >= high - 1e-3)


def coverage(window: Window, line: EmissionLine, v: float, sigma: float) -> float:
    """Part of a line's squared profile, which is what weighs in the fit, that lies on good pixels."""
    total, good = 0.0, 0.0
    for wave, ratio in line.members:
        width = np.hypot(np.interp(wave, window.wave, window.lsf), sigma / C_KMS * wave)
        edges = np.arange(wave - 4 * width, wave + 4 * width, np.diff(window.wave).min()) * (1 + v / C_KMS)
        bell = ratio**2 * np.exp(-(((edges - edges.mean()) / width) ** 2))
        near = np.clip(np.searchsorted(window.wave, edges), 0, len(window.wave) - 1)
        inside = (edges >= window.wave[0]) & (edges <= window.wave[-1])
        total += bell.sum()
        good += bell[inside & (window.ivar[near] > 0)].sum()
    return good / total
