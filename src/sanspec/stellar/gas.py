"""Emission lines as templates: groups of tied lines, each assigned to a kinematic component by name."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from sanspec.physics.air import vac_to_air
from sanspec.physics.constants import FWHM_PER_SIGMA

Pixels = Float[np.ndarray, " pix"]

SIDES = 15.0, 60.0  # Angstrom from a line's centre: range of the sidebands that hold its continuum
NEAR = 8.0  # Angstrom: a line is fitted when a good pixel is this close, so that its wings are not left to the stars


@dataclass(frozen=True)
class TiedLines:
    """Lines of one template: vacuum wavelengths [Angstrom] and fluxes relative to the line `name`, which has 1.

    component: `balmer` (recombination) or `forbidden`; lines of a component share velocity and dispersion.
    """

    name: str
    component: str
    lines: tuple[tuple[str, float, float], ...]

    def near(self, wave_air: Float[np.ndarray, " good"]) -> bool:
        """Whether a good pixel (rest, air) is near one of the lines."""
        centres = vac_to_air(np.array([wave for _, wave, _ in self.lines]))
        return bool((np.abs(wave_air[:, None] - centres) < NEAR).any())

    def template(self, edges: Float[np.ndarray, " edge"], fwhm: Pixels) -> Pixels:
        """Mean flux density over each bin of the lines, of which `name` has unit flux (1 Angstrom times 1).

        edges: rest frame, air [Angstrom]. fwhm: line-spread function there [Angstrom], the only width of the lines.
        """
        total = np.zeros(len(edges) - 1)
        middle = 0.5 * (edges[1:] + edges[:-1])
        for _, wave, ratio in self.lines:
            centre = float(vac_to_air(np.array(wave)))
            sigma = np.interp(centre, middle, fwhm) / FWHM_PER_SIGMA
            total += ratio * np.diff(ndtr((edges - centre) / sigma)) / np.diff(edges)
        return total

    def fluxes(self, weight: float, curve: Pixels, wave_air: np.ndarray) -> dict:
        """Flux of every line, in the unit of the spectrum times Angstrom, attenuated by the gas's `curve`."""
        return {
            name: weight * ratio * float(np.interp(vac_to_air(np.array(wave)), wave_air, curve))
            for name, wave, ratio in self.lines
        }

    def centre(self, name: str) -> float:
        """Air wavelength [Angstrom] of one of the lines."""
        return float(vac_to_air(np.array(next(wave for line, wave, _ in self.lines if line == name))))


# Wavelengths: NIST Ritz values in vacuum. Balmer decrement: case B, 1e4 K, 100 cm-3 (Storey & Hummer 1995). Doublets:
# [O III] and [N II] Storey & Zeippen 2000, [O I] Osterbrock & Ferland 2006.
# fmt: off
GROUPS = (
    TiedLines("h_beta", "balmer", (("h_alpha", 6564.632, 2.86), ("h_beta", 4862.691, 1.0),
                                   ("h_gamma", 4341.691, 0.468), ("h_delta", 4102.899, 0.259))),
    # apart: they lie on deep stellar lines, where errors of the templates matter
    TiedLines("h_epsilon", "balmer", (("h_epsilon", 3971.202, 1.0), ("h_8", 3890.158, 0.660),
                                      ("h_9", 3836.479, 0.460), ("h_10", 3798.983, 0.333))),
    TiedLines("he_ii_4686", "balmer", (("he_ii_4686", 4687.015, 1.0),)),
    TiedLines("he_i_5876", "balmer", (("he_i_5876", 5877.243, 1.0),)),
    TiedLines("o_ii_3726", "forbidden", (("o_ii_3726", 3727.092, 1.0),)),
    TiedLines("o_ii_3729", "forbidden", (("o_ii_3729", 3729.875, 1.0),)),
    TiedLines("ne_iii_3869", "forbidden", (("ne_iii_3869", 3869.86, 1.0),)),
    TiedLines("ne_iii_3968", "forbidden", (("ne_iii_3968", 3968.59, 1.0),)),
    TiedLines("o_iii_5007", "forbidden", (("o_iii_5007", 5008.240, 1.0), ("o_iii_4959", 4960.295, 0.336))),
    TiedLines("o_i_6300", "forbidden", (("o_i_6300", 6302.046, 1.0), ("o_i_6364", 6365.535, 0.33))),
    TiedLines("n_ii_6583", "forbidden", (("n_ii_6583", 6585.270, 1.0), ("n_ii_6548", 6549.860, 0.327))),
    TiedLines("s_ii_6716", "forbidden", (("s_ii_6716", 6718.295, 1.0),)),
    TiedLines("s_ii_6731", "forbidden", (("s_ii_6731", 6732.674, 1.0),)),
)
# fmt: on
COMPONENTS = ("balmer", "forbidden")


def continuum(wave_air: Pixels, stars: Pixels, at: float) -> float:
    """Level of the starlight around a line: the median within `SIDES`; NaN where there is no pixel."""
    away = np.abs(wave_air - at)
    sidebands = stars[(away > SIDES[0]) & (away < SIDES[1])]
    return float(np.median(sidebands)) if len(sidebands) else np.nan
