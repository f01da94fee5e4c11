"""Model eigenspectra: histories, dust and lines in closed form, and that they span real populations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populations import read_library
from sanspec.physics.air import air_to_vac
from sanspec.physics.lines import LINE_GROUPS
from sanspec.redshift import composites
from sanspec.spectra import grid

AGES = np.array([0.06, 0.2, 0.8, 3.0, 9.0, 14.0])


@given(st.floats(0.3, 13), st.floats(0.05, 100))
def test_a_history_forms_one_unit_of_mass_and_nothing_before_its_start(start, fade):
    weights = composites.history(AGES, start, fade)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    oldest = np.flatnonzero(np.sqrt(AGES[1:] * AGES[:-1]) > start)
    assert (weights[oldest + 1] == 0).all()


def test_a_history_that_does_not_fade_is_constant():
    weights = composites.history(AGES, 13.0, 1e6)
    limits = np.minimum(np.r_[0, np.sqrt(AGES[1:] * AGES[:-1]), 13.0], 13.0)
    assert weights == pytest.approx(np.diff(limits) / 13.0, abs=1e-5)


def test_a_short_burst_is_all_old():
    assert composites.history(AGES, 13.0, 0.05)[-1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("group", LINE_GROUPS, ids=lambda group: group.name)
def test_lines_carry_their_flux_at_their_place(group):
    template = composites.line_template(group)
    edges = grid.loglam_edges(composites.FIRST, composites.PIXELS)
    wave, flux = 0.5 * (edges[1:] + edges[:-1]), template * np.diff(edges)
    assert flux.sum() == pytest.approx(sum(strength for _, strength in group.lines), rel=1e-6)
    mean = sum(place * strength for place, strength in group.lines) / flux.sum()
    assert (wave * flux).sum() / flux.sum() == pytest.approx(mean, abs=0.02)


@pytest.fixture(scope="module")
def library():
    return read_library()


def test_the_vectors_span_populations_that_they_were_not_made_of(library):
    templates = composites.eigenspectra(library, 8)
    gram = templates.vectors[:8] @ templates.vectors[:8].T
    assert gram == pytest.approx(np.eye(8), abs=1e-10)
    assert np.linalg.norm(templates.vectors, axis=1) == pytest.approx(np.ones(8 + len(LINE_GROUPS)))
    edges = air_to_vac(grid.bin_edges(library.lam))
    one = library.cube[:, -6, 4] + 0.2 * library.cube[:, 12, 2]  # an old and a young one, no history
    spectrum = grid.rebin(edges, one, grid.loglam_edges(composites.FIRST, composites.PIXELS))
    optical = templates.loglam > np.log10(3500)
    basis = templates.vectors[:8, optical].T
    rest = spectrum[optical] - basis @ np.linalg.lstsq(basis, spectrum[optical])[0]
    assert rest.std() / spectrum[optical].mean() < 0.02


def test_absorption_stands_at_vacuum_wavelengths(library):
    """Ca K of the mean old population lies at 3934.77 A in vacuum; in air it would be 1.1 A less."""
    spectra = composites.composites(library)
    wave = 10 ** (grid.LOGLAM_STEP * np.arange(composites.FIRST, composites.FIRST + composites.PIXELS))
    near = (wave > 3925) & (wave < 3945)
    mean = (spectra / spectra.mean(axis=1, keepdims=True)).mean(axis=0)[near]
    depth = mean.max() - mean
    core = depth > 0.5 * depth.max()
    assert (wave[near] * depth)[core].sum() / depth[core].sum() == pytest.approx(3934.77, abs=0.5)
