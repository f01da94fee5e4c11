"""Images of the simulated sky against galsim, against closed forms, and their photometry."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import gammainc, gammaincinv

from sanspec.mock import image, photometry, population
from sanspec.physics.constants import PIXEL_SCALE

galsim = pytest.importorskip("galsim", reason="galsim is not installed")

BLUR = np.stack([image.psf(1.32 * factor) for factor in image.SEEING]) * image.SQUARE
ONE = np.ones((1, 5))


def theirs(profile, fwhm=1.32, x=0.0, y=0.0):
    """galsim's picture of a profile of unit flux."""
    s = fwhm / 2.3775
    psf = galsim.Gaussian(sigma=s, flux=0.9) + galsim.Gaussian(sigma=2.5 * s, flux=0.1)
    whole = galsim.Convolve(profile, psf) if profile is not None else psf
    return whole.shift(x, y).drawImage(nx=64, ny=64, scale=PIXEL_SCALE).array


def ours(transform, blur=BLUR):
    """Our picture of a transform, r band."""
    return image.stamp(image.field(np.asarray(transform, np.complex64)[None], ONE, blur))[2]


def galaxy(**changes):
    """A galaxy with the given properties."""
    drawn = population.draw(np.random.default_rng(3), 0.05, 0.15)
    return dataclasses.replace(drawn, **changes)


@pytest.mark.parametrize(
    ("index", "radius", "axis", "angle"),
    [
        (1.0, 2.5, 0.3, 1.2),
        (4.0, 3.0, 0.7, 0.5),
        (2.8, 0.6, 0.8, 2.0),
        (2.2, 1.0, 1.0, 0.0),
        (5.0, 2.0, 0.9, 3.0),
    ],
)
def test_sersic_profiles_agree_with_galsim(index, radius, axis, angle):
    """To 0.5 per cent of the peak in every pixel; the exponential by its own closed form too."""
    profile = galsim.Sersic(index, half_light_radius=radius * np.sqrt(axis))
    wanted = theirs(profile.shear(q=axis, beta=angle * galsim.radians))
    found = [image.sersic(index, radius, axis, angle)]
    found += [image.exponential(radius, axis, angle)] if index == 1 else []
    for transform in found:
        assert np.abs(ours(transform) - wanted).max() < 0.005 * wanted.max()


def test_a_star_off_centre_agrees_with_galsim():
    """x grows with the column, y with the row, and the galaxy stands between the four central pixels."""
    star = image.Neighbour(3.3, -1.7, np.ones(5))
    found = image.stamp(image.neighbours_field([star], BLUR))[2]
    assert np.abs(found - theirs(None, x=3.3, y=-1.7)).max() < 0.005 * found.max()


def test_seeing_is_as_wide_as_stated():
    """Full width at half maximum of the point spread function, without the pixel, to 1 per cent."""
    s = 1.32 / 2.3775
    psf = galsim.Gaussian(sigma=s, flux=0.9) + galsim.Gaussian(sigma=2.5 * s, flux=0.1)
    assert psf.calculateFWHM() == pytest.approx(1.32, rel=0.01)


@pytest.mark.parametrize(("radius", "axis"), [(0.5, 1.0), (2.0, 0.4), (5.0, 0.8)])
def test_the_fibre_gathers_what_the_image_shows(radius, axis):
    """Light within 1.5 arcsec against galsim's fine picture of the same profile, seeing and pixel."""
    profile = galsim.Exponential(half_light_radius=radius * np.sqrt(axis)).shear(
        q=axis, beta=0.3 * galsim.radians
    )
    s, step = 1.32 / 2.3775, PIXEL_SCALE / 12
    psf = galsim.Gaussian(sigma=s, flux=0.9) + galsim.Gaussian(sigma=2.5 * s, flux=0.1)
    whole = galsim.Convolve(profile, psf, galsim.Pixel(PIXEL_SCALE))
    fine = whole.drawImage(nx=128, ny=128, scale=step, method="no_pixel").array
    r = np.hypot(*(np.indices(fine.shape) - 63.5)) * step
    parts = image.exponential(radius, axis, 0.3)[None].astype(np.complex64)
    assert image.fibre_fractions(parts, BLUR)[0, 2] == pytest.approx(fine[r < 1.5].sum(), rel=0.01)


def test_every_component_has_unit_flux():
    for kind, contrast, clumps in (("S", 1.0, 0.5), ("Irr", 0.0, 1.0), ("E", 0.0, 0.0)):
        drawn = galaxy(kind=kind, contrast=contrast, clumps=clumps, bar=0.2 if kind == "S" else 0.0)
        parts = image.components(drawn, np.random.default_rng(1))
        assert np.allclose(parts[:, 0, 0], 1, atol=1e-5)


def test_arms_and_clumps_leave_no_hole():
    """Young light is positive everywhere before seeing; the pattern repeats when turned by its symmetry."""
    drawn = galaxy(
        kind="S", contrast=1.1, clumps=0.0, arms=2, disk_axis=1.0, angle=0.0, disk_radius=4.0, pitch=0.4
    )
    pattern = image.modulation(drawn, np.random.default_rng(1))
    assert pattern.min() > -1
    turned = np.rot90(pattern[1:, 1:], 2)
    assert np.abs(turned - pattern[1:, 1:]).max() < 0.02 * np.abs(pattern).max()


def test_arms_show_in_the_young_light_only_where_there_are_any():
    """Face on, the young disk departs from an exponential; the old disk less; an elliptical not at all."""
    drawn = galaxy(kind="S", contrast=1.0, clumps=0.3, disk_axis=0.9, disk_radius=4.0, bar=0.0)
    parts = image.components(drawn, np.random.default_rng(2))
    smooth = image.exponential(drawn.disk_radius, drawn.disk_axis, drawn.angle)
    old, young = (np.abs(ours(part) - ours(smooth)).sum() for part in parts[1:])
    assert young > 0.15 and 0.2 < old / young < 0.7


def test_texture_is_noise_of_unit_variance():
    field = image.texture(np.random.default_rng(5))
    assert field.mean() == pytest.approx(0, abs=1e-5) and field.std() == pytest.approx(1, abs=1e-5)


def test_noise_is_that_of_sky_and_source():
    """Standard deviation of pulls over 12,288 pixels of each band: 1 within 3 per cent."""
    clean = np.tile(np.linspace(0, 3, image.SIZE), (5, image.SIZE, 1))
    rng = np.random.default_rng(8)
    noise = np.stack([image.noisy(clean, rng) - clean for _ in range(3)])
    sigma = np.sqrt(image.SKY[:, None, None] ** 2 + clean / image.ELECTRONS[:, None, None])
    assert (noise / sigma).std(axis=(0, 2, 3)) == pytest.approx(1, abs=0.03)


# ------------------------------------------------------------------------------------------------ photometry


def petrosian_exponential():
    """Petrosian radius of a round exponential of unit scale, with the ring of 0.8-1.25 r."""

    def light(r):
        return 1 - (1 + r) * np.exp(-r)

    def excess(r):
        ring = (light(1.25 * r) - light(0.8 * r)) / (1.25**2 - 0.8**2)
        return ring - photometry.PETROSIAN * light(r)

    return brentq(excess, 1, 8)


@given(st.floats(2.5, 5.0))
@settings(max_examples=10, deadline=None)
def test_petrosian_radius_of_an_exponential(radius):
    """Under a seeing of 0.8 arcsec, which matters little: the closed form to 3 per cent."""
    sharp = np.stack([image.psf(0.8)] * 5) * image.SQUARE
    field = image.field(image.exponential(radius, 1.0, 0.0)[None].astype(np.complex64), ONE, sharp)
    curve = photometry.growth(field)[2]
    assert photometry.petrosian_radius(curve) == pytest.approx(
        petrosian_exponential() * radius / 1.67835, rel=0.03
    )


@pytest.mark.parametrize("index", [1.0, 2.5, 4.0])
def test_growth_of_light_is_the_profile_s(index):
    """Flux within the half-light radius and within twice it, incomplete gamma functions, to 3 per cent."""
    radius = 4.0
    field = image.field(image.sersic(index, radius, 1.0, 0.0)[None].astype(np.complex64), ONE, BLUR)
    curve, b = photometry.growth(field)[2], gammaincinv(2 * index, 0.5)
    edges = photometry.STEP * np.arange(1, photometry.BINS + 1)
    for factor in (1.0, 2.0):
        wanted = gammainc(2 * index, b * factor ** (1 / index))
        assert np.interp(factor * radius, edges, curve) == pytest.approx(wanted, rel=0.03)


def test_measured_magnitudes_are_those_put_in():
    """A bright exponential: Petrosian flux and colours are the total's; radii do not depend on band."""
    flux = np.array([[200.0, 600.0, 1000.0, 1300.0, 1600.0]])
    parts = image.exponential(3.0, 0.8, 0.4)[None].astype(np.complex64)
    blur = np.stack([image.psf(1.32)] * 5) * image.SQUARE
    field = image.field(parts, flux, blur)
    inside = image.fibre_fractions(parts, blur)
    found = photometry.measure(field, (flux * inside).sum(axis=0), flux[0], np.random.default_rng(1))
    assert found.petro == pytest.approx(flux[0], rel=0.06)
    colours = -2.5 * np.log10(found.model[:-1] / found.model[1:])
    assert colours == pytest.approx(-2.5 * np.log10(flux[0, :-1] / flux[0, 1:]), abs=0.06)
    assert np.ptp(found.petro_r50) < 0.05 and np.all(found.petro_r90 > 2 * found.petro_r50)
    assert photometry.magnitude(np.array([1.0, 100.0])) == pytest.approx([22.5, 17.5])
