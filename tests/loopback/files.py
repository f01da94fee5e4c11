"""Spectra as SAS serves them, the cube file, and the ways in which a file can be the wrong one."""

import struct

from loopback.server import Reply, Request, Route
from loopback.sky import Sky
from sanspec.survey import sdss

_BLOCK, _CARD = 2880, 80
NOT_FOUND = b"<html><head><title>404 Not Found</title></head><body><h1>Not Found</h1></body></html>\n"


class Files:
    """Spectra of a sky by plate, MJD and fibre, and its cube file."""

    def __init__(self, sky: Sky):
        self.sky = sky

    def routes(self) -> list[Route]:
        """Their addresses: /sas/drN/…/spectra/[lite/]PPPP/spec-PPPP-MMMMM-FFFF.fits and /cubes/sdss.npz."""
        folder = r"/sas/dr\d+/(?:sdss|boss|eboss)/spectro/(?:sdss/)?redux/[^/]+/spectra/(?:lite/|full/)?\d+"
        return [
            Route("spectrum", "GET", rf"{folder}/(?P<file>spec-[\d-]+\.fits)", self.spectrum),
            Route("cubes", "GET", r"/cubes/sdss\.npz", self.cubes),
        ]

    def spectrum(self, request: Request) -> Reply:
        """One spectrum file."""
        ids = sdss.parse_file_name(request.match["file"])
        path = self.sky.spectrum(*ids) if ids else None
        if path is None:
            return Reply(404, NOT_FOUND, "text/html")
        return Reply(file=path, kind="application/fits")

    def cubes(self, request: Request) -> Reply:
        """The cube file."""
        return Reply(file=self.sky.cubes, kind="application/zip")

    def other_object(self, content: bytes, path: str) -> bytes:
        """The file of another fibre of the plate, in place of the right one."""
        ids = sdss.parse_file_name(path.rsplit("/", 1)[-1])
        if ids is None:
            return content
        folder = self.sky.folder / "spectra" / f"{ids[0]:04d}"
        others = (other for other in sorted(folder.glob("spec-*.fits")) if not path.endswith(other.name))
        return next(
            (other.read_bytes() for other in others if other.stat().st_size == len(content)), content[:1000]
        )


def bad_tdim(content: bytes, path: str = "") -> bytes:
    """A FITS file with a TDIM card in its second extension that contradicts the column's format."""
    data, position = bytearray(content), 0
    for _ in range(2):
        position = _next_hdu(data, position)
    end = position
    while data[end : end + 8] != b"END     ":
        end += _CARD
    fields = next(
        int(data[at + 10 : at + 30]) for at in range(position, end, _CARD) if data[at : at + 8] == b"TFIELDS "
    )
    wrong = f"TDIM{fields:<4}= '(7,11,13)'".ljust(_CARD).encode()
    if (end - position) % _BLOCK == _BLOCK - _CARD:  # no room behind END: overwrite the last card
        end -= _CARD
    data[end : end + 2 * _CARD] = wrong + b"END".ljust(_CARD)
    return bytes(data)


def _next_hdu(data: bytearray, position: int) -> int:
    """Where the HDU behind the one at `position` begins."""
    sizes, at = {}, position
    while data[at : at + 8] != b"END     ":
        if data[at + 8 : at + 10] == b"= ":
            sizes[data[at : at + 8].decode().strip()] = data[at + 10 : at + 30].decode().strip()
        at += _CARD
    header = -(-(at + _CARD - position) // _BLOCK) * _BLOCK
    size = abs(int(sizes["BITPIX"])) // 8 if int(sizes["NAXIS"]) else 0
    for axis in range(1, int(sizes["NAXIS"]) + 1):
        size *= int(sizes[f"NAXIS{axis}"])
    return position + header + -(-size // _BLOCK) * _BLOCK


def spoil_values(content: bytes, path: str = "") -> bytes:
    """A spectrum whose fluxes are all NaN (big-endian; flux is the first column of 32 bytes a row)."""
    data = bytearray(content)
    begin = _next_hdu(data, 0)
    end = begin
    while data[end : end + 8] != b"END     ":
        end += _CARD
    first = begin + -(-(end + _CARD - begin) // _BLOCK) * _BLOCK
    last = _next_hdu(data, begin)
    for at in range(first, last - 32, 32):
        data[at : at + 4] = struct.pack(">f", float("nan"))
    return bytes(data)
