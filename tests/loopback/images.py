"""Frames and JPEG cutouts: each galaxy's cube put back on the sky, in a small field of its own.

A field is 256 x 192 pixels with its own rotation and parity; every fourth galaxy stands near its field's
edge, so that a cutout needs the neighbouring field too (fields of a run overlap by 64 rows).
"""

import bz2
import io
import threading

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image
from scipy import ndimage

from loopback.fields import number_of
from loopback.server import Reply, Request, Route
from loopback.sky import Sky
from sanspec.physics.constants import PIXEL_SCALE
from sanspec.survey import cubes

SHAPE, OVERLAP = (192, 256), 64
SKY_NOISE = 0.002  # nanomaggies a pixel: what a frame adds to the noise of the cube
_NEAR = 20 / 3600  # degrees


def cutout_wcs(ra: float, dec: float, side: int = cubes.SIDE) -> WCS:
    """North up, east to the left, centred on a position [deg]."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [ra, dec], [(side + 1) / 2, (side + 1) / 2]
    wcs.wcs.cdelt = [-PIXEL_SCALE / 3600, PIXEL_SCALE / 3600]
    return wcs


def field_wcs(number: int, step: int, ra: float, dec: float) -> WCS:
    """The field of galaxy `number`, `step` fields further along the run."""
    y = (20.2 if number % 4 == 1 else 96.7) - step * (SHAPE[0] - OVERLAP)
    angle = np.deg2rad(25.0 + 37.0 * number)
    cosine, sine = np.cos(angle), np.sin(angle)
    parity = -1 if number % 2 else 1
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [ra, dec], [129.3, y + 1]
    wcs.wcs.cd = PIXEL_SCALE / 3600 * np.array([[parity * cosine, -sine], [parity * sine, cosine]])
    return wcs


class Images:
    """Frames and JPEGs of a sky."""

    def __init__(self, sky: Sky):
        self.sky = sky
        ids = cubes.read_ids(sky.cubes)
        self._row = {int(specobjid): row for row, specobjid in reversed(list(enumerate(ids)))}
        self._places = [(int(row["specObjID"]), float(row["ra"]), float(row["dec"])) for row in sky.rows()]
        self._lock = threading.Lock()

    def routes(self) -> list[Route]:
        """Their addresses."""
        frame = r"frame-(?P<band>[ugriz])-(?P<run>\d{6})-(?P<camcol>\d)-(?P<field>\d{4})\.fits\.bz2"
        return [
            Route("frame", "GET", rf"/sas/dr\d+/e?boss/photoObj/frames/\d+/\d+/\d/{frame}", self.frame),
            Route("jpeg", "GET", r"/dr\d+/SkyServerWS/ImgCutout/getjpeg", self.jpeg),
        ]

    def cube(self, specobjid: int) -> np.ndarray | None:
        """A galaxy's cube (y, x, band); None where the file has none."""
        if specobjid not in self._row:
            return None
        with self._lock, cubes.open_cubes(self.sky.cubes) as member:
            return member.read(self._row[specobjid], 1)[0]

    def frame(self, request: Request) -> Reply:
        """One frame, bzip2."""
        run, camcol, field = (int(request.match[name]) for name in ("run", "camcol", "field"))
        number, step = number_of(run, camcol, field)
        cube = self.cube(self._places[number][0]) if 0 <= number < len(self._places) else None
        if cube is None:
            return Reply(404, b"<html>404 Not Found</html>", "text/html")
        _, ra, dec = self._places[number]
        band = cubes.BANDS.index(request.match["band"])
        wcs = field_wcs(number, step, ra, dec)
        image = paste(cube[:, :, band], cutout_wcs(ra, dec), wcs)
        rng = np.random.default_rng([number, step + 1, band])
        image = image + rng.normal(0, SKY_NOISE, SHAPE).astype(np.float32)
        header = wcs.to_header()
        header["BUNIT"] = "nanomaggy"
        file = io.BytesIO()
        fits.PrimaryHDU(image.astype(np.float32), header).writeto(file)
        return Reply(200, bz2.compress(file.getvalue(), 1), "application/x-bzip2")

    def jpeg(self, request: Request) -> Reply:
        """A JPEG of the galaxy within 20 arcsec of a position; a grey one with status 404 for empty sky."""
        ra, dec = float(request.query["ra"]), float(request.query["dec"])
        width, height = int(request.query.get("width", 64)), int(request.query.get("height", 64))
        places = np.array([(a, d) for _, a, d in self._places])
        apart = np.hypot((places[:, 0] - ra) * np.cos(np.deg2rad(dec)), places[:, 1] - dec)
        nearest = int(apart.argmin())
        cube = self.cube(self._places[nearest][0]) if apart[nearest] < _NEAR else None
        picture = np.full((64, 64, 3), 90, np.uint8) if cube is None else stretch(cube)
        file = io.BytesIO()
        Image.fromarray(picture).resize((width, height)).save(file, "JPEG", quality=95)
        return Reply(200 if cube is not None else 404, file.getvalue(), "image/jpeg")


def paste(image: np.ndarray, source: WCS, target: WCS) -> np.ndarray:
    """`image` on the pixels of `target` (bicubic; both have pixels of one size), 0 around it."""
    y, x = np.indices(SHAPE)
    at = source.world_to_pixel_values(*target.pixel_to_world_values(x, y))
    return ndimage.map_coordinates(np.nan_to_num(image), [at[1], at[0]], order=3, mode="constant")


def stretch(cube: np.ndarray) -> np.ndarray:
    """A colour picture of the bands i, r, g, south at the bottom (a JPEG's first row is its top)."""
    colours = np.nan_to_num(cube[::-1, :, [3, 2, 1]]) * np.array([0.6, 0.8, 1.2])
    level = np.arcsinh(colours.mean(axis=2, keepdims=True) / 0.05) / np.maximum(
        colours.mean(axis=2, keepdims=True), 1e-3
    )
    return np.clip(40 * colours * level + 8, 0, 255).astype(np.uint8)
