"""Diagrams of emission-line ratios: dividing curves, regions, and the classes of Doorenbos et al. 2024.

x = log [N II] 6583 / Halpha, y = log [O III] 5007 / Hbeta. Only the branch of a hyperbola left of its pole
divides the classes: every point right of the pole lies beyond the curve.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from sanspec.errors import Warn
from sanspec.features.emission import DIAGRAM as LINES

CLASSES = ("passive", "star-forming", "active")
PASSIVE, FORMING, ACTIVE, UNKNOWN = 0, 1, 2, -1
REGIONS = ("star-forming", "composite", "Seyfert", "LINER")
WHAN = ("star-forming", "strong AGN", "weak AGN", "retired", "passive")
ABSURD_FLUX = 1e5  # 1e-17 erg/s/cm2: no line of a galaxy in the survey comes near
ABSURD_RATIO = 10.0  # times the flux of every other line: a negative flux of this size is not noise
MISSING = -9999.0  # in SDSS catalogues: no value


@dataclass(frozen=True)
class Curve:
    """y = a / (x - pole) + b left of its pole; a point right of the pole lies beyond it."""

    name: str
    a: float
    pole: float
    b: float

    def __call__(self, x: Float[np.ndarray, "*gal"] | float) -> Float[np.ndarray, "*gal"]:
        """The curve at x; minus infinity at and beyond the pole, so that every y there lies above."""
        x = np.asarray(x, np.float64)
        left = x < self.pole
        return np.where(
            left,
            self.a / np.where(left, x - self.pole, -1.0) + self.b,
            np.where(left | ~np.isnan(x), -np.inf, np.nan),
        )

    def beyond(
        self, x: Float[np.ndarray, "*gal"] | float, y: Float[np.ndarray, "*gal"] | float
    ) -> Bool[np.ndarray, "*gal"] | np.bool_:
        """Whether points lie above or right of the curve; false where a coordinate is NaN."""
        return np.asarray(y) > self(x)


KAUFFMANN = Curve("Kauffmann et al. 2003, eq. 1", 0.61, 0.05, 1.3)
KEWLEY = Curve("Kewley et al. 2001, eq. 5", 0.61, 0.47, 1.19)


def schawinski(x: Float[np.ndarray, "*gal"]) -> Float[np.ndarray, "*gal"]:
    """y of the line between Seyferts, above, and LINERs, below (Schawinski et al. 2007, section 3)."""
    return 1.05 * np.asarray(x) + 0.45


# ------------------------------------------------------------------------------------------------- ratios


def log_ratio(
    above: Float[np.ndarray, "*gal"], below: Float[np.ndarray, "*gal"]
) -> Float[np.ndarray, "*gal"]:
    """log10 of a ratio of fluxes; NaN unless both are positive."""
    good = (np.nan_to_num(above) > 0) & (np.nan_to_num(below) > 0)
    return np.log10(np.where(good, above, np.nan) / np.where(good, below, np.nan))


def ratios(fluxes: Mapping[str, Float[np.ndarray, "*gal"]]) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the diagram from fluxes of LINES, any unit; NaN where a line of the ratio is absent."""
    x = log_ratio(fluxes["n_ii_6583"], fluxes["h_alpha"])
    return x, log_ratio(fluxes["o_iii_5007"], fluxes["h_beta"])


def believable(fluxes: Mapping[str, Float[np.ndarray, " gal"]]) -> dict[str, Float[np.ndarray, " gal"]]:
    """The fluxes [1e-17 erg/s/cm2] with NaN for those that do not measure a line.

    Those are SDSS's -9999, absolute fluxes above ABSURD_FLUX (broad-line nuclei fitted with narrow lines), and a
    negative flux ABSURD_RATIO times larger in absolute value than every other line of the object.
    """
    table = np.array([np.asarray(fluxes[name], np.float64) for name in LINES])
    table = np.where((table == MISSING) | (np.abs(table) > ABSURD_FLUX), np.nan, table)
    size = np.nan_to_num(np.abs(table))
    others = np.array([np.delete(size, k, axis=0).max(axis=0) for k in range(len(LINES))])
    with np.errstate(invalid="ignore"):
        wrong = (table < 0) & (size > ABSURD_RATIO * others) & (others > 0)
    return dict(zip(LINES, np.where(wrong, np.nan, table)))


# ------------------------------------------------------------------------------------------------ classes


def classify(
    fluxes: Mapping[str, Float[np.ndarray, "*gal"]], width: Float[np.ndarray, "*gal"] | None, ew_min: float
) -> tuple[Int[np.ndarray, "*gal"], np.ndarray]:
    """Classes of Doorenbos et al. (2024, section 5.7), and WARN bits.

    fluxes: of LINES, any unit; positive where the line is present, <= 0 where absent, NaN where
    unknown. width: equivalent width of Halpha [Angstrom, rest frame, positive in emission], None where a
    catalogue has none. A galaxy is PASSIVE if its width is below `ew_min` or a line is absent; otherwise ACTIVE
    (composites included) beyond the curve of Kauffmann et al. (2003) and FORMING below it. UNKNOWN and NO_CLASS where
    the width or a line that would decide is unknown.
    """
    table = np.array([np.asarray(fluxes[name], np.float64) for name in LINES])
    width = np.full(table.shape[1:], np.inf) if width is None else np.asarray(width, np.float64)
    x, y = ratios(dict(zip(LINES, table)))
    weak = width < ew_min
    absent = (np.nan_to_num(table, nan=1.0) <= 0).any(axis=0)
    beyond = KAUFFMANN.beyond(x, y)
    found = np.select([weak | absent, beyond], [PASSIVE, ACTIVE], FORMING)
    unknown = np.isnan(table).any(axis=0) | np.isnan(width)
    found = np.where(unknown & ~weak, UNKNOWN, found)
    return found, np.where(found == UNKNOWN, int(Warn.NO_CLASS), 0).astype(np.uint32)


def region(x: Float[np.ndarray, " gal"], y: Float[np.ndarray, " gal"]) -> Int[np.ndarray, " gal"]:
    """Index in REGIONS of points of the diagram, UNKNOWN where a coordinate is NaN.

    The regions lie below Kauffmann et al. 2003, between it and Kewley et al. 2001, and beyond that curve above or below
    the line of Schawinski et al. 2007.
    """
    with np.errstate(invalid="ignore"):
        choices = [~KAUFFMANN.beyond(x, y), ~KEWLEY.beyond(x, y), y > schawinski(x)]
    return np.where(np.isnan(x) | np.isnan(y), UNKNOWN, np.select(choices, [0, 1, 2], 3))


def whan(
    x: Float[np.ndarray, " gal"], width: Float[np.ndarray, " gal"], width_n_ii: Float[np.ndarray, " gal"]
) -> Int[np.ndarray, " gal"]:
    """Index in WHAN of galaxies (Cid Fernandes et al. 2011, section 6), UNKNOWN where the widths do not decide.

    x: log [N II]/Halpha; widths of Halpha and [N II] [Angstrom, rest frame, positive in emission]. Passive:
    both below 0.5; retired: Halpha below 3; else star-forming for x < -0.4; else strong AGN above a width of Halpha of
    6 Angstrom and weak AGN below.
    """
    with np.errstate(invalid="ignore"):
        choices = [(width < 0.5) & (width_n_ii < 0.5), width < 3, x < -0.4, width > 6]
    found = np.select(choices, [4, 3, 0, 1], 2)
    known = np.isfinite(width) & (np.isfinite(x) | (width < 3))
    return np.where(known, found, UNKNOWN)
