"""Emission lines on continuum-subtracted spectra: Gaussians fitted with astropy.modeling, equivalent widths, errors.

Lines are fitted in four stretches of the rest frame, each with a straight residual continuum. A line is a
Gaussian of the instrument's line spread broadened by a dispersion of its own >= 0, so that no line is
narrower than the instrument; doublets of one upper level are one line. First Halpha and [N II] share velocity
and dispersion; a line of signal to noise `own_snr` then gets its own, weaker ones take those of the strongest
line, so that no noise peak is chased. Fluxes may come out negative: a line is absent by the rule of
`present`, not by the fit's bound.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from astropy.modeling import Fittable1DModel, Parameter
from astropy.modeling.fitting import TRFLSQFitter
from jaxtyping import Bool, Float

from sanspec import grid, noise
from sanspec.config import Lines
from sanspec.errors import Warn
from sanspec.lines import EMISSION_LINES, EmissionLine

STRETCHES = {  # rest-frame vacuum range [Angstrom] and lines of each fit; the first gives the kinematics of weak lines
    "red": ((6480.0, 6660.0), ("h_alpha", "n_ii_6583")),
    "sulphur": ((6660.0, 6790.0), ("s_ii_6716", "s_ii_6731")),
    "blue": ((4790.0, 5080.0), ("h_beta", "o_iii_5007")),
    "oxygen": ((6250.0, 6420.0), ("o_i_6300",)),
}
SIDE = (50.0, 90.0)  # distance from a line [Angstrom] between which its continuum is averaged, on either side
NAMES = tuple(EMISSION_LINES)
_LEAST_PIXELS = 20  # good pixels of a stretch below which nothing is fitted


@dataclass(frozen=True)
class Window:
    """One stretch of one continuum-subtracted spectrum, rest frame.

    wave (pix): vacuum Angstrom; flux, ivar (pix): any flux density and its inverse variance, 0 = masked;
    correlation (lag, pix): of its noise; lsf (pix): standard deviation of the line spread [Angstrom].
    """

    wave: Float[np.ndarray, " pix"]
    flux: Float[np.ndarray, " pix"]
    ivar: Float[np.ndarray, " pix"]
    correlation: Float[np.ndarray, "lag pix"]
    lsf: Float[np.ndarray, " pix"]


@dataclass(frozen=True)
class Line:
    """A fitted line: flux [flux density times Angstrom, rest frame] and error, v and sigma [km/s], WARN bits."""

    flux: float = np.nan
    error: float = np.nan
    v: float = np.nan
    sigma: float = np.nan
    warn: int = int(Warn.NO_LINE)


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
            centre, own = wave * (1 + v / grid.C_KMS), sigma / grid.C_KMS * wave
            width = np.hypot(spread, own)
            offset = (x - centre) / width
            bell = ratio * np.exp(-0.5 * offset**2) / (np.sqrt(2 * np.pi) * width)
            total += bell
            by_v += bell * offset / width * wave / grid.C_KMS
            by_sigma += bell * (offset**2 - 1) / width * own / width * wave / grid.C_KMS
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
    use = window.ivar > 0
    x, y, weights = window.wave[use], window.flux[use], np.sqrt(window.ivar[use])
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
    normal = (design * window.ivar) @ design.T
    gain = np.linalg.pinv(normal, hermitian=True) @ (design * window.ivar)
    spread = noise.covariance_times(gain, window.ivar, window.correlation)
    return tuple(model.param_names[k] for k in free), gain @ spread.T


def _stuck(model: Fittable1DModel, name: str) -> bool:
    """Whether a parameter stands at its bound."""
    low, high = model.bounds[name]
    value = getattr(model, name).value
    return (low is not None and value <= low + 1e-3) or (high is not None and value >= high - 1e-3)


def fit_lines(windows: dict[str, Window], settings: Lines) -> dict[str, Line]:
    """Every line of a spectrum from its stretches (`cut`); a line that cannot be measured is NaN with NO_LINE."""
    found = {name: Line() for name in NAMES}
    reference = 0.0, settings.sigma_start
    for stretch, (_, names) in STRETCHES.items():
        window = windows.get(stretch)
        if window is None:
            continue
        fit = _shared(window, names, settings) if stretch == "red" else None
        if fit is not None and max(map(fit.snr, names)) >= settings.own_snr:
            reference = fit.kinematics(names[0])
        fit = own_kinematics(window, names, reference, settings, fit)
        if stretch == "red":
            strongest = max(names, key=fit.snr)
            reference = fit.kinematics(strongest) if fit.snr(strongest) >= settings.own_snr else reference
        found |= {name: read_line(window, fit, name, settings) for name in names}
    return found


def _shared(window: Window, names: tuple[str, ...], settings: Lines) -> Fit:
    """Lines of a stretch with one velocity and dispersion, free where a line is seen at the starting ones."""
    model = start_model(window, names, (0,) * len(names))
    model.sigma_0 = settings.sigma_start
    first = solve(window, model, names)
    if max(map(first.snr, names)) < settings.own_snr:
        return first
    release(model, 0, settings)
    return solve(window, model, names)


def own_kinematics(
    window: Window,
    names: tuple[str, ...],
    reference: tuple[float, float],
    settings: Lines,
    before: Fit | None = None,
) -> Fit:
    """Lines of a stretch: those above `own_snr` with kinematics of their own, the others with `reference`."""
    shared = len(names) > 1 and names[0].startswith("s_ii")  # the two lines of [S II] come from one gas
    slots = (0,) * len(names) if shared else tuple(range(len(names)))
    model = start_model(window, names, slots)
    for slot in set(slots):
        setattr(model, f"v_{slot}", reference[0])
        setattr(model, f"sigma_{slot}", reference[1])
    first = before or solve(window, model, names)
    strong = {slot for name, slot in zip(names, slots) if first.snr(name) >= settings.own_snr}
    if before is not None and len(strong) < 2:
        return before
    for slot in strong:
        release(model, slot, settings)
    return solve(window, model, names) if strong or before is not None else first


def read_line(window: Window, fit: Fit, name: str, settings: Lines) -> Line:
    """A line of a fit; NaN and its bits where its core is masked or its dispersion stands at the upper bound."""
    v, sigma = fit.kinematics(name)
    if coverage(window, EMISSION_LINES[name], v, sigma) < settings.coverage:
        return Line()
    if sigma >= settings.sigma_max - 1e-3 or abs(v) >= settings.v_max - 1e-3:
        return Line(warn=int(Warn.NO_LINE | Warn.AT_BOUND))
    return Line(*fit.flux(name), v, sigma, 0)


def coverage(window: Window, line: EmissionLine, v: float, sigma: float) -> float:
    """Part of a line's squared profile, which is what weighs in the fit, that lies on good pixels."""
    total, good = 0.0, 0.0
    for wave, ratio in line.members:
        width = np.hypot(np.interp(wave, window.wave, window.lsf), sigma / grid.C_KMS * wave)
        edges = np.arange(wave - 4 * width, wave + 4 * width, np.diff(window.wave).min()) * (
            1 + v / grid.C_KMS
        )
        bell = ratio**2 * np.exp(-(((edges - edges.mean()) / width) ** 2))
        near = np.clip(np.searchsorted(window.wave, edges), 0, len(window.wave) - 1)
        inside = (edges >= window.wave[0]) & (edges <= window.wave[-1])
        total += bell.sum()
        good += bell[inside & (window.ivar[near] > 0)].sum()
    return good / total


# ------------------------------------------------------------------------------------------------ spectra


@dataclass(frozen=True)
class Spectra:
    """Spectra whose lines are measured, with their stellar continua; observed frame, on grid.WAVE.

    flux, stars (gal, pix): same unit, NaN where unknown; ivar (gal, pix): of flux, 0 = masked; correlation
    (gal, lag, pix): of its noise; lsf (gal, pix): FWHM [Angstrom]; z (gal).
    """

    flux: Float[np.ndarray, "gal pix"]
    stars: Float[np.ndarray, "gal pix"]
    ivar: Float[np.ndarray, "gal pix"]
    correlation: Float[np.ndarray, "gal lag pix"]
    lsf: Float[np.ndarray, "gal pix"]
    z: Float[np.ndarray, " gal"]


def cut(spectra: Spectra, row: int, settings: Lines) -> dict[str, Window]:
    """The stretches of one spectrum in its rest frame; those with too few good pixels are left out.

    Fluxes times (1 + z), so that a line's flux stays that of the observed frame.
    """
    z = spectra.z[row]
    if not np.isfinite(z):
        return {}
    rest, residual = grid.WAVE / (1 + z), spectra.flux[row].astype(np.float64) - spectra.stars[row]
    good = (spectra.ivar[row] > 0) & np.isfinite(residual) & ~night_sky(settings)
    found = {}
    for name, ((low, high), _) in STRETCHES.items():
        at = slice(*np.searchsorted(rest, [low, high]))
        if good[at].sum() < _LEAST_PIXELS:
            continue
        found[name] = Window(
            wave=rest[at],
            flux=np.where(good[at], residual[at], 0.0) * (1 + z),
            ivar=np.where(good[at], spectra.ivar[row, at], 0.0).astype(np.float64) / (1 + z) ** 2,
            correlation=spectra.correlation[row][:, at],
            lsf=spectra.lsf[row, at] / (1 + z) / grid.FWHM_PER_SIGMA,
        )
    return found


def night_sky(settings: Lines) -> Bool[np.ndarray, " pix"]:
    """Pixels of grid.WAVE about the night-sky lines, on which no line is measured."""
    lines = np.array(settings.sky_lines, np.float64)
    return (np.abs(grid.WAVE[:, None] - lines) <= settings.sky_width).any(axis=1)


def continuum(
    stars: Float[np.ndarray, "gal pix"], z: Float[np.ndarray, " gal"], wave: float
) -> Float[np.ndarray, " gal"]:
    """Mean of the stellar continuum between 50 and 90 A on either side of a line (rest frame); NaN unless positive.

    For Halpha close to the sidebands of the MaNGA pipeline (6483-6513 and 6623-6653 A).
    """
    offset = np.abs(grid.WAVE / (1 + np.nan_to_num(z))[:, None] - wave)
    side = (offset >= SIDE[0]) & (offset <= SIDE[1])
    missing = (side & ~np.isfinite(stars)).any(axis=1) | (side.sum(axis=1) < 20) | ~np.isfinite(z)
    mean = np.where(side, np.nan_to_num(stars), 0.0).sum(axis=1) / np.maximum(side.sum(axis=1), 1)
    return np.where(~missing & (mean > 0), mean, np.nan)


def equivalent_width(line: EmissionLine, fitted: Line, spread: float, level: float) -> float:
    """Equivalent width [Angstrom, rest frame] of a fitted line over its continuum by specutils: positive in emission.

    spread: FWHM of the line spread [Angstrom, rest]; level: continuum, in the unit of the flux density at
    rest. specutils counts absorption positive, so its sign is turned here.
    """
    from astropy import units
    from specutils import Spectrum
    from specutils.analysis import equivalent_width as measured

    width = np.hypot(spread / grid.FWHM_PER_SIGMA, fitted.sigma / grid.C_KMS * line.wave)
    offset = np.arange(-6.0, 6.01, 0.25)
    bell = np.exp(-0.5 * offset**2) / (np.sqrt(2 * np.pi) * width)
    wave = line.wave * (1 + fitted.v / grid.C_KMS) + offset * width
    relative = (1 + fitted.flux / level * bell) * units.dimensionless_unscaled
    return -float(measured(Spectrum(spectral_axis=wave * units.AA, flux=relative), continuum=1).value)


def present(
    flux: Float[np.ndarray, "*gal"], error: Float[np.ndarray, "*gal"], least_snr: float
) -> Bool[np.ndarray, "*gal"]:
    """Whether a line is there: its fitted flux is positive, and `least_snr` times its error where that is known.

    Doorenbos et al. (2024, section 5.7) do not say when a line is missing. With `least_snr` 0 the rule asks
    for emission alone, as their limit on the width of Halpha asks for no signal to noise. A flux that is not
    known (NaN) is neither present nor absent: see the WARN bits.
    """
    with np.errstate(invalid="ignore"):
        return (flux > 0) & ((flux >= least_snr * error) | ~np.isfinite(error))


def measure(spectra: Spectra, settings: Lines, rows: Sequence[int] | None = None) -> list[dict[str, Line]]:
    """Lines of every spectrum (or of `rows`); one that fails leaves the others alone."""
    rows = range(len(spectra.z)) if rows is None else rows
    return [fit_lines(cut(spectra, row, settings), settings) for row in rows]


def shifted(spectra: Spectra, **changes) -> Spectra:
    """The same spectra with some arrays exchanged."""
    return replace(spectra, **changes)
