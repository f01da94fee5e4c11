"""Spectrum files: what we read is what astropy reads; every kind of refusal and damage is told apart."""

import csv

import numpy as np
import pytest
from astropy.io import fits

import small_survey
from sanspec.config import Prepare
from sanspec.errors import SanspecError, Warn
from sanspec.spectra.native import NATIVE_FIRST
from sanspec.survey import sdss, specfile

CLEAN = Warn(0)


@pytest.fixture
def good(tmp_path):
    return small_survey.write_spectrum(
        tmp_path / "spec-0751-52251-0160.fits", small_survey.galaxy(1), small_survey.about(160)
    )


def test_reading_gives_what_was_written(good):
    spectrum = specfile.read(good)
    written = small_survey.galaxy(1)
    for name in ("flux", "loglam", "ivar", "and_mask", "wdisp"):
        np.testing.assert_array_equal(getattr(spectrum, name), written[name].astype(np.float32).astype(float))
    assert spectrum.about.specobjid == 845594848269461504 and spectrum.about.run2d == "26"
    assert spectrum.about.snr_r == 180 and [(spectrum.about, "")] == list(specfile.read_abouts([good]))
    assert spectrum.about.refusal == CLEAN and not spectrum.about.misnamed(good)


def test_a_block_stands_on_the_common_grid(good):
    block = specfile.read_many([good, good])
    start = small_survey.FIRST - block.first
    written = small_survey.galaxy(1)["flux"].astype(np.float32)
    np.testing.assert_array_equal(block.flux[1, start : start + small_survey.PIXELS], written)
    assert not block.ivar[:, :start].any() and not block.warn.any() and block.about[0].fiberid == 160


def test_bad_pixels_lose_their_weight(tmp_path):
    coadd = small_survey.galaxy(1)
    coadd["flux"][10], coadd["flux"][11], coadd["ivar"][12], coadd["ivar"][13] = np.nan, np.inf, np.nan, -1.0
    coadd["ivar"][14], coadd["and_mask"][15], coadd["wdisp"][16] = np.inf, sdss.PixMask.NODATA, 0.0
    block = specfile.read_many(
        [small_survey.write_spectrum(tmp_path / "a.fits", coadd, small_survey.about(1))]
    )
    start = small_survey.FIRST - block.first
    assert not block.ivar[0, start + 10 : start + 16].any() and block.ivar[0, start + 16] > 0
    assert np.isfinite(block.flux).all() and block.wdisp[0, start + 16] == 0


def test_the_bits_that_mask_are_those_of_the_settings(tmp_path):
    assert sum(sdss.PixMask[name] for name in Prepare().mask_bits) == specfile.MASKED_BITS
    coadd = small_survey.galaxy(1)
    coadd["and_mask"][[10, 11]] = sdss.PixMask.BRIGHTSKY, sdss.PixMask.BADFLAT
    path = small_survey.write_spectrum(tmp_path / "a.fits", coadd, small_survey.about(1))
    start = small_survey.FIRST - NATIVE_FIRST
    assert list(specfile.read_many([path]).ivar[0, start + 10 : start + 12] > 0) == [False, True]
    assert specfile.read_many([path], masked=0).ivar[0, start + 10] > 0


@pytest.mark.parametrize(
    ("changed", "bit"),
    [
        ({"CLASS": "QSO"}, Warn.NOT_GALAXY),
        ({"CLASS": "STAR"}, Warn.NOT_GALAXY),
        ({"INSTRUMENT": "BOSS"}, Warn.NOT_SDSS),
        ({"ZWARNING": 4}, Warn.ZWARNING),
        ({"ZWARNING": 5}, Warn.ZWARNING | Warn.SKY_FIBRE),
        ({"SOURCETYPE": "SKY"}, Warn.SKY_FIBRE),
        ({"PLATEQUALITY": "bad"}, Warn.BAD_PLATE),
        ({"SPECPRIMARY": 0}, Warn.BAD_PLATE),
        ({"PLATEQUALITY": "marginal"}, CLEAN),
    ],
)
def test_each_refusal_has_its_reason(tmp_path, changed, bit):
    path = small_survey.write_spectrum(
        tmp_path / "a.fits", small_survey.galaxy(1), small_survey.about(1, **changed)
    )
    assert specfile.read(path).about.refusal == bit


def test_a_file_without_instrument_is_not_from_sdss(tmp_path):
    row = small_survey.about(1)
    del row["INSTRUMENT"], row["SOURCETYPE"]
    path = small_survey.write_spectrum(tmp_path / "a.fits", small_survey.galaxy(1), row)
    assert specfile.read(path).about.refusal == Warn.NOT_SDSS


def test_the_wrong_object_is_noticed(good, tmp_path):
    about = specfile.read(good).about
    assert about.misnamed("spec-0751-52251-0161.fits") and not about.misnamed("mine.fits")
    changed = small_survey.about(160, FIBERID=161)
    path = small_survey.write_spectrum(tmp_path / "a.fits", small_survey.galaxy(1), changed)
    assert specfile.read(path).about.misnamed(path)


def damage(path, how):
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "html":
        path.write_text("<html>not found</html>")
    elif how == "cut in the pixels":
        path.write_bytes(data[:50000])
    elif how == "cut in the header":
        path.write_bytes(data[:3000])
    elif how == "cut before SPECOBJ":
        path.write_bytes(data[: data.index(b"SPECOBJ") // 2880 * 2880])
    elif how == "other FITS":
        fits.PrimaryHDU(np.zeros((3, 3))).writeto(path, overwrite=True)
    elif how == "other table":
        hdus = [
            fits.PrimaryHDU(),
            *(fits.BinTableHDU.from_columns([fits.Column("a", "J", array=[1])]) for _ in "ab"),
        ]
        fits.HDUList(hdus).writeto(path, overwrite=True)
    elif how == "other grid":
        coadd = small_survey.galaxy(1) | {"loglam": np.linspace(3.58, 3.96, small_survey.PIXELS)}
        small_survey.write_spectrum(path, coadd, small_survey.about(160))
    elif how == "bad header":
        path.write_bytes(data.replace(b"TFORM2  = 'E ", b"TFORM2  = 'Q ", 1))


WAYS = ["missing", "empty", "html", "cut in the pixels", "cut in the header", "cut before SPECOBJ"]
WAYS += ["other FITS", "other table", "other grid", "bad header"]


@pytest.mark.parametrize("how", WAYS)
def test_a_damaged_file_costs_its_row_alone(good, tmp_path, how):
    fine = small_survey.write_spectrum(tmp_path / "fine.fits", small_survey.galaxy(2), small_survey.about(2))
    damage(good, how)
    block = specfile.read_many([fine, good, fine])
    assert list(block.warn) == [0, Warn.UNREADABLE, 0] and len(block.faults[1]) > 5 and block.about[1] is None
    np.testing.assert_array_equal(block.flux[0], block.flux[2])
    assert not block.ivar[1].any()


@pytest.mark.parametrize("how", [way for way in WAYS if way != "other grid"])
def test_one_damaged_file_is_one_line(good, how):
    damage(good, how)
    with pytest.raises(SanspecError, match="spec-0751-52251-0160") as caught:
        specfile.read(good)
    assert "\n" not in str(caught.value)


def test_finding_files(good, tmp_path):
    found = specfile.find(tmp_path)
    assert list(found.itertuples(index=False, name=None)) == [(751, 52251, 160, good.name)]
    with pytest.raises(SanspecError, match=r"survey\.spectra"):
        specfile.find(tmp_path / "none")


def test_real_files_are_read_as_astropy_reads_them(real_data):
    folder = real_data / "spectra"
    paths = [folder / name for name in specfile.find(folder)["file"]]
    assert len(paths) >= 100
    for path in paths[::4]:
        ours = specfile.read(path)
        with fits.open(path) as theirs:
            for name in ("flux", "loglam", "ivar", "and_mask", "wdisp"):
                np.testing.assert_array_equal(getattr(ours, name), theirs[1].data[name])
            row = theirs[2].data[0]
            assert ours.about.specobjid == int(row["SPECOBJID"]) and ours.about.z == row["Z"]
            assert ours.about.kind == row["CLASS"].strip() and ours.about.vdisp == row["VDISP"]


EXPECTED = {
    "window_005_015": lambda bits: not bits & ~Warn.BAD_PLATE,
    "califa_lowz": lambda bits: not bits & ~Warn.BAD_PLATE,
    "sdss_qso_star": lambda bits: Warn.NOT_GALAXY in bits,
    "boss_eboss": lambda bits: Warn.NOT_SDSS in bits,
    "sky_fibres": lambda bits: Warn.SKY_FIBRE in bits and Warn.ZWARNING in bits,
}


def test_real_files_are_refused_each_for_its_reason(real_data):
    with open(real_data / "spectra" / "index.csv") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        about = specfile.read(real_data / "spectra" / row["file"]).about
        bits = about.refusal
        assert EXPECTED.get(row["file"].split("/")[0], lambda bits: True)(bits), row["file"]
        assert (Warn.ZWARNING in bits) == (row["zwarning"] != "0")
        assert about.specobjid == int(row["specObjID"]) and not about.misnamed(row["file"])
