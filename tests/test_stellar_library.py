"""Template libraries: three forms behind one interface, and one line for every way in which a file can be wrong."""

import io
import zipfile

import numpy as np
import pytest
from astropy.io import fits

from populations import library_path
from sanspec.archive.templates import CARRIERS
from sanspec.errors import SanspecError
from sanspec.physics.constants import LSUN
from sanspec.stellar import packing
from sanspec.stellar.library import open_library

LAM = 3500.0 + 0.9 * np.arange(4400)


def gridded(path, **changes):
    """A small library as ppxf lays it out: 3 ages, 2 metallicities."""
    shape = (LAM.size, 3, 2)
    arrays = {
        "templates": 1 + np.arange(np.prod(shape)).reshape(shape) / 1e5,
        "masses": np.full((3, 2), 0.8),
        "lam": LAM,
        "ages": np.array([0.1, 1.0, 15.0]),
        "metals": np.array([-0.4, 0.0]),
        "fwhm": np.full(LAM.size, 2.51),
    }
    np.savez(path, **{key: value for key, value in (arrays | changes).items() if value is not None})
    return path


def released(folder, imf="kr", ages=(0.5, 10.0), cut=0):
    """Two text files of a firefly_release folder."""
    folder.mkdir(exist_ok=True)
    for code, metal in (("002", 0.0), ("004", 0.35)):
        lines = [f"{age} {metal} {lam:.4f} {age * LSUN:.6E}" for age in ages for lam in LAM[:400]]
        (folder / f"ssp_M11_MILES.{imf}z{code}").write_text("\n".join(lines[: len(lines) - cut]) + "\n")
    return folder


def wheel(path, step=0.9):
    """A wheel with three M11 models, the second at another metallicity."""
    with zipfile.ZipFile(path, "w") as archive:
        for age, z in ((1.0, 0.02), (10.0, 0.02), (1.0, 0.01)):
            hdu = fits.PrimaryHDU(np.full(4367, age * LSUN))
            hdu.header.update(AGE=age, Z=z, CRVAL1=3500.0, CDELT1=step if z == 0.01 else 0.9)
            content = io.BytesIO()
            hdu.writeto(content)
            archive.writestr(f"{packing.M11_FOLDER}M11_age_{age}_z_{z}.fits", content.getvalue())
    return path


def test_a_grid_is_flattened_with_age_slow(tmp_path):
    library = open_library(gridded(tmp_path / "fsps.npz"), "Chabrier 2003")
    assert library.shape == (3, 2) and library.name == "fsps" and library.imf == "Chabrier 2003"
    assert library.age.tolist() == [0.1, 0.1, 1, 1, 15, 15] and library.metal.tolist() == [-0.4, 0.0] * 3
    assert np.allclose(library.log_age[-1], np.log10(15e9))
    assert library.flux[7, 3] == 1 + (7 * 6 + 3) / 1e5


def test_a_scalar_resolution_holds_everywhere(tmp_path):
    library = open_library(gridded(tmp_path / "a.npz", fwhm=np.array(2.3)))
    assert (library.fwhm == 2.3).all() and library.fwhm.shape == LAM.shape


def test_a_cut_keeps_the_grid(tmp_path):
    library = open_library(gridded(tmp_path / "a.npz")).cut(4000, 5000, 14.2)
    assert library.shape == (2, 2) and library.age.max() == 1.0
    assert library.lam[0] >= 4000 and library.lam[-1] <= 5000 and library.flux.shape == (library.lam.size, 4)
    with pytest.raises(SanspecError, match="nothing between 9000 and 9500 A"):
        library.cut(9000, 9500)


def test_a_release_folder_is_read(tmp_path):
    library = open_library(released(tmp_path / "m11"))
    assert library.imf == "Kroupa 2001" and library.shape is None
    assert library.age.tolist() == [0.5, 10.0] * 2 and library.metal.tolist() == [0.0, 0.0, 0.35, 0.35]
    assert np.allclose(library.flux, library.age) and np.isnan(library.mass).all()


def test_a_folder_of_two_imfs_asks_which(tmp_path):
    released(tmp_path / "m11", "ss")
    released(tmp_path / "m11", "kr")
    with pytest.raises(SanspecError, match=r"holds the IMFs \['kr', 'ss'\]"):
        open_library(tmp_path / "m11")
    assert open_library(tmp_path / "m11", "ss").imf == "Salpeter 1955"


def test_the_records_folder_is_read(real_data):
    library = open_library(real_data / "firefly")
    assert library.flux.shape == (4367, 137) and sorted(set(library.metal)) == [-1.3, -0.33, 0.0, 0.35]
    assert library.limits()["age_gyr"] == [0.0065, 15.0]


def test_m11_is_packed_trimmed_and_read_back(tmp_path):
    library = packing.pack_m11(wheel(tmp_path / "a.whl"))
    assert (library.age.tolist(), library.metal.tolist()) == ([1.0, 1.0, 10.0], [-0.33, 0.0, 0.0])
    assert library.lam[0] >= 3550 and library.lam[-1] <= 7400 and np.allclose(library.flux, library.age)
    library.write(tmp_path / "m11.npz")
    again = open_library(tmp_path / "m11.npz")
    assert (again.name, again.imf, again.shape) == ("M11-MILES", "Salpeter 1955", None)
    assert np.array_equal(again.flux, library.flux) and np.array_equal(again.fwhm, library.fwhm)


def test_emiles_is_read_with_its_resolution():
    library = open_library(library_path(), "Salpeter")
    assert library.shape == (25, 6) and library.limits()["metal"] == [-1.71, 0.22]
    assert np.interp(5000.0, library.lam, library.fwhm) == 2.51  # MILES: Falcon-Barroso et al. 2011


WRONG = {
    "cut short": (lambda path: path.write_bytes(gridded(path).read_bytes()[:5000]), "not a whole npz file"),
    "another grid": (lambda path: gridded(path, masses=np.ones((2, 3))), "do not fit 3 ages x 2"),
    "fewer pixels": (lambda path: gridded(path, lam=LAM[:-1]), "order of wavelengths|wavelengths"),
    "falling wavelengths": (lambda path: gridded(path, lam=LAM[::-1]), "order of wavelengths"),
    "not finite": (lambda path: gridded(path, templates=np.full((LAM.size, 3, 2), np.nan)), "fluxes"),
    "empty population": (lambda path: gridded(path, templates=np.zeros((LAM.size, 3, 2))), "fluxes"),
    "no masses": (lambda path: gridded(path, masses=None), "allowed: an npz with templates, masses"),
    "negative age": (lambda path: gridded(path, ages=np.array([-1.0, 1, 2])), "ages"),
    "text": (lambda path: path.write_text("templates"), "not a whole npz file"),
}


@pytest.mark.parametrize("make, words", WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_told_in_one_line(tmp_path, make, words):
    path = tmp_path / "bad.npz"
    make(path)
    with pytest.raises(SanspecError, match=words) as fault:
        open_library(path)
    assert "\n" not in str(fault.value) and str(path) in str(fault.value)


def test_other_wrong_places(tmp_path):
    with pytest.raises(SanspecError, match="no templates"):
        open_library(tmp_path / "none.npz")
    with pytest.raises(SanspecError, match="no files ssp_M11"):
        open_library(tmp_path)
    with pytest.raises(SanspecError, match="cut short"):
        open_library(released(tmp_path / "short", cut=3))
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "ssp_M11_MILES.krz002").write_text("age metal\n")
    with pytest.raises(SanspecError, match="not a table of numbers"):
        open_library(tmp_path / "words")


def test_wrong_wheels(tmp_path):
    (tmp_path / "text.whl").write_text("no")
    with pytest.raises(SanspecError, match="not a whole wheel"):
        packing.pack_m11(tmp_path / "text.whl")
    with zipfile.ZipFile(tmp_path / "empty.whl", "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(SanspecError, match="holds no M11-MILES models"):
        packing.pack_m11(tmp_path / "empty.whl")
    with pytest.raises(SanspecError, match=r"templates.m11: text.whl has sha256 .* not 00"):
        CARRIERS["m11"]._replace(sha256="00").verify(tmp_path / "text.whl")
