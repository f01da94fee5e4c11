"""Images of simulated galaxies, rendered in Fourier space: 64 x 64 pixels of 0.396 arcsec in ugriz.

A Sersic profile, an exponential disk and a point have known transforms, so that pixels and point spread
functions are exact products there; only arms and clumps are drawn in real space. Fluxes are in nanomaggies,
axes in the order (band, y, x); x grows to the right, y up.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Complex, Float
from scipy import fft
from scipy.special import gamma, gammaincinv, j1

from sanspec.mock.population import Galaxy
from sanspec.physics.constants import NANOMAGGY_ZERO, PIXEL_SCALE

SIZE = 64  # pixels a side
FIELD = 192  # pixels a side of the field that is transformed
PATCH = 96  # pixels a side of the map of arms and clumps
FIBRE = 1.5  # arcsec, radius
SKY = np.array([0.051, 0.018, 0.027, 0.043, 0.153])  # nanomaggies per pixel, standard deviation, ugriz
ELECTRONS = np.array([152.0, 1013.0, 933.0, 716.0, 140.0])  # per nanomaggy
SEEING = np.array([1.53, 1.44, 1.32, 1.26, 1.29]) / 1.32  # median FWHM in ugriz over that in r


# Angular wavenumbers [1/arcsec]: KX (1, FIELD/2+1) and KY (FIELD, 1).
KX = (2 * np.pi * fft.rfftfreq(FIELD, PIXEL_SCALE)[None, :]).astype(np.float32)
KY = (2 * np.pi * fft.fftfreq(FIELD, PIXEL_SCALE)[:, None]).astype(np.float32)
K2 = KX**2 + KY**2
K = np.sqrt(K2)
# Transform of a pixel.
SQUARE = np.sinc(KX * PIXEL_SCALE / 2 / np.pi) * np.sinc(KY * PIXEL_SCALE / 2 / np.pi)
SQUARE = SQUARE.astype(np.float32)
_GRID = ((np.arange(PATCH) - PATCH // 2) * PIXEL_SCALE).astype(np.float32)
PATCH_X, PATCH_Y = _GRID[None, :], _GRID[:, None]

# The centre of the stamp is between the four central pixels of an even grid.
_HALF = np.exp(-0.5j * PIXEL_SCALE * (KX + KY)).astype(np.complex64)


@dataclass(frozen=True)
class Neighbour:
    """Another source in the field: offset, half-light radius [arcsec] (0: a star), flux [nanomaggies]."""

    x: float
    y: float
    flux: Float[np.ndarray, " band"]
    radius: float = 0.0
    axis: float = 1.0
    angle: float = 0.0


# ------------------------------------------------------------------------------------------------- transforms


def psf(fwhm: float) -> Float[np.ndarray, "ky kx"]:
    """Transform of the point spread function: a Gaussian, and one 2.5 times wider with 0.1 of the light."""
    s2 = np.float32((fwhm / 2.3775) ** 2)  # the wings broaden the core by one per cent
    return 0.9 * np.exp(-0.5 * K2 * s2) + 0.1 * np.exp(-3.125 * K2 * s2)


def stretched(radius: float, axis: float, angle: float) -> Float[np.ndarray, "ky kx"]:
    """Wavenumber k R, dimensionless, for an ellipse of semi-major axis `radius` along `angle`."""
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    along, across = c * KX + s * KY, c * KY - s * KX
    return np.float32(radius) * np.sqrt(along**2 + np.float32(axis) ** 2 * across**2)


def exponential(radius: float, axis: float, angle: float) -> Float[np.ndarray, "ky kx"]:
    """Transform of an exponential disk of unit flux and half-light semi-major axis `radius` [arcsec]."""
    return (1 + stretched(radius / 1.67835, axis, angle) ** 2) ** np.float32(-1.5)


_INDICES = np.concatenate([np.arange(0.6, 2.0, 0.1), np.arange(2.0, 6.6, 0.25)])
_LOG_MIN, _LOG_STEP, _STEPS = -9.0, 0.01, 2048


@lru_cache(maxsize=1)
def _sersic_table() -> Float[np.ndarray, "index step"]:
    """Transforms of Sersic profiles of unit flux and half-light radius, by index and by ln(k R)."""
    log_r = -14.0 + _LOG_STEP * np.arange(2 * _STEPS)
    r, table = np.exp(log_r), []
    offset = fft.fhtoffset(_LOG_STEP, mu=0.0)
    log_k = offset - log_r[::-1]
    for index in _INDICES:
        b = gammaincinv(2 * index, 0.5)
        profile = np.exp(-b * r ** (1 / index)) * b ** (2 * index) / (2 * np.pi * index * gamma(2 * index))
        transform = 2 * np.pi * fft.fht(profile * r, _LOG_STEP, mu=0.0, offset=offset) / np.exp(log_k)
        table.append(np.interp(_LOG_MIN + _LOG_STEP * np.arange(_STEPS), log_k, transform))
    return np.array(table, dtype=np.float32)


def sersic(index: float, radius: float, axis: float, angle: float) -> Float[np.ndarray, "ky kx"]:
    """Transform of a Sersic profile of unit flux and half-light semi-major axis `radius` [arcsec]."""
    table = _sersic_table()
    low = int(np.clip(np.searchsorted(_INDICES, index, side="right") - 1, 0, _INDICES.size - 2))
    part = np.float32((index - _INDICES[low]) / (_INDICES[low + 1] - _INDICES[low]))
    row = (1 - part) * table[low] + part * table[low + 1]
    log_k = np.log(np.maximum(stretched(radius, axis, angle), 1e-8))
    step = np.clip((log_k - np.float32(_LOG_MIN)) / np.float32(_LOG_STEP), 0, _STEPS - 2)
    at = step.astype(np.int32)
    return row[at] + (step - at) * (row[at + 1] - row[at])


# Weights of the sum over a transform that give the flux inside the circle of the fibre.
_DISC = np.maximum(K * FIBRE, 1e-6)
_TWICE = np.full(KX.shape[1], 2.0)
_TWICE[[0, -1]] = 1.0
_APERTURE = 2 * np.pi * FIBRE**2 * j1(_DISC) / _DISC * _TWICE / (FIELD * PIXEL_SCALE) ** 2
_APERTURE = _APERTURE.astype(np.float32)


# ------------------------------------------------------------------------------------------------- components


_FREQUENCY2 = fft.rfftfreq(PATCH, PIXEL_SCALE)[None] ** 2 + fft.fftfreq(PATCH, PIXEL_SCALE)[:, None] ** 2
_BLUR = np.exp(-0.5 * 0.55**2 * (2 * np.pi) ** 2 * _FREQUENCY2).astype(np.float32)


def texture(rng: np.random.Generator) -> Float[np.ndarray, "v u"]:
    """Clumps of about 1.3 arcsec FWHM on the patch: smoothed noise of zero mean and unit variance."""
    white = rng.standard_normal((PATCH, PATCH), dtype=np.float32)
    field = fft.irfft2(fft.rfft2(white) * _BLUR, s=(PATCH, PATCH))
    return (field - field.mean()) / field.std()


def modulation(galaxy: Galaxy, rng: np.random.Generator) -> Float[np.ndarray, "v u"]:
    """Arms (logarithmic spirals) and clumps on the patch, relative to the smooth disk's brightness."""
    c, s = np.cos(galaxy.angle), np.sin(galaxy.angle)
    u = (c * PATCH_X + s * PATCH_Y).astype(np.float32)
    v = ((c * PATCH_Y - s * PATCH_X) / galaxy.disk_axis).astype(np.float32)
    radius = np.hypot(u, v) / np.float32(galaxy.disk_radius)
    clumps, phase = galaxy.clumps * texture(rng), rng.uniform(0, 2 * np.pi)
    if galaxy.kind == "Irr":
        return np.maximum(np.exp(clumps - galaxy.clumps**2 / 2) - 1, -0.9)
    winding = np.log(radius + 1e-3) / np.float32(np.tan(galaxy.pitch))
    wave = np.cos(galaxy.arms * (np.arctan2(v, u) - winding) + phase)
    ridge = np.exp(1.2 * wave) / 1.39 - 1  # sharper than a cosine; its mean over azimuth is 0
    return np.maximum(np.minimum(radius / 0.5, 1) ** 2 * (galaxy.contrast * ridge + clumps), -0.9)


def disk_pattern(galaxy: Galaxy, rng: np.random.Generator) -> Complex[np.ndarray, "ky kx"]:
    """Transform of arms and clumps: the disk's surface brightness times its relative modulation."""
    c, s = np.cos(galaxy.angle), np.sin(galaxy.angle)
    scale = galaxy.disk_radius / 1.67835
    u, v = c * PATCH_X + s * PATCH_Y, (c * PATCH_Y - s * PATCH_X) / galaxy.disk_axis
    smooth = np.exp(-np.hypot(u, v) / scale) / (2 * np.pi * scale**2 * galaxy.disk_axis)
    patch = (smooth * modulation(galaxy, rng) * PIXEL_SCALE**2).astype(np.float32)
    field = np.zeros((FIELD, FIELD), np.float32)
    field[:PATCH, :PATCH] = patch
    return fft.rfft2(np.roll(field, (-PATCH // 2, -PATCH // 2), axis=(0, 1)))


def components(galaxy: Galaxy, rng: np.random.Generator) -> Complex[np.ndarray, "component ky kx"]:
    """Transforms of unit flux of bulge, old and young disk (stars below 320 Myr), before seeing and pixels.

    The young disk follows the pattern in full, the old disk at 0.4 of its strength.
    """
    bulge = sersic(galaxy.sersic, galaxy.bulge_radius, galaxy.bulge_axis, galaxy.angle)
    disk = exponential(galaxy.disk_radius, galaxy.disk_axis, galaxy.angle)
    if galaxy.contrast == 0 and galaxy.clumps == 0:
        return np.stack([bulge, _barred(galaxy, disk, rng), disk]).astype(np.complex64)
    pattern = disk_pattern(galaxy, rng)
    whole = pattern[0, 0].real
    young = (disk + pattern) / (1 + whole)
    old = (disk + 0.4 * pattern) / (1 + 0.4 * whole)
    return np.stack([bulge, _barred(galaxy, old, rng), young]).astype(np.complex64)


def _barred(galaxy: Galaxy, disk: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The old disk with a share of its light in a bar at a random angle within the disk's plane."""
    if galaxy.bar == 0:
        return disk
    turn = rng.uniform(-0.6, 0.6)
    axis = max(0.35 * galaxy.disk_axis, 0.12)
    k_r = stretched(0.45 * galaxy.disk_radius, axis, galaxy.angle + turn * galaxy.disk_axis)
    return (1 - galaxy.bar) * disk + galaxy.bar * np.exp(-0.5 * k_r**2)  # a Gaussian bar


# ----------------------------------------------------------------------------------------------------- images


def seeing(galaxy: Galaxy) -> Float[np.ndarray, "band ky kx"]:
    """Transforms of seeing and pixel in the five bands."""
    return np.stack([psf(galaxy.seeing * factor) for factor in SEEING]) * SQUARE


def fibre_fractions(
    parts: Complex[np.ndarray, "component ky kx"], blur: Float[np.ndarray, "band ky kx"]
) -> Float[np.ndarray, "component band"]:
    """Fraction of the light of each component inside the 3 arcsec of the fibre, in the seeing of each band."""
    weights = (blur * _APERTURE).reshape(len(blur), -1)
    return parts.real.reshape(len(parts), -1) @ weights.T


def field(
    parts: Complex[np.ndarray, "component ky kx"],
    flux: Float[np.ndarray, "component band"],
    blur: Float[np.ndarray, "band ky kx"],
) -> Float[np.ndarray, "band field field"]:
    """Noiseless image of the whole field, the galaxy at the corner where four pixels meet."""
    light = np.einsum("cb,cyx->byx", flux.astype(np.float32), parts, optimize=True)
    return fft.irfft2(light * blur * _HALF, s=(FIELD, FIELD))


def stamp(image: Float[np.ndarray, "band field field"]) -> Float[np.ndarray, "band y x"]:
    """The 64 x 64 pixels about the galaxy, cut from a field."""
    half = SIZE // 2
    rows = np.arange(-half + 1, half + 1)
    return image[:, rows[:, None], rows[None, :]]


def neighbours_field(
    others: list[Neighbour], blur: Float[np.ndarray, "band ky kx"]
) -> Float[np.ndarray, "band field field"]:
    """Noiseless image of the other sources in the field."""
    light = np.zeros(blur.shape, np.complex64)
    for other in others:
        shape = exponential(other.radius, other.axis, other.angle) if other.radius else np.float32(1)
        shift = np.exp(-1j * (KX * np.float32(other.x))) * np.exp(-1j * (KY * np.float32(other.y)))
        light += other.flux.astype(np.float32)[:, None, None] * (shape * shift)
    return fft.irfft2(light * blur * _HALF, s=(FIELD, FIELD))


_COLOURS = np.array([[1.6, 0.55, 0, -0.22, -0.35], [0.9, 0.3, 0, -0.12, -0.2]])  # late stars; blue galaxies


def draw_neighbours(rng: np.random.Generator) -> list[Neighbour]:
    """Foreground stars (40 per cent) and background galaxies to r = 22.2 in the stamp, 0.55 on average."""
    found, half = [], PIXEL_SCALE * SIZE / 2
    for _ in range(rng.poisson(0.55)):
        r = rng.triangular(18.0, 21.5, 22.2)
        flux = 10 ** (-0.4 * (r + _COLOURS[int(rng.random() > 0.6)] - NANOMAGGY_ZERO))
        place = rng.uniform(-half, half, 2)
        shape = ()
        if rng.random() >= 0.4:
            shape = rng.uniform(0.4, 1.5), rng.uniform(0.3, 1.0), rng.uniform(0, np.pi)
        found.append(Neighbour(*place, flux, *shape))
    return found


def noisy(image: Float[np.ndarray, "band y x"], rng: np.random.Generator) -> Float[np.ndarray, "band y x"]:
    """`image` with the noise of sky and source."""
    variance = SKY[:, None, None] ** 2 + np.maximum(image, 0) / ELECTRONS[:, None, None]
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return (image + noise * np.sqrt(variance)).astype(np.float32)
