"""Write spectrum files of the survey's "lite" form: an empty primary HDU, then COADD, SPECOBJ, SPZLINE.

Columns, their order and their formats are those of data release 12 for the SDSS spectrographs; a file of
3781-3870 pixels takes 172,800 bytes. Headers are made once and patched, since a general writer takes 70 ms
per file.
"""

from functools import lru_cache

import numpy as np

from sanspec.mock.spectrum import COLUMNS, Spectrum
from sanspec.spectra.grid import LOGLAM_STEP

_COADD = "flux:E loglam:E ivar:E and_mask:J or_mask:J wdisp:E sky:E model:E"
_SPECOBJ = """
SURVEY:6A INSTRUMENT:4A CHUNK:16A PROGRAMNAME:23A PLATERUN:16A PLATEQUALITY:8A PLATESN2:E DEREDSN2:E
LAMBDA_EFF:E BLUEFIBER:J ZOFFSET:E SNTURNOFF:E NTURNOFF:J SPECPRIMARY:B SPECLEGACY:B SPECSEGUE:B
SPECSEGUE1:B SPECSEGUE2:B SPECBOSS:B BOSS_SPECOBJ_ID:J SPECOBJID:22A FLUXOBJID:19A BESTOBJID:19A
TARGETOBJID:22A PLATEID:19A NSPECOBS:I FIRSTRELEASE:3A RUN2D:3A RUN1D:1A DESIGNID:J CX:D CY:D CZ:D XFOCAL:E
YFOCAL:E SOURCETYPE:19A TARGETTYPE:8A PRIMTARGET:J SECTARGET:J LEGACY_TARGET1:J LEGACY_TARGET2:J
SPECIAL_TARGET1:K SPECIAL_TARGET2:K SEGUE1_TARGET1:J SEGUE1_TARGET2:J SEGUE2_TARGET1:J SEGUE2_TARGET2:J
MARVELS_TARGET1:J MARVELS_TARGET2:J BOSS_TARGET1:K BOSS_TARGET2:K ANCILLARY_TARGET1:K ANCILLARY_TARGET2:K
SPECTROGRAPHID:I PLATE:J TILE:J MJD:J FIBERID:J OBJID:5J PLUG_RA:D PLUG_DEC:D CLASS:6A SUBCLASS:21A Z:E
Z_ERR:E RCHI2:E DOF:J RCHI2DIFF:E TFILE:24A TCOLUMN:10J NPOLY:J THETA:10E VDISP:E VDISP_ERR:E VDISPZ:E
VDISPZ_ERR:E VDISPCHI2:E VDISPNPIX:E VDISPDOF:J WAVEMIN:E WAVEMAX:E WCOVERAGE:E ZWARNING:J SN_MEDIAN_ALL:E
SN_MEDIAN:5E CHI68P:E FRACNSIGMA:10E FRACNSIGHI:10E FRACNSIGLO:10E SPECTROFLUX:5E SPECTROFLUX_IVAR:5E
SPECTROSYNFLUX:5E SPECTROSYNFLUX_IVAR:5E SPECTROSKYFLUX:5E ANYANDMASK:J ANYORMASK:J SPEC1_G:E SPEC1_R:E
SPEC1_I:E SPEC2_G:E SPEC2_R:E SPEC2_I:E ELODIE_FILENAME:25A ELODIE_OBJECT:21A ELODIE_SPTYPE:10A ELODIE_BV:E
ELODIE_TEFF:E ELODIE_LOGG:E ELODIE_FEH:E ELODIE_Z:E ELODIE_Z_ERR:E ELODIE_Z_MODELERR:E ELODIE_RCHI2:E
ELODIE_DOF:J Z_NOQSO:E Z_ERR_NOQSO:E ZWARNING_NOQSO:J CLASS_NOQSO:1A SUBCLASS_NOQSO:1A RCHI2DIFF_NOQSO:E
Z_PERSON:E CLASS_PERSON:J Z_CONF_PERSON:J COMMENTS_PERSON:1A CALIBFLUX:5E CALIBFLUX_IVAR:5E
"""
_SPZLINE = """
PLATE:J MJD:J FIBERID:J LINENAME:13A LINEWAVE:D LINEZ:E LINEZ_ERR:E LINESIGMA:E LINESIGMA_ERR:E LINEAREA:E
LINEAREA_ERR:E LINEEW:E LINEEW_ERR:E LINECONTLEVEL:E LINECONTLEVEL_ERR:E LINENPIXLEFT:J LINENPIXRIGHT:J
LINEDOF:E LINECHI2:E
"""
# The 29 lines that the survey's pipeline fits, vacuum wavelengths [Angstrom].
ZLINES = {
    "Ly_alpha": 1215.67, "N_V 1240": 1240.81, "C_IV 1549": 1549.48, "He_II 1640": 1640.42,
    "C_III] 1908": 1908.734, "Mg_II 2799": 2800.315, "[O_II] 3725": 3727.092, "[O_II] 3727": 3729.875,
    "[Ne_III] 3868": 3869.857, "H_epsilon": 3890.151, "[Ne_III] 3970": 3971.123, "H_delta": 4102.892,
    "H_gamma": 4341.684, "[O_III] 4363": 4364.435, "He_II 4685": 4686.991, "H_beta": 4862.683,
    "[O_III] 4959": 4960.295, "[O_III] 5007": 5008.240, "He_II 5411": 5413.024, "[O_I] 5577": 5578.888,
    "[O_I] 6300": 6302.046, "[S_III] 6312": 6313.806, "[O_I] 6363": 6365.536, "[N_II] 6548": 6549.859,
    "H_alpha": 6564.614, "[N_II] 6583": 6585.268, "[S_II] 6716": 6718.294, "[S_II] 6730": 6732.678,
    "[Ar_III] 7135": 7137.757,
}  # fmt: skip

_BLOCK, _CARD = 2880, 80
_TYPES = {"A": "S", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}


def _dtype(columns: str) -> np.dtype:
    """Type of a table row, from a list of NAME:FORMAT."""
    fields = []
    for name, form in (column.split(":") for column in columns.split()):
        count, kind = int(form[:-1] or 1), _TYPES[form[-1]]
        fields.append((name, f"S{count}") if kind == "S" else (name, kind, (count,))[: 2 + (count > 1)])
    return np.dtype(fields)


COADD, SPECOBJ, SPZLINE = (_dtype(columns) for columns in (_COADD, _SPECOBJ, _SPZLINE))


def card(key: str, value, comment: str = "") -> bytes:
    """One 80-character card, values in the fixed format of FITS 4.0, section 4.2."""
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        text = f"'{value:<8}'".ljust(20)
    else:
        text = f"{value!r:>20}"
    return f"{key:<8}= {text} / {comment}"[:_CARD].ljust(_CARD).encode("ascii")


def _padded(data: bytes, fill: bytes) -> bytes:
    """`data` padded to whole blocks."""
    return data + fill * (-len(data) % _BLOCK)


@lru_cache(maxsize=128)
def _table_header(name: str, columns: str, dtype: np.dtype, rows: int, comment: str) -> bytes:
    """The header of a binary table with `rows` rows."""
    cards = [
        card("XTENSION", "BINTABLE", "binary table extension"),
        card("BITPIX", 8, "array data type"),
        card("NAXIS", 2, "number of array dimensions"),
        card("NAXIS1", dtype.itemsize, "length of dimension 1"),
        card("NAXIS2", rows, "length of dimension 2"),
        card("PCOUNT", 0, "number of group parameters"),
        card("GCOUNT", 1, "number of groups"),
        card("TFIELDS", len(dtype), "number of table fields"),
    ]
    for number, column in enumerate(columns.split(), start=1):
        title, form = column.split(":")
        cards += [card(f"TTYPE{number}", title), card(f"TFORM{number}", form)]
    cards += [card("EXTNAME", name), f"COMMENT {comment}".ljust(_CARD).encode(), b"END".ljust(_CARD)]
    return _padded(b"".join(cards), b" ")


def primary(values: dict) -> bytes:
    """The primary header with `values` (by keyword) in place of its own."""
    header = bytearray(_TEMPLATE)
    for key, value in values.items():
        place, comment = _PLACES[key]
        header[place : place + _CARD] = card(key, value, comment)
    return bytes(header)


def pack(spectrum: Spectrum, header: dict, about: np.ndarray, lines: np.ndarray) -> bytes:
    """The bytes of a file.

    header: values of the primary header by keyword; about: one row of SPECOBJ; lines: rows of SPZLINE.
    """
    pixels = spectrum.flux.size
    coadd = np.empty(pixels, COADD)
    coadd["loglam"] = LOGLAM_STEP * (spectrum.first + np.arange(pixels))
    for name in COLUMNS:
        coadd[name] = getattr(spectrum, name)
    about, lines = about.copy(), lines.copy()
    for table in (about, lines):  # text is padded with blanks, not with zeros
        for name in table.dtype.names:
            if table.dtype[name].kind == "S":
                table[name] = np.char.ljust(table[name], table.dtype[name].itemsize)
    extensions = (
        ("COADD", _COADD, coadd, "Coadded spectrum"),
        ("SPECOBJ", _SPECOBJ, about, "Metadata from specObj row"),
        ("SPZLINE", _SPZLINE, lines, "Line fits from spZline"),
    )
    content = primary(header)
    for name, columns, table, comment in extensions:
        content += _table_header(name, columns, table.dtype, len(table), comment)
        content += _padded(table.tobytes(), b"\0")
    return content


_WEATHER = (
    "WTIME", "AIRTEMP", "DEWPOINT", "DEWDEP", "DUSTA", "DUSTB", "DUSTC", "DUSTD", "GUSTD", "GUSTS",
    "HUMIDITY", "HUMIDOUT", "PRESSURE", "WINDD", "WINDS",
)  # fmt: skip
_SPECTROPHOTO = ("GOFF", "GRMS", "ROFF", "RRMS", "IOFF", "IRMS", "GROFF", "GRRMS", "RIOFF", "RIRMS")
_PRIMARY = (
    ("SIMPLE", True, "conforms to FITS standard"), ("BITPIX", 8, "array data type"),
    ("NAXIS", 0, "number of array dimensions"), ("EXTEND", True),
    ("TAI", 4460848642.78, "1st row - Number of seconds since Nov 17 1858"),
    ("RA", 0.0, "1st row - Right ascension of telescope boresight"),
    ("DEC", 0.0, "1st row - Declination of telescope boresight (d"), ("EQUINOX", 2000.0),
    ("RADECSYS", "FK5"), ("TAIHMS", "04:10:12.13", "1st row - TAI time (HH:MM:SS.SS) (TAI-UT = appr"),
    ("TIMESYS", "tai", "TAI, not UTC"), ("MJD", 0, "MJD of observation"), ("MJDLIST", "simulated"),
    ("VERSION", "v3_12_2", "version of IOP"), ("CAMVER", "SPEC2 v4_5", "Camera code version"),
    ("OBSERVER", "sanspec", "this spectrum is simulated"),
    ("TELESCOP", "SDSS 2.5-M", "Sloan Digital Sky Survey"), ("BESTEXP", 3240),
    ("NEXP_B1", 4, "b1 camera number of exposures"), ("NEXP_R1", 4, "r1 camera number of exposures"),
    ("EXPT_B1", 3600.0, "b1 camera exposure time (seconds)"),
    ("EXPT_R1", 3600.0, "r1 camera exposure time (seconds)"),
    ("EXPTIME", 3600.0, "Minimum of exposure times for all cameras"),
    ("SPCOADD", "simulated", "SPCOADD finished"),
    ("FLAVOR", "science", "Flavor of this sequence (e.g., dome flat, etc.)"),
    ("QUALITY", "excellent", "night/image quality"), ("RADEG", 0.0, "Right ascension. (degrees)"),
    ("DECDEG", 0.0, "Declination. (degrees)"), ("PLATEID", 0, "Plate Id"), ("TILEID", 122, "Tile Id"),
    ("CARTID", 5, "Cartridge used in this plugging"), ("MAPID", 5161501, "Map Id"),
    ("NAME", "simulated", "Name of target; PlateId-MJD-Mapper ReRun"),
    ("COLBIN", 1, "Binning factor perpendicular to the columns"),
    ("ROWBIN", 1, "Binning factor perpendicular to the rows"),
    ("PROGRAM", "binning 1   1", "Identifying name for CCD program"),
    ("SECFOCUS", -9999.0, "Secondary Mirror Position as reported by TCC"),
    ("GUIDEIMG", "none", "Last archived guider image"),
    *((key, 0.0, f"weatherData({key.lower()})") for key in _WEATHER),
    *((f"TEMP{ccd:02d}", -93.5, f"CCD {ccd:02d} Temperature") for ccd in (1, 2, 3, 4)),
    ("VERSIDL", "6.3", "Version of IDL"), ("VERSUTIL", "v5_3_0", "Version of idlutils"),
    ("VERSREAD", "v5_3_12", "Version of idlspec2d for pre-processing raw dat"),
    ("VERS2D", "v5_3_12", "Version of idlspec2d for 2D reduction"),
    ("VERSCOMB", "v5_3_12", "Version of idlspec2d for combining multiple spe"),
    ("VERSLOG", "simulated", "Version of SPECLOG product"),
    ("VERSFLAT", "v1_7", "Version of SPECFLAT product"), ("OPBC", "opBC-50000.par"),
    ("OPCONFIG", "opConfig-50000.par"), ("OPECALIB", "opECalib-51577.par"), ("PLUGFILE", "simulated"),
    ("HELIO_RV", 0.0, "Heliocentric correction (added to velocities)"),
    ("VACUUM", True, "Wavelengths are in vacuum"), ("SFLATTEN", True, "Superflat has been applied"),
    ("PSFSKY", 3, "Order of PSF skysubtraction"), ("SKYCHI2", 1.0, "Mean chi^2 of sky-subtraction"),
    ("SCHI2MIN", 1.0), ("SCHI2MAX", 1.0), ("PREJECT", 0.2, "Profile area rejection threshold"),
    *((f"SPEC{half}_{band}", 20.0, f"(S/N)^2 for spec  {half}") for half in (1, 2) for band in "GRI"),
    ("NSTD", 14, "Number of (good) std stars"),
    *((f"{name}STD", 0.04, "Spectrophoto for std stars") for name in _SPECTROPHOTO),
    ("NGAL", 410, "Number of (good) main galaxies"),
    *((f"{name}GAL", 0.04, "Spectrophoto for main galaxies") for name in _SPECTROPHOTO),
    ("LOWREJ", 5, "Extraction: low rejection"), ("HIGHREJ", 8, "Extraction: high rejection"),
    ("SCATPOLY", 0, "Extraction: Order of scattered light polynomial"),
    ("PROFTYPE", 3, "Extraction profile: 1=Gaussian"),
    ("NFITPOLY", 1, "Extraction: Number of parameters in each profil"),
    ("XCHI2", 1.0, "Extraction: Mean chi^2"), ("XCHI2MIN", 1.0), ("XCHI2MAX", 1.0), ("SHIFTGUE", 0.0),
    ("SHIFT", 0.0, "Angstroms, at 4000AA"), ("SHIFTERR", 0.0), ("NWORDER", 2, "Linear-log10 coefficients"),
    ("WFITTYPE", "LOG-LINEAR", "Linear-log10 dispersion"),
    ("COEFF0", 3.5784, "Central wavelength (log10) of first pixel"),
    ("COEFF1", 0.0001, "Log10 dispersion per pixel"), ("FBADPIX", 0.0, "Fraction of bad pixels"),
    ("FBADPIX1", 0.0, "Fraction of bad pixels on spectro-1"),
    ("FBADPIX2", 0.0, "Fraction of bad pixels on spectro-2"), ("WAT0_001", "system=linear"),
    ("WAT1_001", "wtype=linear label=Wavelength units=Angstroms"), ("DC-FLAG", 1, "Log-linear flag"),
    ("BUNIT", "1E-17 erg/cm^2/s/Ang"), ("PLUG_RA", 0.0, "RA of object [deg]"),
    ("PLUG_DEC", 0.0, "dec of object [deg]"), ("SPEC_ID", "", "Unique object identifier"),
    ("FIBERID", 0, "Fiber number (1-640)"), ("NEXP", 8, "Number of individual exposures"),
    *((f"EXPID{number:02d}", f"{'b1' if number < 5 else 'r1'}-simulated") for number in range(1, 9)),
)  # fmt: skip
_TEMPLATE = _padded(b"".join(card(*entry) for entry in _PRIMARY) + b"END".ljust(_CARD), b" ")
_PLACES = {key: (n * _CARD, comment[0] if comment else "") for n, (key, _, *comment) in enumerate(_PRIMARY)}
