"""Spectra as SAS serves them, the cube file, and ways in which a file can be wrong."""

import io
import struct

from astropy.io import fits

from loopback.server import Reply, Request, Route
from loopback.sky import Sky
from sanspec.survey import sdss

_CARD = 80  # bytes of a FITS header card


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
            return Reply.html()
        return Reply(file=path, kind="application/fits")

    def cubes(self, request: Request) -> Reply:
        """The cube file."""
        return Reply(file=self.sky.cubes, kind="application/zip")

    def other_object(self, content: bytes, path: str) -> bytes:
        """The file of another fibre of the same plate."""
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
    data = bytearray(content)
    with fits.open(io.BytesIO(content)) as hdus:
        count, header = hdus[2].header["TFIELDS"], hdus[2].fileinfo()
    end = data.rindex(b"END".ljust(_CARD), header["hdrLoc"], header["datLoc"])
    if header["datLoc"] - end == _CARD:  # no room after END: overwrite the last card
        end -= _CARD
    data[end : end + 2 * _CARD] = f"TDIM{count:<4}= '(7,11,13)'".ljust(_CARD).encode() + b"END".ljust(_CARD)
    return bytes(data)


def spoil_values(content: bytes, path: str = "") -> bytes:
    """A spectrum with all fluxes NaN (big-endian, first column of the first extension)."""
    data = bytearray(content)
    with fits.open(io.BytesIO(content)) as hdus:
        rows, width, first = len(hdus[1].data), hdus[1].header["NAXIS1"], hdus[1].fileinfo()["datLoc"]
    for at in range(first, first + rows * width, width):
        data[at : at + 4] = struct.pack(">f", float("nan"))
    return bytes(data)
