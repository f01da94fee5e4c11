"""Magnitudes and sizes of noiseless images, as the SDSS photometric pipeline defines them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sanspec.mock.image import ELECTRONS, FIELD, SKY
from sanspec.physics.constants import NANOMAGGY_ZERO, PIXEL_SCALE

STEP = 0.2  # arcsec: bins of the radial profile
BINS = 180  # to 36 arcsec
PETROSIAN = 0.2  # limit of the Petrosian ratio (Blanton et al. 2001, eq. 1; Strauss et al. 2002, section 3.2)


@dataclass(frozen=True)
class Photometry:
    """Measured per band ugriz: fluxes [nanomaggies], errors, and radii [arcsec]."""

    petro: Float[np.ndarray, " band"]
    petro_error: Float[np.ndarray, " band"]
    petro_radius: Float[np.ndarray, " band"]
    petro_r50: Float[np.ndarray, " band"]
    petro_r90: Float[np.ndarray, " band"]
    model: Float[np.ndarray, " band"]
    cmodel: Float[np.ndarray, " band"]
    fibre: Float[np.ndarray, " band"]


_OFFSET = (np.fft.fftfreq(FIELD, 1 / FIELD) - 0.5) * PIXEL_SCALE
_RING = np.minimum(
    (np.hypot(_OFFSET[None, :], _OFFSET[:, None]) / STEP).astype(int), BINS
).ravel()  # of each pixel
_COUNT = np.bincount(_RING, minlength=BINS + 1)[:BINS]  # pixels in each ring
_EDGE = STEP * np.arange(1, BINS + 1)
_AREA = np.pi * np.diff(np.concatenate([[0.0], _EDGE]) ** 2)


def growth(field: Float[np.ndarray, "band field field"]) -> Float[np.ndarray, "band ring"]:
    """Flux within each ring's outer edge: mean brightness of the ring's pixels times its exact area."""
    flux = np.stack([np.bincount(_RING, band.ravel(), BINS + 1)[:BINS] for band in field])
    filled = np.where(_COUNT > 0, flux / np.maximum(_COUNT, 1), np.nan) / PIXEL_SCALE**2
    for band in filled:  # the innermost rings hold no pixel centre
        known = np.flatnonzero(~np.isnan(band))
        band[:] = np.interp(np.arange(BINS), known, band[known])
    return np.cumsum(filled * _AREA, axis=1)


def petrosian_radius(curve: Float[np.ndarray, " ring"]) -> float:
    """Radius [arcsec] where the surface brightness in 0.8-1.25 r falls to a fifth of the mean within r."""
    radius = _EDGE[2:]
    within = np.interp([0.8 * radius, 1.25 * radius], _EDGE, curve)
    local = (within[1] - within[0]) / ((1.25**2 - 0.8**2) * radius**2)
    ratio = local / (curve[2:] / radius**2)
    below = np.flatnonzero(ratio < PETROSIAN)
    if below.size == 0 or below[0] == 0:
        return float(radius[-1] if below.size == 0 else radius[0])
    i = below[0]
    return float(np.interp(PETROSIAN, [ratio[i], ratio[i - 1]], [radius[i], radius[i - 1]]))


def measure(
    field: Float[np.ndarray, "band field field"],
    fibre: Float[np.ndarray, " band"],
    total: Float[np.ndarray, " band"],
    rng: np.random.Generator,
) -> Photometry:
    """Petrosian, model and fibre photometry of a noiseless field, with the noise of its apertures.

    fibre: flux within 3 arcsec; total: flux of the whole galaxy. The Petrosian aperture of all bands is two
    Petrosian radii in r; model colours weight every band with the r image, as a common profile does.
    """
    curves = growth(field)
    radius = np.array([petrosian_radius(curve) for curve in curves])
    aperture = np.clip(2 * radius[2], 4 * STEP, _EDGE[-1])
    petro = np.array([np.interp(aperture, _EDGE, curve) for curve in curves])
    edge, grown = np.append(0.0, _EDGE), np.pad(curves, ((0, 0), (1, 0)))
    r50, r90 = (
        np.array([np.interp(share * flux, curve, edge) for curve, flux in zip(grown, petro)])
        for share in (0.5, 0.9)
    )
    weight = field[2] / (field[2] ** 2).sum()
    colour = (field * weight).sum(axis=(1, 2))
    model = total[2] * 10 ** (-0.4 * rng.normal(0, 0.01)) * colour
    petro_error = _error(petro, aperture)
    model_error = _error(model, 1.5 * r50[2])
    return Photometry(
        petro + petro_error * rng.standard_normal(5),
        petro_error,
        radius * np.exp(rng.normal(0, 0.02, 5)),
        r50,
        r90,
        model + model_error * rng.standard_normal(5),
        total + model_error * rng.standard_normal(5),
        fibre + _error(fibre, 1.5) * rng.standard_normal(5),
    )


def _error(flux: Float[np.ndarray, " band"], radius: float) -> Float[np.ndarray, " band"]:
    """Standard error [nanomaggies] of the flux in an aperture, with a per cent of calibration."""
    pixels = np.pi * radius**2 / PIXEL_SCALE**2
    return np.sqrt(pixels * SKY**2 + np.maximum(flux, 0) / ELECTRONS + (0.01 * flux) ** 2)


def magnitude(flux: Float[np.ndarray, "*band"]) -> Float[np.ndarray, "*band"]:
    """AB magnitude of a flux in nanomaggies; the survey's own asinh softening matters below r = 24 only."""
    return NANOMAGGY_ZERO - 2.5 * np.log10(np.maximum(flux, 1e-3))
