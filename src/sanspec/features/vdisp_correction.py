"""Spectral indices corrected for velocity dispersion: the form of Zheng et al. 2019, with our own coefficients.

x0 = p0 + p1 x^p2 + p3 s^p4 + p5 x^p6 s^p7, with x the index as measured, x0 without dispersion, s the
velocity dispersion [km/s] (Zheng et al. 2019, ApJ 873, 63, as quoted by Doorenbos et al. 2024, eq. 5). The
coefficients here are fitted to E-MILES populations; a user's file of published coefficients replaces them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jaxtyping import Float
from scipy.optimize import least_squares

from sanspec.errors import SanspecError, Warn
from sanspec.features import lick
from sanspec.features.indices import Measured
from sanspec.physics.air import air_to_vac
from sanspec.physics.lines import INDICES
from sanspec.stellar.library import Library

CORRECTED = ("mgb", "fe5270", "fe5335", "hbeta", "dn4000")
SCALE = 100.0  # unit of the dispersion in the fit [km/s], so that no coefficient is very small
VDISPS = np.arange(0.0, 401.0, 25.0)  # km/s
AGES, METALS = (0.2, 14.2), (-1.4, 0.3)  # Gyr and [M/H] of the populations fitted
WAVES = (3700.0, 5600.0)  # range that covers the indices [Angstrom, air]
LEAST = 0.05  # smaller indices are left out of the fit
STARTS = 24  # starting points of the fit
_FIRST = np.array([0.0, 1.0, 1.0, 0.01, 2.0, 0.02, 1.0, 2.0])
_SPREAD = np.array([0.1, 0.1, 0.1, 0.05, 0.5, 0.05, 0.4, 0.5])
_LOW = np.array([-5.0, -5.0, 0.1, -5.0, 0.3, -5.0, -1.0, 0.3])
_HIGH = np.array([5.0, 5.0, 3.0, 5.0, 6.0, 5.0, 4.0, 6.0])


@dataclass(frozen=True)
class Correction:
    """Coefficients of one index (s in km/s), their ranges of validity and their source."""

    p: tuple[float, ...]
    x_range: tuple[float, float] = (0.0, np.inf)
    vdisp_max: float = np.inf
    source: str = ""

    def __call__(
        self, x: Float[np.ndarray, "*gal"], vdisp: Float[np.ndarray, "*gal"]
    ) -> Float[np.ndarray, "*gal"]:
        """The index without dispersion [unit of x]; NaN for x <= 0, where fractional powers are undefined."""
        p = self.p
        x = np.where(np.asarray(x) > 0, x, np.nan)
        return p[0] + p[1] * x ** p[2] + p[3] * vdisp ** p[4] + p[5] * x ** p[6] * vdisp ** p[7]


def apply(
    correction: Correction,
    x: Float[np.ndarray, " gal"],
    vdisp: Float[np.ndarray, " gal"],
    error: Float[np.ndarray, " gal"] | None = None,
    vdisp_error: Float[np.ndarray, " gal"] | None = None,
) -> Measured:
    """Indices corrected for `vdisp` [km/s], with their errors and WARN bits.

    x, error: the index as measured and its 1-sigma error (NaN: unknown). An index <= 0, or at a dispersion
    beyond that of the correction, keeps its measured value; it and those beyond the range of x get
    UNCORRECTED. Without a dispersion NaN and NO_VDISP.
    """
    known = np.isfinite(vdisp) & (vdisp >= 0)
    s = np.where(known, vdisp, 0.0)
    low, high = correction.x_range
    with np.errstate(invalid="ignore"):
        correctable = (x > 0) & (s <= correction.vdisp_max)
        inside = correctable & (x >= low) & (x <= high)
        value = np.where(correctable, correction(x, s), x)
        by_x, by_s = slopes(correction, x, s)
    error = np.full(x.shape, np.nan) if error is None else error
    spread = np.zeros(x.shape) if vdisp_error is None else np.nan_to_num(vdisp_error)
    carried = np.where(correctable, np.hypot(by_x * error, by_s * spread), error)
    warn = np.where(np.isfinite(x) & ~inside, int(Warn.UNCORRECTED), 0) | np.where(
        known, 0, int(Warn.NO_VDISP)
    )
    return Measured(np.where(known, value, np.nan), np.where(known, carried, np.nan), warn.astype(np.uint32))


def slopes(
    correction: Correction, x: Float[np.ndarray, " gal"], vdisp: Float[np.ndarray, " gal"]
) -> tuple[Float[np.ndarray, " gal"], Float[np.ndarray, " gal"]]:
    """Derivatives of the corrected index by x and by the dispersion."""
    _, p1, p2, p3, p4, p5, p6, p7 = correction.p
    x, s = np.where(x > 0, x, np.nan), np.maximum(vdisp, 1e-6)
    by_x = p1 * p2 * x ** (p2 - 1) + p5 * p6 * x ** (p6 - 1) * s**p7
    return by_x, p3 * p4 * s ** (p4 - 1) + p5 * p7 * x**p6 * s ** (p7 - 1)


# ---------------------------------------------------------------------------------------------------- fit


def spectra(library: Library) -> tuple[Float[np.ndarray, " pix"], Float[np.ndarray, "ssp pix"]]:
    """Vacuum wavelengths [Angstrom] and mean-normalised spectra of the populations fitted."""
    ages = (library.ages >= AGES[0]) & (library.ages <= AGES[1])
    metals = (library.metals >= METALS[0]) & (library.metals <= METALS[1])
    near = (library.lam >= WAVES[0]) & (library.lam <= WAVES[1])
    flux = library.cube[np.ix_(near, ages, metals)].reshape(int(near.sum()), -1).T
    return air_to_vac(library.lam[near]), flux / flux.mean(axis=1, keepdims=True)


def broadened(
    wave: Float[np.ndarray, " pix"],
    flux: Float[np.ndarray, "ssp pix"],
    vdisps: Sequence[float],
    fwhm: float,
    fwhm_in: float = 2.51,
) -> dict[str, Float[np.ndarray, "vdisp ssp"]]:
    """CORRECTED indices of spectra at rest broadened by `vdisps` [km/s].

    Lick indices at the Lick resolution, the break at `fwhm` [Angstrom], the resolution of the survey's
    spectra; fwhm_in: that of the input.
    """
    wanted = {name: index for name, index in lick.definitions().items() if name in CORRECTED}
    at_rest, given = np.zeros(len(flux)), np.full(flux.shape, fwhm_in)

    def values(part: Mapping, base: lick.Resolution) -> list[np.ndarray]:
        make = (lick.dispersed(vdisp, base) for vdisp in vdisps)
        return [
            lick.lick_indices(part, flux, at_rest, given, wave=wave, resolution=one).value for one in make
        ]

    lines = np.array(values(wanted, lick.lick_fwhm))
    breaks = np.array(values({"dn4000": INDICES["dn4000"]}, lambda w: np.full(w.shape, fwhm)))
    return {name: lines[:, :, k] for k, name in enumerate(wanted)} | {"dn4000": breaks[:, :, 0]}


def fit(
    x: Float[np.ndarray, "vdisp ssp"], vdisps: Float[np.ndarray, " vdisp"], seed: int = 0
) -> tuple[Correction, dict]:
    """Coefficients that recover the first row of x, that without dispersion, by least squares.

    Returns them with the quality of the fit: rms, and median, 95th percentile and maximum |relative
    difference|, and median and maximum without any correction.
    """
    truth = np.broadcast_to(x[0], x.shape)
    use = (x > LEAST) & (truth > LEAST) & (vdisps > 0)[:, None]
    known, wanted, s = x[use], truth[use], np.broadcast_to(vdisps[:, None] / SCALE, x.shape)[use]
    p = best(known, wanted, s, seed)
    p = p / SCALE ** np.array([0, 0, 0, p[4], 0, p[7], 0, 0])
    correction = Correction(
        tuple(p.tolist()), (float(known.min()), float(known.max())), float(vdisps.max()), "fitted to E-MILES"
    )
    return correction, quality(correction, known, wanted, s * SCALE)


def best(x: np.ndarray, truth: np.ndarray, s: np.ndarray, seed: int) -> Float[np.ndarray, " eight"]:
    """Coefficients of the best of several fits; s in units of SCALE."""
    rng = np.random.default_rng(seed)
    logs, scale = (np.log(x), np.log(s)), 1 / np.maximum(truth, 0.3)

    def residual(p):
        return scale * (_form(p, *logs) - truth)

    starts = [_FIRST + (k > 0) * rng.normal(0, _SPREAD) for k in range(STARTS)]
    found = [
        least_squares(
            residual, np.clip(start, _LOW, _HIGH), bounds=(_LOW, _HIGH), x_scale=_SPREAD, max_nfev=400
        )
        for start in starts
    ]
    return min(found, key=lambda one: one.cost).x


def _form(p: np.ndarray, log_x: np.ndarray, log_s: np.ndarray) -> np.ndarray:
    """The corrected index from the logarithms of index and dispersion."""
    return (
        p[0]
        + p[1] * np.exp(p[2] * log_x)
        + p[3] * np.exp(p[4] * log_s)
        + p[5] * np.exp(p[6] * log_x + p[7] * log_s)
    )


def quality(correction: Correction, x: np.ndarray, truth: np.ndarray, vdisp: np.ndarray) -> dict:
    """How well a correction recovers `truth` from `x`, measured at `vdisp` [km/s]."""
    left, before = np.abs(correction(x, vdisp) / truth - 1), np.abs(x / truth - 1)
    return {
        "count": len(x),
        "rms": float(np.std(correction(x, vdisp) - truth)),
        "relative_median": float(np.median(left)),
        "relative_p95": float(np.quantile(left, 0.95)),
        "relative_max": float(left.max()),
        "uncorrected_median": float(np.median(before)),
        "uncorrected_max": float(before.max()),
    }


def held_out(
    corrections: Mapping[str, Correction],
    wave: np.ndarray,
    flux: Float[np.ndarray, "ssp pix"],
    fwhm: float,
    count: int = 60,
    seed: int = 1,
) -> dict[str, dict]:
    """`quality` on mixtures of four populations at dispersions of 60 to 390 km/s, none of them fitted."""
    rng = np.random.default_rng(seed)
    result: dict[str, list] = {name: [] for name in corrections}
    for vdisp in rng.uniform(60, 390, count):
        picks, shares = rng.choice(len(flux), 4, replace=False), rng.dirichlet(np.ones(4))
        values = broadened(wave, (shares @ flux[picks])[None], (0.0, vdisp), fwhm)
        for name in corrections:
            result[name].append((values[name][1, 0], values[name][0, 0], vdisp))
    return {name: quality(corrections[name], *np.array(rows).T) for name, rows in result.items()}


# -------------------------------------------------------------------------------------------------- files


def as_json(corrections: Mapping[str, Correction]) -> dict:
    """Corrections in a form for JSON."""
    return {name: asdict(one) for name, one in corrections.items()}


def from_json(content: Mapping[str, Any]) -> dict[str, Correction]:
    """Corrections from the content of a file made with `as_json`."""
    return {name: _from_json(content[name]) for name in content if name in CORRECTED}


def _from_json(one: Mapping[str, Any]) -> Correction:
    """One correction; JSON has no infinity, which is written as null."""
    low, high = (np.inf if end is None else end for end in one["x_range"])
    vdisp_max = np.inf if one["vdisp_max"] is None else one["vdisp_max"]
    return Correction(tuple(one["p"]), (low, high), vdisp_max, one["source"])


def read_published(path: Path) -> dict[str, Correction]:
    """Published coefficients from a user's YAML: index -> [p0 ... p7], velocity dispersion in km/s.

    They are applied to any value of an index, up to the maximum dispersion of our own fit.
    Raises SanspecError when the file is missing, not YAML, or holds anything but eight numbers for known
    indices.
    """
    allowed = (
        f"allowed: a YAML mapping of some of {', '.join(CORRECTED)} to eight numbers p0 to p7, s in km/s"
    )
    try:
        content = yaml.safe_load(Path(path).read_text())
    except OSError as fault:
        raise SanspecError(f"lick.coefficients: cannot read {path}: {fault.strerror}; {allowed}") from None
    except yaml.YAMLError as fault:
        raise SanspecError(
            f"lick.coefficients: {path} is not YAML ({' '.join(str(fault).split())}); {allowed}"
        ) from None
    if not isinstance(content, dict) or not content:
        raise SanspecError(f"lick.coefficients: {path} holds {type(content).__name__}; {allowed}")
    for name, values in content.items():
        if name not in CORRECTED or not _eight(values):
            raise SanspecError(f"lick.coefficients: {path}: {name}: {values}; {allowed}")
    return {
        name: Correction(
            tuple(map(float, values)), vdisp_max=float(VDISPS[-1]), source=f"published, {Path(path).name}"
        )
        for name, values in content.items()
    }


def _eight(values: Any) -> bool:
    """Whether `values` are eight finite numbers."""
    numbers = isinstance(values, list) and all(
        isinstance(v, int | float) and not isinstance(v, bool) for v in values
    )
    return numbers and len(values) == 8 and bool(np.isfinite(values).all())
