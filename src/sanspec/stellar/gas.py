"""Emission lines as templates: groups of tied lines, each with its kinematic component by name, never by position."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from sanspec.physics.air import vac_to_air
from sanspec.physics.constants import FWHM_PER_SIGMA


@dataclass(frozen=True)
class LineGroup:
    """Lines of one template: vacuum wavelengths [Angstrom] and fluxes relative to the line `name`, which has 1.

    component: `balmer` (recombination) or `forbidden`, whose lines share velocity and dispersion.
    """

    name: str
    component: str
    lines: tuple[tuple[str, float, float], ...]


# Wavelengths: NIST Ritz values in vacuum. Balmer decrement: case B, 1e4 K, 100 cm-3 (Storey & Hummer 1995). Doublets:
# [O III] and [N II] Storey & Zeippen 2000, [O I] Osterbrock & Ferland 2006.
GROUPS = (
    LineGroup(
        "h_beta",
        "balmer",
        (
            ("h_alpha", 6564.632, 2.86),
            ("h_beta", 4862.691, 1.0),
            ("h_gamma", 4341.691, 0.468),
            ("h_delta", 4102.899, 0.259),
        ),
    ),
    LineGroup(
        "h_epsilon",  # apart: these sit in the stars' own deep lines, and feel errors of the templates there
        "balmer",
        (
            ("h_epsilon", 3971.202, 1.0),
            ("h_8", 3890.158, 0.660),
            ("h_9", 3836.479, 0.460),
            ("h_10", 3798.983, 0.333),
        ),
    ),
    LineGroup("he_ii_4686", "balmer", (("he_ii_4686", 4687.015, 1.0),)),
    LineGroup("he_i_5876", "balmer", (("he_i_5876", 5877.243, 1.0),)),
    LineGroup("o_ii_3726", "forbidden", (("o_ii_3726", 3727.092, 1.0),)),
    LineGroup("o_ii_3729", "forbidden", (("o_ii_3729", 3729.875, 1.0),)),
    LineGroup("ne_iii_3869", "forbidden", (("ne_iii_3869", 3869.86, 1.0),)),
    LineGroup("ne_iii_3968", "forbidden", (("ne_iii_3968", 3968.59, 1.0),)),
    LineGroup("o_iii_5007", "forbidden", (("o_iii_5007", 5008.240, 1.0), ("o_iii_4959", 4960.295, 0.336))),
    LineGroup("o_i_6300", "forbidden", (("o_i_6300", 6302.046, 1.0), ("o_i_6364", 6365.535, 0.33))),
    LineGroup("n_ii_6583", "forbidden", (("n_ii_6583", 6585.270, 1.0), ("n_ii_6548", 6549.860, 0.327))),
    LineGroup("s_ii_6716", "forbidden", (("s_ii_6716", 6718.295, 1.0),)),
    LineGroup("s_ii_6731", "forbidden", (("s_ii_6731", 6732.674, 1.0),)),
)
COMPONENTS = ("balmer", "forbidden")
SIDES = (15.0, 60.0)  # Angstrom from a line's centre between which its continuum is measured, on either side
NEAR = 8.0  # Angstrom: a line with a good pixel as near as this is fitted, so that its wings find their owner


def within(group: LineGroup, wave_air: Float[np.ndarray, " good"]) -> bool:
    """Whether a good pixel (rest, air) stands near a line of the group."""
    centres = vac_to_air(np.array([wave for _, wave, _ in group.lines]))
    return bool((np.abs(wave_air[:, None] - centres) < NEAR).any())


def template(
    group: LineGroup, edges: Float[np.ndarray, " edge"], fwhm: Float[np.ndarray, " pix"]
) -> Float[np.ndarray, " pix"]:
    """Mean flux density over each bin of a group whose line `name` has unit flux (1 Angstrom times 1).

    edges: rest frame, air [Angstrom]; fwhm: line spread there [Angstrom], the lines' only width.
    """
    total = np.zeros(len(edges) - 1)
    middle = 0.5 * (edges[1:] + edges[:-1])
    for _, wave, ratio in group.lines:
        centre = float(vac_to_air(np.array(wave)))
        sigma = np.interp(centre, middle, fwhm) / FWHM_PER_SIGMA
        total += ratio * np.diff(ndtr((edges - centre) / sigma)) / np.diff(edges)
    return total


def fluxes(group: LineGroup, weight: float, curve: Float[np.ndarray, " pix"], wave_air: np.ndarray) -> dict:
    """Flux of every line of a group, in the unit of the spectrum times Angstrom, attenuated by the gas's `curve`."""
    return {
        name: weight * ratio * float(np.interp(vac_to_air(np.array(wave)), wave_air, curve))
        for name, wave, ratio in group.lines
    }


def centre(group: LineGroup, name: str) -> float:
    """Air wavelength [Angstrom] of a line of a group."""
    return float(vac_to_air(np.array(next(wave for line, wave, _ in group.lines if line == name))))


def continuum(wave_air: Float[np.ndarray, " pix"], stars: Float[np.ndarray, " pix"], at: float) -> float:
    """Level of the starlight beside a line: the median within `SIDES`; NaN where nothing is there."""
    away = np.abs(wave_air - at)
    beside = stars[(away > SIDES[0]) & (away < SIDES[1])]
    return float(np.median(beside)) if len(beside) else np.nan
