"""`sanspec measure`: real and synthetic files, good ones measured, bad ones refused, none lost."""

import os
import shutil

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

import small_survey as survey
from populations import library_path, read_library
from sanspec import config, store
from sanspec.__main__ import main
from sanspec.errors import SanspecError, Warn
from sanspec.measuring import files, table
from sanspec.physics.lines import LINE_GROUPS, LineGroup
from sanspec.redshift import composites, eigenfit
from sanspec.spectra import grid
from sanspec.survey import specfile

Z = 0.1


@pytest.fixture(scope="module")
def templates(tmp_path_factory):
    """Eigenspectra file good enough for the synthetic galaxies: a slope and emission lines."""
    groups = [group for group in LINE_GROUPS if group.name in ("balmer", "[o iii]")]
    loglam = grid.LOGLAM_STEP * np.arange(composites.FIRST, composites.FIRST + composites.PIXELS)
    lines = [composites.line_template(group) for group in groups]
    single = [composites.line_template(LineGroup("one", group.lines[:1], "")) for group in groups]
    path = tmp_path_factory.mktemp("templates") / "eigenspectra.h5"
    vectors = np.stack([10 ** (0.5 * (loglam - 3.7)), *lines, *single])
    eigenfit.write_eigenspectra(path, eigenfit.Eigenspectra(loglam, vectors), {})
    return path


def write(folder, fiber, coadd=None, **about):
    coadd = survey.galaxy(fiber, Z) | (coadd or {})
    return survey.write_spectrum(survey.spectrum_path(folder, fiber), coadd, survey.about(fiber, Z, **about))


def run(tmp_path, templates, *files, options=()):
    out = tmp_path / "table.ecsv"
    words = ["measure", *map(str, files), "--eigenspectra", str(templates), "--out", str(out), *options]
    assert main(words) == 0
    return store.read_table(out).set_index("file", drop=False)


def test_good_files_are_measured_blind(tmp_path, templates):
    """The catalogue's redshift is wrong here: the measured one does not depend on it."""
    good = write(tmp_path, 1), write(tmp_path, 2, Z=0.02)
    table = run(tmp_path, templates, tmp_path / "spectra")
    assert list(table["file"]) == sorted(map(str, good))
    assert table["z"].to_numpy() == pytest.approx(Z, abs=1e-4)
    assert table["dz"].to_numpy() == pytest.approx(table["z"] - table["z_pipeline"])
    assert table["dz"].iloc[1] == pytest.approx(0.08, abs=1e-4)
    assert table["lsf"].to_numpy() == pytest.approx(5000 / 1500, rel=0.15)
    assert table["snr"].to_numpy() == pytest.approx(40, rel=0.3)
    assert (table["dn4000_err"] > 0).all() and (table["specobjid"] > 2**59).all()


BAD = {
    "missing": (Warn.UNREADABLE, "no such file"),
    "empty": (Warn.UNREADABLE, "unreadable"),
    "text": (Warn.UNREADABLE, "not a FITS file"),
    "truncated": (Warn.UNREADABLE, "unreadable"),
    "an image": (Warn.UNREADABLE, "unreadable"),
    "another object": (Warn.WRONG_OBJECT, "contradict each other or its name"),
    "a star": (Warn.NOT_GALAXY, "class is STAR"),
    "boss": (Warn.NOT_SDSS, "BOSS"),
    "doubtful": (Warn.ZWARNING, "ZWARNING is 4"),
    "sky": (Warn.SKY_FIBRE, "sky fibre"),
    "ivar 0": (Warn.NO_SIGNAL, "no good pixel"),
    "all nan": (Warn.NO_SIGNAL, "no good pixel"),
}


def make_bad(folder, kind):
    """One file of each kind of fault."""
    changed = {
        "a star": {"CLASS": "STAR"},
        "boss": {"INSTRUMENT": ""},
        "doubtful": {"ZWARNING": 4},
        "sky": {"ZWARNING": 5},
    }
    coadd = {"ivar 0": {"ivar": np.zeros(survey.PIXELS)}, "all nan": {"flux": np.full(survey.PIXELS, np.nan)}}
    path = write(folder, 50 + list(BAD).index(kind), coadd.get(kind), **changed.get(kind, {}))
    whole = path.read_bytes()
    if kind == "missing":
        path.unlink()
    if kind in ("empty", "text", "truncated"):
        path.write_bytes(
            {"empty": b"", "text": b"plate,mjd\n1,2\n", "truncated": whole[: len(whole) // 2]}[kind]
        )
    if kind == "an image":
        fits.PrimaryHDU(np.zeros((5, 5))).writeto(path, overwrite=True)
    if kind == "another object":
        return path.rename(path.parent / "spec-0751-52251-0999.fits")
    return path


def test_bad_files_keep_their_row_with_the_reason_and_stop_nothing(tmp_path, templates):
    paths = {kind: make_bad(tmp_path, kind) for kind in BAD}
    good = write(tmp_path, 1)
    table = run(tmp_path, templates, *paths.values(), good)
    assert len(table) == len(BAD) + 1 and table["z"][str(good)] == pytest.approx(Z, abs=1e-4)
    for kind, path in paths.items():
        row = table.loc[str(path)]
        bit, words = BAD[kind]
        assert int(row["warn"]) & bit and words in row["reason"], kind
        assert np.isnan(row["z"]) and np.isnan(row["dn4000"]), kind


def test_a_bad_plate_is_measured_and_reported(tmp_path, templates):
    row = run(tmp_path, templates, write(tmp_path, 4, PLATEQUALITY="bad", SPECPRIMARY=0)).iloc[0]
    assert int(row["warn"]) & Warn.BAD_PLATE and "PLATEQUALITY is bad and SPECPRIMARY 0" in row["reason"]
    assert row["z"] == pytest.approx(Z, abs=1e-4)


def test_files_and_folders_are_found_once_each(tmp_path):
    one, other = write(tmp_path, 5), write(tmp_path, 6)
    (one.parent / "notes.txt").write_text("not a spectrum")
    found = files.find([other, tmp_path, tmp_path / "none.fits"])
    assert found == [other, one, tmp_path / "none.fits"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(SanspecError, match=r"no \.fits or \.fit file"):
        files.find([tmp_path / "empty"])


def test_prepared_spectra_come_out_as_the_survey_has_them(tmp_path, templates):
    paths = write(tmp_path, 7), write(tmp_path, 8, CLASS="QSO")
    run(tmp_path, templates, *paths, options=["--spectra-out", str(tmp_path / "spectra.h5")])
    with store.arrays(tmp_path / "spectra.h5") as file:
        assert file["flux"].shape == (1, 4500) and file["split"][:] == [2]
        rest = grid.WAVE / (1 + file["z"][0])
        assert file["flux"][0][(rest > 6900) & (rest < 6950)].mean() == pytest.approx(1, abs=1e-3)
        assert file["specobjid"][0] == specfile.read(paths[0]).about.specobjid


def test_the_table_has_units_and_is_astropy_s(tmp_path, templates):
    run(tmp_path, templates, write(tmp_path, 9))
    table = Table.read(tmp_path / "table.ecsv", format="ascii.ecsv")
    assert table["lsf"].unit == "Angstrom" and table["specobjid"].dtype == np.uint64
    assert table.meta["stage"] == "measure"


def test_every_column_has_its_meaning_and_the_measured_ones_their_unit(tmp_path, templates):
    run(tmp_path, templates, write(tmp_path, 9), options=["--templates", str(library_path())])
    written = Table.read(tmp_path / "table.ecsv", format="ascii.ecsv")
    said = written.meta["columns"]
    assert set(written.colnames) - set(said) == set(FROM_FILE)
    assert written["mgb"].unit == "Angstrom" and written["tio1_err"].unit == "mag"
    assert (
        written["flux_h_alpha"].unit == "1e-17 erg / (cm2 s)" and written["sigma_n_ii_6583"].unit == "km / s"
    )


FROM_FILE = ("file", "specobjid", "plate", "mjd", "fiberid", "run2d", "z_pipeline_err")


def test_lines_of_a_known_flux_come_back(tmp_path, templates):
    """[O III] of 15 and Halpha of 40 at a sigma of 2.5 A over about 20; no stars are so smooth at Halpha."""
    row = run(tmp_path, templates, write(tmp_path, 9), options=["--templates", str(library_path())]).iloc[0]
    area = 2.5 * np.sqrt(2 * np.pi)
    assert row["flux_o_iii_5007"] == pytest.approx(15 * area, abs=4 * row["flux_o_iii_5007_err"])
    assert row["flux_h_alpha"] == pytest.approx(40 * area, rel=0.15) and row["flux_h_alpha_err"] > 0
    level = 20 * (6564.6 * 1.1 / 6500) ** 0.5
    assert row["ew_h_alpha"] == pytest.approx(row["flux_h_alpha"] / level / 1.1, rel=0.03)
    assert abs(row["v_h_alpha"]) < 10


def test_without_populations_lines_are_nan_and_reported(tmp_path, templates, monkeypatch):
    monkeypatch.chdir(tmp_path)
    row = run(tmp_path, templates, write(tmp_path, 9)).iloc[0]
    assert np.isnan(row["flux_h_alpha"]) and row["class"] == "" and np.isfinite(row["mgb"])
    assert int(row["warn"]) & Warn.NO_LINE and int(row["warn"]) & Warn.NO_CLASS
    assert "line on which the class rests was not measured" in row["reason"]


def test_without_templates_the_remedy_is_said(tmp_path, capsys):
    words = ["measure", "x.fits", "--out", str(tmp_path / "t.ecsv"), "--templates", str(tmp_path / "no.npz")]
    assert main(words) == 2 and "sanspec templates" in capsys.readouterr().err


# --------------------------------------------------------------------------------------- real spectra


@pytest.fixture(scope="module")
def real(real_data):
    """Every real file measured: rows by the name of its folder."""
    settings = config.Config()
    tools = table.Tools(composites.eigenspectra(read_library(), settings.measure.components), read_library())
    return table.measure_files(files.find([real_data / "spectra"]), tools, settings)


def rows(table, folder):
    return table[table["file"].str.contains(f"/{folder}/")]


def test_redshifts_of_the_twelve_galaxies_of_the_survey_s_window(real):
    found = rows(real, "window_005_015")
    assert len(found) == 12 and abs(found["dz"]).max() <= 3e-4
    assert abs(found["dz"]).max() < 6e-5 and (found["dn4000"].between(1.0, 2.3)).all()


def test_redshifts_of_nearby_and_other_galaxies(real):
    near, other = rows(real, "califa_lowz"), rows(real, "galaxy_outside_window")
    assert len(near) == 49 and abs(near["dz"]).max() <= 3e-4
    refused = (other["warn"] & int(Warn.ZWARNING)) > 0
    assert len(other) == 20 and refused.sum() == 2 and abs(other["dz"]).max() <= 3e-4
    assert (other["z"].isna() == refused).all()


@pytest.mark.parametrize(
    ("folder", "bit"),
    [("sdss_qso_star", Warn.NOT_GALAXY), ("boss_eboss", Warn.NOT_SDSS), ("sky_fibres", Warn.SKY_FIBRE)],
)
def test_what_is_no_survey_galaxy_is_refused_for_its_own_reason(real, folder, bit):
    found = rows(real, folder)
    assert len(found) >= 11 and (found["warn"].to_numpy() & int(bit) > 0).all()
    assert found["z"].isna().all() and (found["reason"].str.len() > 0).all()


def test_lines_of_real_galaxies_are_the_pipelines(real):
    """Halpha, [N II] and [O III] against the SPZLINE table of the same files: medians within 6 %."""
    measured = real[real["z"].between(0.003, 0.2)]
    for name, wave in (("h_alpha", 6564.6), ("n_ii_6583", 6585.3), ("o_iii_5007", 5008.2)):
        ours, error = measured[f"flux_{name}"].to_numpy(), measured[f"flux_{name}_err"].to_numpy()
        theirs = np.array([pipeline_flux(path, wave) for path in measured["file"]])
        use = (ours > 5 * error) & (theirs > 0)
        assert use.sum() > 40 and np.median(ours[use] / theirs[use]) == pytest.approx(1, abs=0.06), name


def pipeline_flux(path, wave):
    with fits.open(path) as hdus:
        table = hdus[3].data
        row = table[np.argmin(np.abs(table["LINEWAVE"] - wave))]
        return row["LINEAREA"] if row["LINEAREA"] > 5 * row["LINEAREA_ERR"] > 0 else np.nan


def test_real_galaxies_have_the_features_of_their_kind(real):
    """Old galaxies strong metal lines and no Halpha, star formers the opposite; classes and places are words."""
    found = real[np.isfinite(real["z"]) & (real["class"] != "")].set_index("class")
    assert set(found.index) == {"passive", "star-forming", "active"}
    assert found.loc["passive", "mgb"].median() > 3.5 > 2.8 > found.loc["star-forming", "mgb"].median()
    assert (found.loc["star-forming", "ew_h_alpha"] > 1).all()
    assert (found.loc["star-forming", "region"] == "star-forming").all()
    assert found.loc["active", "region"].isin(["composite", "Seyfert", "LINER"]).all()
    chances = found[["p_passive", "p_star_forming", "p_active"]].sum(axis=1)
    assert chances.to_numpy() == pytest.approx(1, abs=1e-6)


def test_the_spectra_that_ppxf_carries(tmp_path):
    """NGC 3522 is measured, its populations too (log age 9.86, [M/H] -0.05 in ppxf's own example); NGC 3073, which the
    pipeline calls a star, is refused."""
    import ppxf

    names = "NGC3522_SDSS_DR18.fits", "NGC3073_SDSS_DR18.fits"
    folder = os.path.join(os.path.dirname(ppxf.__file__), "spectra")
    files = [shutil.copy(os.path.join(folder, name), tmp_path) for name in names]
    words = ["measure", *files, "--templates", str(library_path()), "--out", str(tmp_path / "t.ecsv")]
    assert main([*words, "--populations"]) == 0
    table = store.read_table(tmp_path / "t.ecsv")
    assert table["z"][0] == pytest.approx(0.004018, abs=6e-5) and "class is STAR" in table["reason"][1]
    assert table["vdisp"][0] == pytest.approx(90, abs=25) and table["log_age_light"][0] == pytest.approx(
        9.86, abs=0.2
    )
    assert np.isnan(table["vdisp"][1]) and table.attrs["units"]["vdisp"] == "km / s"


@pytest.mark.parametrize(
    "path", ["/no-such-spectrum", "no-such-spectrum.fits", "no-such-folder/spectrum.fits"]
)
def test_a_path_without_a_file_is_reported(tmp_path, templates, path):
    table = run(tmp_path, templates, path)
    assert "no such file" in table["reason"][path] and table["warn"][path] & int(Warn.UNREADABLE)
