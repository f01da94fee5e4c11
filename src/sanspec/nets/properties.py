"""Redshift, 4000 A break and Halpha of spectra: properties that a network can predict without a spectrum."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

PROPERTIES = ("z", "dn4000", "h_alpha_ew")
BREAK = (3850.0, 3950.0), (4000.0, 4100.0)  # rest-frame A (Balogh et al. 1999)
LINE = (6535.0, 6610.0)  # Halpha and [N II], rest-frame A
SIDES = (6460.0, 6530.0), (6615.0, 6685.0)  # their continuum
SOFTENING = 5.0  # A: equivalent widths are predicted as asinh(width / SOFTENING), positive in emission


def measured(
    log_flux: Shaped[Tensor, "gal pix"], wave: Float[Tensor, " pix"], z: Float[Tensor, " gal"]
) -> Float[Tensor, "gal property"]:
    """z, Dn4000, and the asinh of the equivalent width of Halpha with [N II], at given redshifts.

    log_flux: natural log, gaps filled; wave: vacuum Angstrom, observed frame, evenly spaced.
    """
    flux, rest = log_flux.float().exp(), wave.float() / (1 + z[:, None])
    pixel = rest[:, 1:2] - rest[:, :1]

    def mean(values: Tensor, band: tuple[float, float]) -> Tensor:
        """Over a rest-frame band, each pixel weighted by its overlap; 0 where the spectrum does not reach."""
        upper, lower = (rest + pixel / 2).clamp(max=band[1]), (rest - pixel / 2).clamp(min=band[0])
        share = ((upper - lower) / pixel).clamp(min=0)
        return (values * share).sum(1) / share.sum(1).clamp(min=1e-6)

    blue, red = (mean(flux * rest.square(), band) for band in BREAK)
    sides = sum(mean(flux, side) for side in SIDES) / 2
    excess = mean(flux, LINE) / sides.clamp(min=1e-6) - 1
    width = excess * (LINE[1] - LINE[0])
    return torch.stack([z, red / blue.clamp(min=1e-6), (width / SOFTENING).asinh()], 1)
