"""Write spectrum files of the survey's "lite" form: an empty primary HDU, then COADD, SPECOBJ, SPZLINE.

Columns, their order and their formats are those of data release 12 for the SDSS spectrographs; a file of
3781-3870 pixels takes 172,800 bytes. Headers are made once and patched, since a general writer takes 70 ms
per file.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import yaml

from sanspec.mock.spectrum import COLUMNS, Spectrum
from sanspec.spectra.grid import LOGLAM_STEP

_FORMAT = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
ZLINES = _FORMAT["zlines"]  # vacuum wavelengths [Angstrom] of the lines that the pipeline fits
_BLOCK, _CARD = 2880, 80
_TYPES = {"A": "S", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8"}


def _dtype(columns: str) -> np.dtype:
    """Type of a table row, from a list of NAME:FORMAT."""
    fields = []
    for name, form in (column.split(":") for column in columns.split()):
        count, kind = int(form[:-1] or 1), _TYPES[form[-1]]
        fields.append((name, f"S{count}") if kind == "S" else (name, kind, (count,))[: 2 + (count > 1)])
    return np.dtype(fields)


COADD, SPECOBJ, SPZLINE = (_dtype(_FORMAT[name]) for name in ("coadd", "specobj", "spzline"))


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
def _table_header(name: str, dtype: np.dtype, rows: int, comment: str) -> bytes:
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
    for number, column in enumerate(_FORMAT[name.lower()].split(), start=1):
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
        ("COADD", coadd, "Coadded spectrum"),
        ("SPECOBJ", about, "Metadata from specObj row"),
        ("SPZLINE", lines, "Line fits from spZline"),
    )
    content = primary(header)
    for name, table, comment in extensions:
        content += _table_header(name, table.dtype, len(table), comment)
        content += _padded(table.tobytes(), b"\0")
    return content


_CARDS = [line.ljust(_CARD) for line in _FORMAT["primary"].splitlines()]
_TEMPLATE = _padded("".join([*_CARDS, "END".ljust(_CARD)]).encode("ascii"), b" ")
_PLACES = {  # offset and comment of each card by keyword
    line[:8].rstrip(): (n * _CARD, line[10:].partition(" / ")[2].rstrip()) for n, line in enumerate(_CARDS)
}
