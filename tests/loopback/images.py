"""Frames and JPEG cutouts: each galaxy's cube placed on the sky, in a small field of its own.

A field has 256 x 192 pixels and its own rotation and parity. Every fourth galaxy lies near the edge of its field, so
that a cutout needs the adjacent field too (fields of a run overlap by 64 rows).
"""

import bz2
import io
import threading

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image
from scipy import ndimage

from loopback.server import Reply, Request, Route
from loopback.sky import Sky, number_of
from sanspec.physics.constants import PIXEL_SCALE
from sanspec.survey import cubes

SHAPE, OVERLAP = (192, 256), 64
SKY_NOISE = 0.002  # nanomaggies per pixel that a frame adds to the noise of the cube
_NEAR = 20 / 3600  # degrees


def tangent(ra: float, dec: float, pixel: tuple[float, float], axes: np.ndarray) -> WCS:
    """A tangent projection with a position [deg] at `pixel` (x, y from 1); `axes` turns pixels to east and north."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [ra, dec], pixel
    wcs.wcs.cd = PIXEL_SCALE / 3600 * axes
    return wcs


def cutout_wcs(ra: float, dec: float) -> WCS:
    """North up, east to the left, centred on a position [deg]."""
    middle = (cubes.SIDE + 1) / 2
    return tangent(ra, dec, (middle, middle), np.diag([-1.0, 1.0]))


def field_wcs(number: int, step: int, ra: float, dec: float) -> WCS:
    """The field of galaxy `number`, `step` fields further along the run."""
    y = (20.2 if number % 4 == 1 else 96.7) - step * (SHAPE[0] - OVERLAP)
    angle = np.deg2rad(25.0 + 37.0 * number)
    cosine, sine = np.cos(angle), np.sin(angle)
    parity = -1 if number % 2 else 1
    return tangent(ra, dec, (129.3, y + 1), np.array([[parity * cosine, -sine], [parity * sine, cosine]]))


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
            return Reply.html()
        _, ra, dec = self._places[number]
        band = cubes.BANDS.index(request.match["band"])
        wcs, (y, x) = field_wcs(number, step, ra, dec), np.indices(SHAPE)
        at = cutout_wcs(ra, dec).world_to_pixel_values(*wcs.pixel_to_world_values(x, y))
        plane = np.nan_to_num(cube[:, :, band])
        image = ndimage.map_coordinates(plane, [at[1], at[0]], order=3, mode="constant")  # 0 around the cube
        rng = np.random.default_rng([number, step + 1, band])
        image = image + rng.normal(0, SKY_NOISE, SHAPE).astype(np.float32)
        header = wcs.to_header()
        header["BUNIT"] = "nanomaggy"
        file = io.BytesIO()
        fits.PrimaryHDU(image.astype(np.float32), header).writeto(file)
        return Reply(200, bz2.compress(file.getvalue(), 1), "application/x-bzip2")

    def jpeg(self, request: Request) -> Reply:
        """A JPEG of the galaxy within 20 arcsec of a position; for empty sky a grey one with status 404."""
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


def stretch(cube: np.ndarray) -> np.ndarray:
    """A colour image of the bands i, r, g, with south at the bottom (a JPEG's first row is its top)."""
    colours = np.nan_to_num(cube[::-1, :, [3, 2, 1]]) * np.array([0.6, 0.8, 1.2])
    mean = colours.mean(axis=2, keepdims=True)
    level = np.arcsinh(mean / 0.05) / np.maximum(mean, 1e-3)
    return np.clip(40 * colours * level + 8, 0, 255).astype(np.uint8)
