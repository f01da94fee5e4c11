"""Emission lines of continuum-subtracted spectra: fluxes, equivalent widths, and which lines are present.

Lines are fitted in four ranges of the rest frame. First Halpha and [N II] share velocity and dispersion; a line with
a signal-to-noise ratio of OWN_SNR then gets its own, and weaker lines take those of the strongest, so that no noise
peak is fitted. Fluxes may come out negative: `present` decides which lines are absent, not a bound of the fit.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import median_filter

from sanspec.config import Lines
from sanspec.errors import Warn
from sanspec.features.profiles import Fit, Window, solve, start_model
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA
from sanspec.physics.lines import EMISSION_LINES, SKY_LINES, EmissionLine
from sanspec.spectra import grid
from sanspec.spectra.spectra import Spectra, near_lines

STRETCHES = {  # rest-frame vacuum range [Angstrom] and lines; weak lines take the kinematics of the first
    "red": ((6480.0, 6660.0), ("h_alpha", "n_ii_6583")),
    "sulphur": ((6660.0, 6790.0), ("s_ii_6716", "s_ii_6731")),
    "blue": ((4790.0, 5080.0), ("h_beta", "o_iii_5007")),
    "oxygen": ((6250.0, 6420.0), ("o_i_6300",)),
}
DIAGRAM = ("h_beta", "o_iii_5007", "h_alpha", "n_ii_6583")  # lines on which classes rest
START = (0.0, 100.0)  # velocity and dispersion at which lines are sought, and weak ones measured [km/s]
OWN_SNR = 5.0  # signal-to-noise ratio above which a line has its own velocity and dispersion
COVERED = 0.7  # minimum fraction of a line's squared profile on good pixels
MIN_PIXELS = 20  # good pixels of a range, or pixels of a continuum, below which nothing is measured
SKY = near_lines(SKY_LINES, 4.0)  # pixels on which no line is measured


@dataclass(frozen=True)
class Line:
    """A fitted line: flux [flux density x Angstrom, rest] and its error, v and sigma [km/s], WARN bits."""

    flux: float = np.nan
    error: float = np.nan
    v: float = np.nan
    sigma: float = np.nan
    warn: int = int(Warn.NO_LINE)


def emission_lines(
    spectra: Spectra,
    stars: Float[np.ndarray, "gal pix"],
    settings: Lines,
    stretches: Collection[str] = tuple(STRETCHES),
    progress: Callable[[Iterable], Iterable] = iter,
) -> list[dict[str, Line]]:
    """Lines of every spectrum after subtraction of its starlight; NaN and NO_LINE where one cannot be measured.

    stars: starlight in the unit of the flux, NaN where unknown. stretches: those of STRETCHES to fit. progress: wraps
    the loop over spectra.
    """
    rows = progress(range(len(spectra)))
    return [fit_lines(cut(spectra, stars, row, stretches), settings) for row in rows]


def cut(
    spectra: Spectra,
    stars: Float[np.ndarray, "gal pix"],
    row: int,
    stretches: Collection[str] = tuple(STRETCHES),
) -> dict[str, Window]:
    """The ranges of one spectrum in its rest frame; those with too few good pixels are left out.

    Fluxes times (1 + z), so that a line's flux stays that of the observed frame. The weights are the running median
    of the inverse variance: rebinning makes the noise of neighbouring pixels differ, and where the native pixels
    barely sample a line, weighting by it takes 3 % from its flux.
    """
    z, found = spectra.z[row], {}
    if not np.isfinite(z):
        return {}
    rest, residual = grid.WAVE / (1 + z), spectra.flux[row].astype(np.float64) - stars[row]
    good = (spectra.ivar[row] > 0) & np.isfinite(residual) & ~SKY
    for name in stretches:
        at = slice(*np.searchsorted(rest, STRETCHES[name][0]))
        if good[at].sum() < MIN_PIXELS:
            continue
        ivar = np.where(good[at], spectra.ivar[row, at], 0.0).astype(np.float64) / (1 + z) ** 2
        level = median_filter(np.where(ivar > 0, ivar, np.median(ivar[ivar > 0])), 31, mode="nearest")
        found[name] = Window(
            wave=rest[at],
            flux=np.where(good[at], residual[at], 0.0) * (1 + z),
            ivar=ivar,
            weight=np.where(ivar > 0, level, 0.0),
            correlation=spectra.correlation[row][:, at],
            lsf=spectra.lsf[row, at] / (1 + z) / FWHM_PER_SIGMA,
        )
    return found


# --------------------------------------------------------------------------------------------------- fits


def fit_lines(windows: dict[str, Window], settings: Lines) -> dict[str, Line]:
    """Every line of a spectrum from its ranges (`cut`)."""
    found = {name: Line() for name in EMISSION_LINES}
    kinematics = START
    for stretch, (_, names) in STRETCHES.items():
        if stretch not in windows:
            continue
        window, shared = windows[stretch], None
        if stretch == "red":
            shared = _shared_kinematics(window, names, settings)
            if max(map(shared.snr, names)) >= OWN_SNR:
                kinematics = shared.kinematics(names[0])
        fit = _own_kinematics(window, names, kinematics, settings, shared)
        strongest = max(names, key=fit.snr)
        if stretch == "red" and fit.snr(strongest) >= OWN_SNR:
            kinematics = fit.kinematics(strongest)
        found |= {name: _read_line(window, fit, name, settings) for name in names}
    return found


def _shared_kinematics(window: Window, names: tuple[str, ...], settings: Lines) -> Fit:
    """Lines with one velocity and dispersion, free where a line is detected at the starting ones."""
    model = start_model(window, names, (0,) * len(names), START)
    fit = solve(window, model)
    if max(map(fit.snr, names)) < OWN_SNR:
        return fit
    model.release(0, settings)
    return solve(window, model)


def _own_kinematics(
    window: Window,
    names: tuple[str, ...],
    kinematics: tuple[float, float],
    settings: Lines,
    shared: Fit | None,
) -> Fit:
    """Lines above OWN_SNR with kinematics of their own, the others with those given.

    shared: a fit of the same lines with one velocity and dispersion, kept unless two lines are strong.
    """
    one_gas = names[0].startswith("s_ii")  # both lines of [S II] come from the same gas
    slots = (0,) * len(names) if one_gas else tuple(range(len(names)))
    model = start_model(window, names, slots, kinematics)
    first = shared or solve(window, model)
    strong = {slot for name, slot in zip(names, slots) if first.snr(name) >= OWN_SNR}
    if not strong or (shared is not None and len(strong) < 2):
        return first
    for slot in strong:
        model.release(slot, settings)
    return solve(window, model)


def _read_line(window: Window, fit: Fit, name: str, settings: Lines) -> Line:
    """A line of a fit; NaN and its bits where its core is masked or it reaches the bounds of the settings."""
    v, sigma = fit.kinematics(name)
    if window.coverage(EMISSION_LINES[name], v, sigma) < COVERED:
        return Line()
    if sigma >= settings.sigma_max - 1e-3 or abs(v) >= settings.v_max - 1e-3:
        return Line(warn=int(Warn.NO_LINE | Warn.AT_BOUND))
    return Line(*fit.flux(name), v, sigma, 0)


# -------------------------------------------------------------------------------- widths, and which are present


def continuum(
    stars: Float[np.ndarray, "gal pix"], z: Float[np.ndarray, " gal"], wave: float
) -> Float[np.ndarray, " gal"]:
    """Mean stellar continuum 50 to 90 A (rest frame) on either side of a line; NaN unless positive.

    For Halpha close to the sidebands of the MaNGA pipeline (6483-6513 and 6623-6653 A).
    """
    offset = np.abs(grid.WAVE / (1 + np.nan_to_num(z))[:, None] - wave)
    side = (offset >= 50.0) & (offset <= 90.0)
    missing = (side & ~np.isfinite(stars)).any(axis=1) | (side.sum(axis=1) < MIN_PIXELS) | ~np.isfinite(z)
    mean = np.where(side, np.nan_to_num(stars), 0.0).sum(axis=1) / np.maximum(side.sum(axis=1), 1)
    return np.where(~missing & (mean > 0), mean, np.nan)


def equivalent_width(line: EmissionLine, fitted: Line, spread: float, level: float) -> float:
    """Equivalent width [Angstrom, rest frame] of a fitted line by specutils, positive in emission.

    spread: FWHM of the line-spread function [Angstrom, rest]; level: continuum, in the unit of the flux density at
    rest. NaN without line or continuum. specutils counts absorption as positive; the sign is changed here.
    """
    from astropy import units
    from specutils import Spectrum
    from specutils.analysis import equivalent_width as measured

    if not (np.isfinite(fitted.flux) and np.isfinite(level)):
        return float("nan")
    width = np.hypot(spread / FWHM_PER_SIGMA, fitted.sigma / C_KMS * line.wave)
    offset = np.arange(-6.0, 6.01, 0.25)
    bell = np.exp(-0.5 * offset**2) / (np.sqrt(2 * np.pi) * width)
    wave = line.wave * (1 + fitted.v / C_KMS) + offset * width
    relative = (1 + fitted.flux / level * bell) * units.dimensionless_unscaled
    return -float(measured(Spectrum(spectral_axis=wave * units.AA, flux=relative), continuum=1).value)


def present(
    flux: Float[np.ndarray, "*gal"], error: Float[np.ndarray, "*gal"], min_snr: float
) -> Bool[np.ndarray, "*gal"]:
    """Whether a line is present: its flux is positive, and above `min_snr` times its error where that is known.

    Doorenbos et al. (2024, section 5.7) do not say when a line is missing. With `min_snr` 0 the rule asks for
    emission alone, as their limit on the width of Halpha asks for no signal-to-noise ratio. A flux that is not known
    (NaN) is neither present nor absent: see the WARN bits.
    """
    with np.errstate(invalid="ignore"):
        return (flux > 0) & ((flux >= min_snr * error) | ~np.isfinite(error))
