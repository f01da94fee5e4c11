"""The linear fit at one trial redshift, against brute force."""

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

from sanspec import store
from sanspec.errors import SanspecError
from sanspec.redshift import eigenfit
from sanspec.spectra import grid

LOGLAM = 3.5 + grid.LOGLAM_STEP * np.arange(4600)


@pytest.fixture(scope="module")
def templates():
    """Three smooth random vectors."""
    rng = np.random.default_rng(0)
    knots = CubicSpline(np.linspace(3.49, 3.97, 240), rng.normal(size=(240, 3)))
    return eigenfit.Eigenspectra(LOGLAM, knots(LOGLAM).T)


@pytest.fixture(scope="module")
def fitter(templates):
    return eigenfit.Fitter(templates, polynomials=2)


def spectra(count=6, masked=0.02, seed=1):
    rng = np.random.default_rng(seed)
    flux = rng.normal(1.0, 0.2, (count, len(grid.WAVE)))
    weight = 25.0 * (rng.random(flux.shape) > masked)
    return flux, weight


def chi2(flux, weight, basis):
    """Least chi2 of one spectrum on a basis, by brute force."""
    root = np.sqrt(weight)
    return np.sum((flux * root - (basis * root).T @ np.linalg.lstsq((basis * root).T, flux * root)[0]) ** 2)


@pytest.mark.parametrize("masked", [0.02, 0.6])  # the sparse and the dense way
def test_gain_is_the_fall_of_chi2(fitter, masked):
    flux, weight = spectra(masked=masked)
    for shift in (0.0, 0.07, 0.2):
        basis = fitter.basis(shift)
        covered = np.any(basis[2:] != 0, axis=0)
        gains = fitter.gains(shift, flux * weight, eigenfit.Weight(weight))
        oracle = [
            chi2(f[covered], w[covered], basis[:2, covered]) - chi2(f[covered], w[covered], basis[:, covered])
            for f, w in zip(flux, weight)
        ]
        assert gains == pytest.approx(oracle, rel=1e-6, abs=1e-5)


def test_what_is_made_of_polynomials_alone_gains_nothing(fitter):
    flux = fitter.smooth.T @ [1.0, 0.3]
    gain = fitter.gains(0.05, flux[None] * 4.0, eigenfit.Weight(np.full((1, len(flux)), 4.0)))
    assert gain == pytest.approx(0, abs=1e-5)


def test_pixels_that_no_template_reaches_count_for_nothing(templates):
    """At z = 0 the red end lies beyond these templates: whatever stands there, the gain stays."""
    short = eigenfit.Eigenspectra(LOGLAM[:4000], templates.vectors[:, :4000])  # to 7943 A
    fitter = eigenfit.Fitter(short, polynomials=2)
    flux, weight = spectra(1, masked=0.0)
    changed = np.where(grid.WAVE > 7945, 50.0, flux)
    one, other = (fitter.gains(0.0, f * weight, eigenfit.Weight(weight)) for f in (flux, changed))
    assert one == pytest.approx(other, rel=1e-12)


def test_a_vector_without_a_covered_pixel_is_harmless(templates):
    vectors = np.concatenate([templates.vectors, np.where(10**LOGLAM < 3400, 1.0, 0.0)[None]])
    flux, weight = spectra(2)
    ours, plain = (
        eigenfit.Fitter(eigenfit.Eigenspectra(LOGLAM, v), 2).gains(
            0.01, flux * weight, eigenfit.Weight(weight)
        )
        for v in (vectors, templates.vectors)
    )
    assert ours == pytest.approx(plain, rel=1e-8)


def test_the_spline_follows_a_line_between_pixels(fitter, templates):
    """A shift of any part of a pixel reproduces a sampled function to 1e-4 of its height."""
    oracle = CubicSpline(LOGLAM, templates.vectors[0])
    for shift in np.log(10) * grid.LOGLAM_STEP * np.array([0.0, 0.25, 0.5, 123.7]):
        value = fitter.basis(shift)[2]
        expected = oracle(np.log10(grid.WAVE) - shift / np.log(10))
        covered = value != 0
        scale = np.linalg.norm(expected[covered])
        assert value[covered] == pytest.approx(expected[covered] / scale, abs=1e-4 * abs(value).max())


def test_eigenspectra_come_back_from_disk(tmp_path, templates):
    path = tmp_path / "eigenspectra.h5"
    eigenfit.write_eigenspectra(path, templates, store.provenance("eigenspectra"))
    back = eigenfit.read_eigenspectra(path)
    assert (back.vectors == templates.vectors).all() and (back.loglam == templates.loglam).all()


def test_another_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(SanspecError, match="no file"):
        eigenfit.read_eigenspectra(tmp_path / "none.h5")
    with store.create(tmp_path / "other.h5", {}) as file:
        store.put(file, "wave", grid.WAVE, "pix", "Angstrom")
    with pytest.raises(SanspecError, match="holds no eigenspectra"):
        eigenfit.read_eigenspectra(tmp_path / "other.h5")
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF")
    with pytest.raises(SanspecError, match="not a complete HDF5"):
        eigenfit.read_eigenspectra(tmp_path / "cut.h5")
