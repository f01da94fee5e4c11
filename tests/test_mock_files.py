"""The simulated survey's files against real ones: byte layout, columns, ids, cube file, defects."""

import csv
import errno
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits

from sanspec import __main__ as cli
from sanspec.errors import SanspecError, Warn
from sanspec.mock import catalogue, checks, defects, files, identity, speclite
from sanspec.mock.truth import FLUXES
from sanspec.store import read_json, read_table
from sanspec.survey import cubes, sdss, specfile
from sky import GALAXIES, emiles, settings, simulate, spoilt_sky, tools  # noqa: F401

# The 48 columns of Doorenbos et al. 2024, appendix B, in its order, and those that later stages need.
QUERY = (
    "specObjID objID ra dec firstrelease programname instrument run2d z zerr velDisp velDispErr "
    "petroRad_u petroRad_g petroRad_r petroRad_i petroRad_z petroR90_u petroR90_g petroR90_r petroR90_i "
    "petroR90_z fiberMag_u fiberMag_g fiberMag_r fiberMag_i fiberMag_z extinction_r plateSN2 modelMag_u "
    "modelMag_g modelMag_r modelMag_i modelMag_z cmodelMag_u cmodelMag_g cmodelMag_r cmodelMag_i "
    "cmodelMag_z p_mg p_el_debiased p_cs_debiased spiral elliptical uncertain logMass_Maraston09 "
    "logMass_ConroyDust logMass_ConroyNoDust"
)
NEEDED = (
    "plate mjd fiberID zWarning subClass class snMedian_r bestObjID extinction_u extinction_g extinction_i "
    "extinction_z petroMag_r petroR50_r flags_r"
)


@pytest.fixture(scope="module")
def truth(spoilt_sky):  # noqa: F811
    return read_table(spoilt_sky / "truth.parquet")


@pytest.fixture(scope="module")
def rows(spoilt_sky):  # noqa: F811
    return pd.read_csv(spoilt_sky / "catalogue.csv", dtype={"specObjID": str, "objID": str, "run2d": str})


def of(truth, kind):
    """specobjid of the first galaxy with a defect."""
    return int(truth.loc[truth["defect"] == kind, "specobjid"].iloc[0])


def path(sky, specobjid):
    """Where the spectrum of an object stands."""
    parts = sdss.unpack(np.uint64(specobjid))
    return sky / "spectra" / sdss.file_name(*(int(parts[key]) for key in ("plate", "mjd", "fiberid")))


# ---------------------------------------------------------------------------------------------------- spectra


def real_files(real_data=None):
    """Real spectra: those that ppxf ships, and those of the test data where there are any."""
    ppxf = pytest.importorskip("ppxf", reason="ppxf, which ships two real spectra, is not installed")
    return sorted(Path(next(iter(ppxf.__path__)), "spectra").glob("*SDSS*.fits"))


def same_layout(ours, real):
    """Compares names, columns and formats of three tables; returns keywords that but one header has."""
    for number in (1, 2, 3):
        theirs = real[number]
        assert ours[number].name == theirs.name
        assert [(c.name, c.format) for c in ours[number].columns] == [
            (c.name, c.format) for c in theirs.columns
        ]
    steady = {key for key in real[0].header if not key.startswith(("EXPID", "NEXP", "EXPT", "FRAME"))}
    known = {key for key in ours[0].header if not key.startswith(("EXPID", "NEXP", "EXPT", "FRAME"))}
    return steady ^ known


def test_files_have_the_layout_of_the_real_ones(spoilt_sky, truth):  # noqa: F811
    with fits.open(path(spoilt_sky, of(truth, "repeat"))) as ours:
        ours.verify("exception")
        for real in real_files():
            with fits.open(real) as theirs:
                assert (
                    len(same_layout(ours, theirs)) <= 4
                )  # real headers differ by a key or two among themselves


def test_a_lite_file_has_its_size_and_keywords(spoilt_sky, truth, real_data):  # noqa: F811
    real = real_data / "spectra/window_005_015/spec-0266-51630-0168.fits"
    name = path(spoilt_sky, of(truth, "repeat"))
    assert name.stat().st_size == real.stat().st_size == 172_800
    with fits.open(name) as ours, fits.open(real) as theirs:
        assert not same_layout(ours, theirs) and len(ours) == len(theirs) == 4
        text = [(c.name, c.format) for c in theirs[2].columns if c.format.endswith("A")]
        for column, _ in text:  # padded ids and versions come back as they are in real files
            assert isinstance(ours[2].data[column][0], str)
        assert ours[2].data["SPECOBJID"][0].strip() == str(of(truth, "repeat"))
        assert ours[0].header["BUNIT"] == theirs[0].header["BUNIT"]
        assert ours[3].data["LINENAME"].tolist() == theirs[3].data["LINENAME"].tolist()
        assert np.allclose(ours[3].data["LINEWAVE"], theirs[3].data["LINEWAVE"], atol=1e-3)


def test_specutils_opens_a_file(spoilt_sky, truth):  # noqa: F811
    specutils = pytest.importorskip("specutils")
    name = path(spoilt_sky, of(truth, "repeat"))
    theirs, ours = specutils.Spectrum.read(name, format="SDSS-III/IV spec"), specfile.read(name)
    assert np.allclose(theirs.flux.value, ours.flux) and np.allclose(
        theirs.spectral_axis.value, 10**ours.loglam
    )


def test_what_was_measured_is_read_back(spoilt_sky, truth):  # noqa: F811
    """Redshift, dispersion and ids in the file are those of the truth within the stated errors (6 sigma)."""
    for row in truth[truth["defect"].isin(["", "repeat", "twice_in_cubes", "no_cube"])].itertuples():
        about = specfile.read(path(spoilt_sky, row.specobjid)).about
        assert about.specobjid == row.specobjid and about.objid == row.objid
        assert abs(about.z - row.z) < 6 * about.z_err + 1e-7
        assert abs(about.vdisp - row.fibre_vdisp) < 6 * about.vdisp_err
        assert about.ra == pytest.approx(row.ra) and about.dec == pytest.approx(row.dec)


def test_line_fluxes_of_the_file_are_the_truth_s(spoilt_sky, truth):  # noqa: F811
    """Pulls of all lines of all galaxies whose spectrum is whole: mean 0, width 1, none beyond 5."""
    broken, pulls = {"no_file", "truncated", "not_fits", "short_red", "short_blue", *defects.SPECTRUM}, []
    for row in truth[~truth["defect"].isin(broken)].itertuples():
        with fits.open(path(spoilt_sky, row.specobjid), memmap=False) as file:
            lines = file[3].data
            at = {name: i for i, name in enumerate(lines["LINENAME"])}
            for name, column in FLUXES.items():
                if name in at and lines["LINEAREA_ERR"][at[name]] > 0:
                    true = getattr(row, column)
                    pulls.append((lines["LINEAREA"][at[name]] - true) / lines["LINEAREA_ERR"][at[name]])
    assert len(pulls) > 100 and np.abs(pulls).max() < 5
    assert np.mean(pulls) == pytest.approx(0, abs=0.3) and np.std(pulls) == pytest.approx(1, abs=0.2)


# -------------------------------------------------------------------------------------------------- catalogue


def test_every_column_of_the_query_stands_in_its_order(rows):
    assert " ".join(rows.columns) == f"{QUERY} {NEEDED}" and QUERY.count(" ") == 47


def test_ids_are_exact_and_pack_to_each_other(rows):
    packed = sdss.pack(rows["plate"], rows["mjd"], rows["fiberID"], rows["run2d"].astype(int))
    assert np.array_equal(packed, rows["specObjID"].astype(np.uint64))
    assert rows["specObjID"].str.fullmatch(r"\d{18}").all() and rows["objID"].str.fullmatch(r"\d{19}").all()


def test_numbers_are_written_as_casjobs_writes_them(spoilt_sky, real_data):  # noqa: F811
    """No exponent without a dot, no quotes, no empty field, and no more digits than the real file's."""
    with (spoilt_sky / "catalogue.csv").open() as ours:
        text = ours.read()
    assert ('"' not in text and ",," in text.replace(",GALAXY", ",GALAXY")) or ",," not in text
    real = (real_data / "catalogues/casjobs_lines_2000.csv").read_text().splitlines()[1:200]
    most = max(len(cell.replace(".", "").lstrip("-0")) for line in real for cell in line.split(",")[2:])
    cells = [c for line in csv.reader(text.splitlines()[1:]) for c in line if "." in c]
    assert max(len(cell.split("e")[0].replace(".", "").lstrip("-0")) for cell in cells) <= most


def test_values_pass_the_query_s_cuts(rows):
    for name in ("petroRad", "petroR90"):
        values = rows[[f"{name}_{band}" for band in "ugriz"]]
        assert ((values > 0) & (values < 30)).all().all()
    magnitudes = rows[[f"{n}_{b}" for n in ("fiberMag", "modelMag", "cmodelMag") for b in "ugriz"]]
    assert ((magnitudes > 10) & (magnitudes < 31)).all().all()
    assert ((rows["flags_r"] & 0x10000000) != 0).all() and ((rows["flags_r"] & 0x10000000000) == 0).all()
    assert (rows[["spiral", "elliptical", "uncertain"]].sum(axis=1) == 1).all()
    assert (rows["petroMag_r"] - rows["extinction_r"] < 17.771).all()
    assert rows["fiberMag_r"].sub(rows["petroMag_r"]).between(0, 4).all()


def test_a_known_specobjid():
    """SkyServer's own: plate 751, mjd 52251, fibre 160, run2d 26 is 845594848269461504."""
    who = identity.Identity(751, 52251, 160, 1237652943176138868, 0.0, 0.0)
    assert who.specobjid == 845594848269461504 and who.file == "0751/spec-0751-52251-0160.fits"
    assert who.photo == [1739, 301, 3, 315, 116]


@pytest.mark.parametrize("index", [0, 599, 600, 6799, 660_000])
def test_identities_do_not_collide(index):
    near = [identity.identify(i, 0, 0) for i in range(max(index - 5, 0), index + 5)]
    again = [identity.identify(i, 0, 0, repeat=True) for i in range(max(index - 5, 0), index + 5)]
    assert len({one.specobjid for one in near + again}) == 2 * len(near)
    assert len({one.objid for one in near}) == len(near) and all(one.plate < 10000 for one in near)


# ------------------------------------------------------------------------------------------------------ cubes


def test_the_cube_file_is_read_by_numpy_and_in_blocks(spoilt_sky, truth):  # noqa: F811
    with np.load(spoilt_sky / "sdss.npz", allow_pickle=False) as file:
        cube, labels = file["cube"], file["labels"]
    assert cube.shape[1:] == (64, 64, 5) and cube.dtype == np.float32 and len(labels.dtype) == 64
    assert {"specObjID", "z", "ra", "dec", "EBV", "primtarget", "zphot"} < set(labels.dtype.names)
    with cubes.open_cubes(spoilt_sky / "sdss.npz") as member:
        assert not member.compressed and np.array_equal(member.read(3, 4), cube[3:7], equal_nan=True)
    extra = sum(defects.EXTRA_CUBES.get(kind, 0) for kind in truth["defect"])
    assert len(cube) == len(labels) == len(truth) + extra


def test_cubes_show_the_galaxy_of_their_label(spoilt_sky, rows):  # noqa: F811
    """Flux within 3 arcsec of the cube's middle is the fibre magnitude (r, median to 0.1 mag)."""
    with np.load(spoilt_sky / "sdss.npz") as file:
        cube, labels = file["cube"][..., 2], file["labels"]
    r = np.hypot(*(np.indices((64, 64)) - 31.5)) * 0.396
    flux = (cube * np.clip(4.29 - r / 0.396, 0, 1)).sum(axis=(1, 2))
    off = 22.5 - 2.5 * np.log10(np.maximum(flux, 1e-3)) - labels["fiberMag_r"]
    assert abs(np.nanmedian(off)) < 0.1


@pytest.mark.parametrize("count", [2, 4])
def test_a_wrong_number_of_cubes_is_our_fault(tmp_path, count):
    with pytest.raises((ValueError, IndexError)), files.cube_file(tmp_path / "a.npz", 3) as add:
        for _ in range(count):
            add(np.zeros(files.CUBE, np.float32), np.zeros((), catalogue.LABELS))


# ---------------------------------------------------------------------------------------------------- defects


def test_every_kind_of_defect_is_there(truth):
    assert set(truth["defect"]) == set(defects.KINDS) and len(truth) == GALAXIES


@pytest.mark.parametrize(
    ("kind", "warn"),
    [
        ("zwarning", Warn.ZWARNING),
        ("bad_plate", Warn.BAD_PLATE),
        ("not_primary", Warn.BAD_PLATE),
        ("qso", Warn.NOT_GALAXY),
        ("sky_fibre", Warn.ZWARNING | Warn.SKY_FIBRE),
        ("nan_flux", Warn(0)),
    ],
)
def test_flagged_files_are_refused_for_their_reason(spoilt_sky, truth, kind, warn):  # noqa: F811
    assert specfile.read(path(spoilt_sky, of(truth, kind))).about.refusal == warn


def test_spoilt_pixels(spoilt_sky, truth):  # noqa: F811
    read = {kind: specfile.read(path(spoilt_sky, of(truth, kind))) for kind in defects.SPECTRUM}
    assert np.isnan(read["nan_flux"].flux).sum() == 150 and np.isnan(read["all_nan"].flux).all()
    assert not read["ivar_zero"].ivar.any() and (read["negative_flux"].flux < 0).sum() > 100
    assert 10 ** read["short_blue"].loglam[0] == pytest.approx(4500, abs=1)
    assert 10 ** read["short_red"].loglam[-1] == pytest.approx(7800, abs=2)
    sky = read["sky_fibre"]
    assert abs(np.median(sky.flux * np.sqrt(sky.ivar))) < 0.2


def test_spoilt_files(spoilt_sky, truth):  # noqa: F811
    assert not path(spoilt_sky, of(truth, "no_file")).exists()
    for kind in ("truncated", "not_fits"):
        with pytest.raises(SanspecError):
            specfile.read(path(spoilt_sky, of(truth, kind)))
    name = path(spoilt_sky, of(truth, "other_object"))
    assert specfile.read(name).about.misnamed(name)
    assert specfile.read(name).about.specobjid != of(truth, "other_object")


def test_spoilt_images(spoilt_sky, truth):  # noqa: F811
    with np.load(spoilt_sky / "sdss.npz") as file:
        of_id = dict(zip(file["labels"]["specObjID"].tolist(), file["cube"]))
    assert (
        np.isnan(of_id[of(truth, "nan_image")]).any() and np.ptp(of_id[of(truth, "blank_band")][..., 0]) == 0
    )
    assert all(np.isfinite(of_id[of(truth, kind)]).all() for kind in ("repeat", "zwarning"))


def test_spoilt_joins(spoilt_sky, truth, rows):  # noqa: F811
    listed = rows["specObjID"].astype(np.uint64).tolist()
    present = cubes.read_ids(spoilt_sky / "sdss.npz").tolist()
    counts = {kind: (listed.count(of(truth, kind)), present.count(of(truth, kind))) for kind in defects.JOIN}
    assert counts == {
        "no_cube": (1, 0),
        "no_catalogue": (0, 1),
        "twice_in_catalogue": (2, 1),
        "twice_in_cubes": (1, 2),
        "repeat": (1, 1),
    }
    again = rows.loc[rows["objID"] == str(truth.loc[truth["defect"] == "repeat", "objid"].iloc[0])]
    assert len(again) == 2 and again["specObjID"].nunique() == 2 and again["ra"].nunique() == 1
    one, two = (specfile.read(path(spoilt_sky, int(i))) for i in again["specObjID"])
    assert not np.array_equal(one.flux, two.flux) and one.about.objid == two.about.objid


def test_a_defect_does_not_depend_on_the_number_of_galaxies():
    few, many = defects.assign(500, 0.02, 1), defects.assign(2000, 0.02, 1)
    assert few == many[:500] and sum(map(bool, many)) == 40 and len(set(many)) == len(defects.KINDS) + 1
    assert not any(defects.assign(100, 0.0, 1))


# -------------------------------------------------------------------------------------------------------- sky


def test_pairs_stand_within_five_arcsec_and_show_each_other(spoilt_sky, truth):  # noqa: F811
    paired = truth[truth["paired"]]
    assert len(paired) >= 2 and len(paired) % 2 == 0
    for one, two in zip(paired.iloc[::2].itertuples(), paired.iloc[1::2].itertuples()):
        east = (two.ra - one.ra) * np.cos(np.deg2rad(one.dec)) * 3600
        distance = np.hypot(east, (two.dec - one.dec) * 3600)
        assert identity.NEAREST - 1e-3 < distance < identity.FARTHEST + 1e-3


def test_no_galaxy_is_in_two_pairs():
    sky = identity.Sky(1, 0.5, 400)
    starts = [sky.starts_pair(i) for i in range(400)]
    assert 60 < sum(starts) < 200 and not any(a and b for a, b in pairwise(starts)) and not starts[-1]
    for i in range(400):
        partner = sky.partner(i)
        if partner is not None:
            assert sky.partner(partner[0])[0] == i and sky.partner(partner[0])[1] == -partner[1]


def test_galaxies_are_as_dense_as_the_survey_s():
    """55 per square degree in strips of 8 degrees; most nearest neighbours are farther than 5 arcsec."""
    sky = identity.Sky(1, 0.0, 3000)
    ra, dec = np.array([sky.position(i) for i in range(3000)]).T
    assert 3000 / (np.ptp(ra) * np.ptp(dec)) == pytest.approx(identity.DENSITY, rel=0.05)


# ------------------------------------------------------------------------------------------- whole or nothing


def test_a_failing_block_leaves_nothing(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("stays")
    with pytest.raises(RuntimeError), files.appearing(tmp_path / "out") as folder:
        (folder / "sdss.npz").write_text("half")
        raise RuntimeError("killed")
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_new_files_take_the_place_of_old_ones(tmp_path):
    for text in ("old", "new"):
        with files.appearing(tmp_path / "out") as folder:
            (folder / "spectra").mkdir()
            (folder / "spectra" / f"{text}.fits").write_text(text)
            (folder / "catalogue.csv").write_text(text)
    assert (tmp_path / "out" / "catalogue.csv").read_text() == "new"
    assert os.listdir(tmp_path / "out" / "spectra") == ["new.fits"]


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "quota"), (errno.EACCES, "no permission")],
)
def test_a_full_disk_is_told_in_one_line(tmp_path, code, words):
    with pytest.raises(SanspecError, match=words) as fault, files.appearing(tmp_path / "out"):
        raise OSError(code, os.strerror(code))
    assert "\n" not in str(fault.value) and not list((tmp_path / "out").iterdir())
    with pytest.raises(OSError, match="Input/output"), files.appearing(tmp_path / "out"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_an_out_that_is_a_file_is_told(tmp_path, emiles, capsys):  # noqa: F811
    (tmp_path / "out").write_text("a file")
    config = settings(tmp_path, {"galaxies": 1})
    command = [
        "mock",
        "--config",
        str(config),
        "--templates",
        str(emiles),
        "--out",
        str(tmp_path / "out" / "sky"),
    ]
    assert cli.main([*command, "--workers", "1"]) == 2
    assert "not a folder" in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--workers", "0"], "1 or more"), (["--templates", "nowhere.npz"], "no templates nowhere.npz")],
)
def test_wrong_options_are_told_before_anything_runs(tmp_path, emiles, capsys, options, words):  # noqa: F811
    config = settings(tmp_path, {"galaxies": 3})
    out = tmp_path / "sky"
    command = ["mock", "--config", str(config), "--templates", str(emiles), "--out", str(out)]
    assert cli.main([*command, *options]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and words in lines[0] and not out.exists()


# -------------------------------------------------------------------------------------- workers, size, checks


def test_the_sky_does_not_depend_on_workers_or_size(tmp_path, emiles):  # noqa: F811
    """One worker and two: every file bit for bit; the first galaxies of a larger sky are the same."""
    both = [simulate(tmp_path, emiles, workers, galaxies=10, seed=4, pairs=0.2) for workers in (1, 2)]
    names = sorted(p.relative_to(both[0]) for p in both[0].rglob("*.fits"))
    assert len(names) == 10
    for name in [*names, Path("sdss.npz"), Path("catalogue.csv")]:
        assert name.suffix == ".npz" or (both[0] / name).read_bytes() == (both[1] / name).read_bytes()
    one, two = (np.load(folder / "sdss.npz") for folder in both)
    assert all(np.array_equal(one[key], two[key]) for key in ("cube", "labels"))
    assert read_table(both[0] / "truth.parquet").equals(read_table(both[1] / "truth.parquet"))
    (tmp_path / "more").mkdir()
    larger = simulate(tmp_path / "more", emiles, 1, galaxies=12, seed=4, pairs=0.2)
    assert all((larger / name).read_bytes() == (both[0] / name).read_bytes() for name in names[:9])


def test_truth_and_checks_say_what_they_are(spoilt_sky, truth):  # noqa: F811
    assert truth.attrs["meta"]["simulated"] is True and truth.attrs["units"]["fibre_vdisp"] == "km/s"
    found = read_table(spoilt_sky / "population.ecsv")
    assert set(found["verdict"]) <= {"holds", "fails", "too few"}
    numbers = read_json(spoilt_sky / "population.json")
    assert numbers["n"] == len(truth) and set(numbers["checks"]) == set(found["check"])


# ----------------------------------------------------------------------------------------------------- checks


def test_two_gaussians_are_found():
    rng = np.random.default_rng(3)
    two = np.concatenate([rng.normal(1.3, 0.1, 900), rng.normal(1.85, 0.08, 600)])
    found = checks.two_gaussians(two)
    assert found.gain > 100 and found.means == pytest.approx([1.3, 1.85], abs=0.02)
    assert found.widths == pytest.approx([0.1, 0.08], rel=0.12) and found.shares[0] == pytest.approx(
        0.6, abs=0.03
    )


def test_one_gaussian_stays_one():
    gains = [checks.two_gaussians(np.random.default_rng(seed).normal(0, 1, 800)).gain for seed in range(8)]
    assert max(gains) < 10


def test_checks_judge(truth):
    """Many copies are judged; passive galaxies alone fail; a few galaxies say nothing."""
    many = pd.concat([truth] * 20, ignore_index=True)
    found = checks.population(many).set_index("check")
    assert found.loc["star_formers_below_kauffmann", "verdict"] == "holds"
    assert found.loc["faintest_petro_r", "verdict"] == "holds"
    passive = many.assign(halpha_width=0.1)
    found = checks.population(passive).set_index("check")
    assert (
        found.loc["passive_fraction", "verdict"] == "fails" and found.loc["passive_fraction", "measured"] == 1
    )
    assert set(checks.population(truth.head(10))["verdict"]) == {"too few"}


def test_lite_headers_keep_to_the_standard():
    """Cards of 80 characters; values of patched keywords come back; headers fill whole blocks."""
    header = speclite.primary({"PLATEID": 266, "SPEC_ID": "   299489676975171584", "COEFF0": 3.5794})
    assert len(header) % 2880 == 0
    read = fits.Header.fromstring(header.decode())
    assert (
        read["PLATEID"] == 266
        and read["SPEC_ID"].strip() == "299489676975171584"
        and read["COEFF0"] == 3.5794
    )
    assert len(speclite.card("KEY", 1.5, "x" * 100)) == 80
