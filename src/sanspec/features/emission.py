"""Emission lines of continuum-subtracted spectra: fluxes, equivalent widths, which are there.

Lines are fitted in four stretches of the rest frame. First Halpha and [N II] share velocity and dispersion; a
line of signal to noise `own_snr` then gets its own, weaker ones take those of the strongest line, so that no
noise peak is chased. Fluxes may come out negative: a line is absent by the rule of `present`, not by the
fit's bound.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import median_filter

from sanspec.config import Lines
from sanspec.errors import Warn
from sanspec.features.profiles import Fit, Window, coverage, release, solve, start_model
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA
from sanspec.physics.lines import EMISSION_LINES, EmissionLine
from sanspec.spectra import grid

STRETCHES = {  # rest-frame vacuum range [Angstrom] and lines; weak lines take the kinematics of the first
    "red": ((6480.0, 6660.0), ("h_alpha", "n_ii_6583")),
    "sulphur": ((6660.0, 6790.0), ("s_ii_6716", "s_ii_6731")),
    "blue": ((4790.0, 5080.0), ("h_beta", "o_iii_5007")),
    "oxygen": ((6250.0, 6420.0), ("o_i_6300",)),
}
SIDE = (50.0, 90.0)  # distance from a line [Angstrom] between which its continuum is averaged, on either side
NAMES = tuple(EMISSION_LINES)
DIAGRAM = ("h_beta", "o_iii_5007", "h_alpha", "n_ii_6583")  # lines on which classes rest
_WEIGHT_PIXELS = 31  # of the running median of the weights
_LEAST_PIXELS = 20  # good pixels of a stretch below which nothing is fitted


@dataclass(frozen=True)
class Line:
    """A fitted line: flux [flux density x Angstrom, rest] and its error, v and sigma [km/s], WARN bits."""

    flux: float = np.nan
    error: float = np.nan
    v: float = np.nan
    sigma: float = np.nan
    warn: int = int(Warn.NO_LINE)


# --------------------------------------------------------------------------------------------------- fits


def fit_lines(windows: dict[str, Window], settings: Lines) -> dict[str, Line]:
    """Every line of a spectrum from its stretches (`cut`); one that cannot be measured is NaN, NO_LINE."""
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
    """A line of a fit; NaN and its bits where its core is masked or it meets the bounds of the settings."""
    v, sigma = fit.kinematics(name)
    if coverage(window, EMISSION_LINES[name], v, sigma) < settings.coverage:
        return Line()
    if sigma >= settings.sigma_max - 1e-3 or abs(v) >= settings.v_max - 1e-3:
        return Line(warn=int(Warn.NO_LINE | Warn.AT_BOUND))
    return Line(*fit.flux(name), v, sigma, 0)


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


def predicted(
    observed: Spectra,
    flux: Float[np.ndarray, "gal pix"],
    stars: Float[np.ndarray, "gal pix"],
    lsf: Float[np.ndarray, "gal pix"],
    z: Float[np.ndarray, " gal"],
) -> Spectra:
    """Predicted spectra as `Spectra`: they have no noise of their own and borrow the observed member's.

    Every pixel has the median inverse variance of the pair's observed member, and its noise correlation:
    errors say how well the line would be seen in such an observation, so that one rule of absence serves
    both.
    """
    good = np.where(observed.ivar > 0, observed.ivar, np.nan).astype(np.float64)
    level = np.array([np.nanmedian(row) if np.isfinite(row).any() else 0.0 for row in good])
    ivar = np.where(np.isfinite(flux), level[:, None], 0.0)
    return Spectra(flux, stars, ivar, observed.correlation, lsf, z)


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
        ivar = np.where(good[at], spectra.ivar[row, at], 0.0).astype(np.float64) / (1 + z) ** 2
        found[name] = Window(
            wave=rest[at],
            flux=np.where(good[at], residual[at], 0.0) * (1 + z),
            ivar=ivar,
            weight=smooth_weight(ivar),
            correlation=spectra.correlation[row][:, at],
            lsf=spectra.lsf[row, at] / (1 + z) / FWHM_PER_SIGMA,
        )
    return found


def smooth_weight(ivar: Float[np.ndarray, " pix"]) -> Float[np.ndarray, " pix"]:
    """Weights of the pixels in a fit: the running median of their inverse variance, 0 at masked ones.

    Rebinning makes the noise of neighbours differ, according to how many native pixels a bin averages, and
    where the native pixels sample a line barely, weighting by it takes 3 % from its flux.
    """
    level = median_filter(np.where(ivar > 0, ivar, np.median(ivar[ivar > 0])), _WEIGHT_PIXELS, mode="nearest")
    return np.where(ivar > 0, level, 0.0)


def night_sky(settings: Lines) -> Bool[np.ndarray, " pix"]:
    """Pixels of grid.WAVE about the night-sky lines, on which no line is measured."""
    lines = np.array(settings.sky_lines, np.float64)
    return (np.abs(grid.WAVE[:, None] - lines) <= settings.sky_width).any(axis=1)


def continuum(
    stars: Float[np.ndarray, "gal pix"], z: Float[np.ndarray, " gal"], wave: float
) -> Float[np.ndarray, " gal"]:
    """Mean stellar continuum 50 to 90 A (rest frame) on either side of a line; NaN unless positive.

    For Halpha close to the sidebands of the MaNGA pipeline (6483-6513 and 6623-6653 A).
    """
    offset = np.abs(grid.WAVE / (1 + np.nan_to_num(z))[:, None] - wave)
    side = (offset >= SIDE[0]) & (offset <= SIDE[1])
    missing = (side & ~np.isfinite(stars)).any(axis=1) | (side.sum(axis=1) < 20) | ~np.isfinite(z)
    mean = np.where(side, np.nan_to_num(stars), 0.0).sum(axis=1) / np.maximum(side.sum(axis=1), 1)
    return np.where(~missing & (mean > 0), mean, np.nan)


def equivalent_width(line: EmissionLine, fitted: Line, spread: float, level: float) -> float:
    """Equivalent width [Angstrom, rest frame] of a fitted line by specutils, positive in emission.

    spread: FWHM of the line spread [Angstrom, rest]; level: continuum, in the unit of the flux density at
    rest. specutils counts absorption positive, so its sign is turned here.
    """
    from astropy import units
    from specutils import Spectrum
    from specutils.analysis import equivalent_width as measured

    width = np.hypot(spread / FWHM_PER_SIGMA, fitted.sigma / C_KMS * line.wave)
    offset = np.arange(-6.0, 6.01, 0.25)
    bell = np.exp(-0.5 * offset**2) / (np.sqrt(2 * np.pi) * width)
    wave = line.wave * (1 + fitted.v / C_KMS) + offset * width
    relative = (1 + fitted.flux / level * bell) * units.dimensionless_unscaled
    return -float(measured(Spectrum(spectral_axis=wave * units.AA, flux=relative), continuum=1).value)


def present(
    flux: Float[np.ndarray, "*gal"], error: Float[np.ndarray, "*gal"], least_snr: float
) -> Bool[np.ndarray, "*gal"]:
    """Whether a line is there: its flux is positive, and above `least_snr` times its error where known.

    Doorenbos et al. (2024, section 5.7) do not say when a line is missing. With `least_snr` 0 the rule asks
    for emission alone, as their limit on the width of Halpha asks for no signal to noise. A flux that is not
    known (NaN) is neither present nor absent: see the WARN bits.
    """
    with np.errstate(invalid="ignore"):
        return (flux > 0) & ((flux >= least_snr * error) | ~np.isfinite(error))


def measure(
    spectra: Spectra,
    settings: Lines,
    rows: Sequence[int] | None = None,
    stretches: Collection[str] = tuple(STRETCHES),
) -> list[dict[str, Line]]:
    """Lines of every spectrum (or of `rows`) in all stretches or some; one that fails leaves the others alone."""
    rows = range(len(spectra.z)) if rows is None else rows
    cuts = (cut(spectra, row, settings) for row in rows)
    chosen = ({name: window for name, window in one.items() if name in stretches} for one in cuts)
    return [fit_lines(windows, settings) for windows in chosen]
