"""The stellar population models: fetched, verified, packed, read, and taken by ppxf."""

import io
import subprocess
import tarfile

import numpy as np
import pytest
import yaml
from astropy.io import fits

from sanspec import __main__ as cli
from sanspec.archive import templates as archives
from sanspec.errors import SanspecError
from sanspec.stellar import packing
from sanspec.stellar.library import open_library
from sky import emiles  # noqa: F401

AGES, METALS = (0.1, 1.0, 10.0), (-0.40, 0.22)
PACKAGE = "ppxf==8.2.6"
CARRIER = archives.CARRIERS["emiles"]._replace(sha256="0" * 64)


def model(age, metal, pixels=150):
    """The bytes of one model file: flux = 1 + age + metal, wavelengths from 3000 A in steps of 0.9 A."""
    header = fits.Header({"CRVAL1": 3000.0, "CDELT1": 0.9})
    file = io.BytesIO()
    fits.PrimaryHDU(np.full(pixels, 1 + age + metal, np.float32), header).writeto(file)
    return file.getvalue()


def archive(path, ages=AGES, metals=METALS, rows=None):
    """A source distribution with the layout of ppxf's."""
    text = "#comment\n" + "".join(
        f"UN  1.30 {metal:7.4f} {age:7.4f} 1.0000 {0.5 + 0.01 * age:.4f} 0.3 0.2\n"
        for age in (rows or ages)
        for metal in metals
    )
    name = "ppxf-8.2.6/ppxf/miles_models/"
    members = {name + "Vazdekis2012_ssp_mass_Padova00_UN_baseFe_v10.0.txt": text.encode()}
    for age in ages:
        for metal in metals:
            key = f"Z{'m' if metal < 0 else 'p'}{abs(metal):.2f}T{age:07.4f}"
            members[f"{name}Eun1.30{key}_iPp0.00_baseFe_linear_FWHM_variable.fits"] = model(age, metal)
    with tarfile.open(path, "w:gz") as tar:
        for member, content in members.items():
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


def test_pack_orders_by_age_and_metallicity(tmp_path):
    library = packing.pack_emiles(archive(tmp_path / "a.tar.gz"), 3000, 3100)
    assert library.cube.shape == (112, 3, 2)
    assert np.allclose(library.cube[0], 1 + np.add.outer(AGES, METALS))
    assert np.allclose(library.mass.reshape(3, 2), 0.5 + 0.01 * np.array(AGES)[:, None])
    assert np.allclose(library.ages, AGES) and np.allclose(library.metals, METALS)


def test_pack_cuts_to_the_range_asked_for(tmp_path):
    library = packing.pack_emiles(archive(tmp_path / "a.tar.gz"), 3010, 3020)
    assert library.lam[0] >= 3010 and library.lam[-1] <= 3020 and np.allclose(np.diff(library.lam), 0.9)
    assert len(library.flux) == library.lam.size == library.fwhm.size


def test_what_was_written_is_read(tmp_path):
    library = packing.pack_emiles(archive(tmp_path / "a.tar.gz"), 3000, 3100)
    library.write(tmp_path / "t.npz")
    again = open_library(tmp_path / "t.npz")
    for key in ("flux", "mass", "lam", "age", "metal", "fwhm", "shape"):
        assert np.array_equal(getattr(again, key), getattr(library, key))
    with np.load(tmp_path / "t.npz") as file:
        assert file["templates"].shape == (112, 3, 2) and file["templates"].dtype == np.float32
        assert set(file.files) == {"templates", "masses", "lam", "ages", "metals", "fwhm"}


def test_resolution_is_that_of_the_libraries():
    """Vazdekis et al. 2016: NGSL 3 A, then 5 A, MILES and CaT 2.51 A, sigma 60 km/s beyond."""
    lam = np.array([2000.0, 3300.0, 5000.0, 8900.0, 9000.0])
    assert np.allclose(packing.resolution(lam)[:4], [3.0, 5.0, 2.51, 2.51])
    assert packing.resolution(lam)[4] / 9000 * 299792.458 / 2.35482 == pytest.approx(60, rel=1e-5)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(b"no archive"), "not a whole .tar.gz"),
        (lambda path: path.write_bytes(archive(path).read_bytes()[:400]), "not a whole .tar.gz"),
        (lambda path: archive(path, ages=()), "holds no E-MILES models"),
        (lambda path: archive(path, rows=(0.1, 1.0)), "mass table has 0 rows for age 10.0"),
    ],
)
def test_a_bad_archive_is_told_in_one_line(tmp_path, spoil, words):
    path = tmp_path / "a.tar.gz"
    spoil(path)
    with pytest.raises(SanspecError, match=words) as fault:
        packing.pack_emiles(path, 3000, 3100)
    assert "\n" not in str(fault.value)


def test_an_incomplete_grid_is_refused(tmp_path):
    whole = archive(tmp_path / "a.tar.gz")
    with tarfile.open(whole) as tar, tarfile.open(tmp_path / "b.tar.gz", "w:gz") as less:
        for member in tar.getmembers()[:-1]:
            less.addfile(member, tar.extractfile(member))
    with pytest.raises(SanspecError, match="holds 5 models, not 3 ages x 2"):
        packing.pack_emiles(tmp_path / "b.tar.gz", 3000, 3100)


# --------------------------------------------------------------------------------------------------- fetching


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("/usr/bin/python: No module named pip", "this Python has no pip"),
        (
            "ERROR: Could not find a version that satisfies the requirement ppxf==8.2.6\nERROR: No m",
            "not find a ver",
        ),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
            "sha256 is not the one",
        ),
        ("something went wrong", "something went wrong"),
        ("", "without a message"),
    ],
)
def test_a_failing_pip_is_told_with_the_remedy(tmp_path, monkeypatch, output, words):
    done = subprocess.CompletedProcess([], 1, "", output)
    monkeypatch.setattr(archives.subprocess, "run", lambda *args, **options: done)
    with pytest.raises(SanspecError, match=words) as fault:
        CARRIER.fetch(tmp_path)
    assert "ppxf==8.2.6 from PyPI by hand" in str(fault.value) and "templates.emiles" in str(fault.value)
    assert "\n" not in str(fault.value)


def test_a_slow_index_ends(tmp_path, monkeypatch):
    def slow(*args, **options):
        raise subprocess.TimeoutExpired(args, options["timeout"])

    monkeypatch.setattr(archives.subprocess, "run", slow)
    with pytest.raises(SanspecError, match="did not fetch"):
        CARRIER.fetch(tmp_path)


def test_an_index_without_the_source_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(
        archives.subprocess, "run", lambda *a, **o: subprocess.CompletedProcess([], 0, "", "")
    )
    with pytest.raises(SanspecError, match="index has no source of"):
        CARRIER.fetch(tmp_path)


def test_pip_is_asked_for_one_version_with_its_hash(tmp_path, monkeypatch):
    def pip(command, **options):
        folder = command[command.index("--dest") + 1]
        assert "--no-deps" in command and "--require-hashes" in command
        assert (tmp_path / "requirement.txt").read_text() == f"{PACKAGE} --hash=sha256:{digest}\n"
        (tmp_path / "ppxf-8.2.6.tar.gz").write_bytes(b"the archive")
        assert folder == str(tmp_path)
        return subprocess.CompletedProcess([], 0, "", "")

    (tmp_path / "other").write_bytes(b"the archive")
    digest = archives.digest(tmp_path / "other")
    monkeypatch.setattr(archives.subprocess, "run", pip)
    assert CARRIER._replace(sha256=digest).fetch(tmp_path) == tmp_path / "ppxf-8.2.6.tar.gz"


@pytest.mark.parametrize("present", [True, False])
def test_a_wrong_or_missing_file_is_told_by_the_stage(tmp_path, capsys, present):
    file = tmp_path / "ppxf-8.2.6.tar.gz"
    if present:
        file.write_bytes(b"other bytes")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"templates": {"emiles": str(file)}}))
    command = ["templates", "--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "t.npz")]
    assert cli.main(command) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "templates.emiles" in lines[0] and not (tmp_path / "t.npz").exists()


def test_the_stage_packs_a_file_given_by_hand(tmp_path, monkeypatch):
    file = archive(tmp_path / "ppxf-8.2.6.tar.gz")
    carrier = archives.CARRIERS["emiles"]._replace(sha256=archives.digest(file))
    monkeypatch.setitem(archives.CARRIERS, "emiles", carrier)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"templates": {"emiles": str(file)}}))
    out = tmp_path / "deep" / "t.npz"
    assert cli.main(["templates", "--config", str(tmp_path / "config.yaml"), "--out", str(out)]) == 0
    assert open_library(out).cube.shape == (150, 3, 2)


# ---------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("content", [None, b"", b"not a zip", "keys", "pickle"])
def test_unreadable_templates_are_told(tmp_path, content):
    path = tmp_path / "t.npz"
    if content == "keys":
        np.savez(path, templates=np.zeros(3))
    elif content == "pickle":
        keys = ("templates", "masses", "lam", "ages", "metals", "fwhm")
        np.savez(path, **dict.fromkeys(keys, np.array([{}], dtype=object)))
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(SanspecError, match="sanspec templates --config"):
        open_library(path)


def test_ppxf_takes_the_real_library(emiles):  # noqa: F811
    """25 ages by 6 metallicities; ages and [M/H] of Vazdekis et al. 2016 as the package lists them."""
    sps_util = pytest.importorskip("ppxf.sps_util", reason="ppxf is not installed")
    library = open_library(emiles)
    assert library.shape == (25, 6)
    assert library.ages[[0, -1]] == pytest.approx([0.0631, 15.8489])
    assert library.metals == pytest.approx([-1.71, -1.31, -0.71, -0.40, 0.0, 0.22])
    assert np.all(np.isfinite(library.flux)) and np.all((library.mass > 0.4) & (library.mass < 1))
    taken = sps_util.sps_lib(str(emiles), 70.0, 3.0, norm_range=[5070, 5950], lam_range=[3600, 7400])
    assert taken.templates.shape[1:] == (25, 6) and np.all(np.isfinite(taken.templates))
