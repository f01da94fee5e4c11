"""Small cases of the benchmarks of the population fits: mixtures of populations, and real nearby galaxies."""

import pytest

import made_populations as made
from conftest import benchmark
from populations import library_path
from sanspec.config import Prepare, Stellar
from sanspec.stellar.firefly.match import trimmed
from sanspec.stellar.library import open_library
from spectra_to_fit import from_file, from_prepared

SETTINGS = Stellar()
GALAXIES = 6


def test_firefly_finds_the_populations_of_mixtures():
    """Two dozen mixtures of one to three populations, S/N 5-50, white noise: accuracy, and errors of the right size."""
    script, library = benchmark("firefly_mocks"), made.library()
    mocks = [script.draw(seed, trimmed(library), SETTINGS) for seed in range(24)]
    found = script.summary([script.fit_mock(mock, library, SETTINGS, False) for mock in mocks])[-1]
    assert found["mocks"] == 24
    assert found["log_age_light"]["p68"] <= 0.3 and found["metal_light"]["p68"] <= 0.3
    assert found["ebv_stars"]["p68"] <= 0.1
    assert all(0.4 <= found[name]["coverage"] <= 0.95 for name in script.NAMES)


@pytest.mark.parametrize("form", ["native", "prepared"])
def test_dispersions_of_nearby_galaxies_are_those_of_the_pipeline(form, real_data):
    script = benchmark("califa_vdisp")
    library = open_library(library_path(), SETTINGS.ppxf.imf).cut(age_max=SETTINGS.ppxf.age_max)
    paths = sorted((real_data / "spectra" / "califa_lowz").rglob("spec-*.fits"))[: 2 * GALAXIES : 2]
    spectra = [from_file(path) for path in paths] if form == "native" else from_prepared(paths, Prepare())
    rows = [script.compare(path, spectrum, library, SETTINGS) for path, spectrum in zip(paths, spectra)]
    found = script.summary(rows)
    assert found["fitted"] == GALAXIES and found["compared"] >= GALAXIES - 2
    assert found["median_ratio"] == pytest.approx(1, abs=0.1)
    assert found["within_3_errors_and_10_kms"] >= 0.8 and found["v_max_abs"] < 60
