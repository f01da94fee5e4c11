"""Images of any SDSS galaxy: cubes cut from the survey's calibrated frames, and SkyServer's colour JPEGs.

A cube has 64 x 64 pixels of 0.396 arcsec, north up and east to the left, in nanomaggies per pixel: the layout of the
cube file. Frames are kept, since several galaxies share one.
"""

import bz2
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area
from jaxtyping import Float
from PIL import Image, UnidentifiedImageError
from reproject import reproject_interp

from sanspec import store
from sanspec.archive import download
from sanspec.archive.session import Answer, Refused, Session, Transient
from sanspec.archive.skyserver import SkyServer
from sanspec.config import Acquire
from sanspec.database.query import Column
from sanspec.errors import SanspecError
from sanspec.physics.constants import PIXEL_SCALE
from sanspec.survey.cubes import BANDS, SIDE
from sanspec.survey.fitsrows import Damaged

RADIUS = 3.0  # arcsec: maximum distance of an object from the given position
_PLACE = (
    *(Column(name, f"P.{name}", "id") for name in ("objID", "run", "rerun", "camcol", "field")),
    Column("ra", "P.ra", "real"),
    Column("dec", "P.dec", "real"),
)
_SELECT = f"SELECT {','.join(f'P.{column.name}' for column in _PLACE)} FROM PhotoObjAll P WHERE P.mode=1 AND "


@dataclass(frozen=True)
class Place:
    """Position of a photometric object [deg], and the field in which it was measured."""

    objid: int
    ra: float
    dec: float
    run: int
    rerun: int
    camcol: int
    field: int


def locate(skyserver: SkyServer, objid: int | None, ra: float = np.nan, dec: float = np.nan) -> Place | None:
    """The primary object of that id, or the nearest one within RADIUS of a position [deg]; None if there is none."""
    if objid:
        where = f"P.objID={int(objid)}"
    else:
        reach = RADIUS / 3600
        wide = reach / max(np.cos(np.deg2rad(dec)), 1e-3)
        limits = ((name, at - by, at + by) for name, at, by in (("ra", ra, wide), ("dec", dec, reach)))
        where = " AND ".join(f"P.{name} BETWEEN {low:.6f} AND {high:.6f}" for name, low, high in limits)
    rows = skyserver.ask(_SELECT + where, _PLACE)
    if not len(rows):
        return None
    apart = np.hypot((rows["ra"] - ra) * np.cos(np.deg2rad(rows["dec"])), rows["dec"] - dec).to_numpy()
    at = int(np.nanargmin(apart)) if np.isfinite(apart).any() else 0
    return Place(**{c.name.lower(): rows[c.name].to_numpy()[at].item() for c in _PLACE})  # ids stay integers


class Frames:
    """Frames of a data release, fetched when they are needed and kept in the store."""

    def __init__(self, session: Session, settings: Acquire):
        self._session, self._template = session, settings.services.frames
        self._folder = settings.store / "frames"

    def fetch(self, place: Place, band: str, step: int = 0) -> Path | None:
        """The frame of an object in one band, or the one `step` fields along its run; None where there is none."""
        ids = {"run": place.run, "rerun": place.rerun, "camcol": place.camcol, "field": place.field + step}
        name = "frame-{band}-{run:06d}-{camcol}-{field:04d}.fits.bz2".format(band=band, **ids)
        path = self._folder / str(place.run) / str(place.camcol) / name
        if path.exists():
            return path
        for _ in range(2):  # a 404 must come up twice
            try:
                download.fetch(self._session, self._template.format(band=band, **ids), path, check)
                return path
            except Refused as fault:
                if fault.status not in (404, 410):
                    raise SanspecError(f"frame {name}: {fault}; run again later") from None
        return None

    def cube(self, place: Place) -> tuple[Float[np.ndarray, "y x band"], float]:
        """An object's cube, and the fraction of it that frames cover (it is NaN elsewhere)."""
        cube = np.stack([self.plane(place, band) for band in BANDS], axis=-1).astype(np.float32)
        return cube, float(np.isfinite(cube).mean())

    def plane(self, place: Place, band: str) -> Float[np.ndarray, "y x"]:
        """The image in one band, from the object's field and, where its edge cuts the image, the adjacent ones."""
        image = np.full((SIDE, SIDE), np.nan)
        for step in (0, -1, 1):
            if np.isfinite(image).all():
                break
            path = self.fetch(place, band, step)
            if path is not None:
                image = np.where(np.isfinite(image), image, cut(*read(path), place.ra, place.dec))
        return image


def read(path: Path) -> tuple[Float[np.ndarray, "y x"], WCS]:
    """Pixels [nanomaggies] and world coordinates of a frame."""
    with fits.open(io.BytesIO(bz2.decompress(path.read_bytes()))) as hdus:
        return np.array(hdus[0].data, dtype=float), WCS(hdus[0].header)


def check(path: Path) -> None:
    """Raises Damaged where a file is not a complete frame."""
    try:
        image, wcs = read(path)
    except (OSError, EOFError, ValueError, TypeError, KeyError) as fault:
        raise Damaged(f"not a frame: {type(fault).__name__}") from None
    if image.ndim != 2 or not wcs.has_celestial or not np.isfinite(image).any():
        raise Damaged("not a frame: no image with celestial coordinates")


def cut(image: Float[np.ndarray, "row column"], wcs: WCS, ra: float, dec: float) -> Float[np.ndarray, "y x"]:
    """The image around a position [deg] at pixel (31.5, 31.5), north up, in nanomaggies; NaN outside the frame.

    Resampled bicubically in surface brightness, times the ratio of the pixel areas, so that the flux is conserved.
    """
    target = WCS(naxis=2)
    target.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    target.wcs.crval, target.wcs.crpix = [ra, dec], [(SIDE + 1) / 2, (SIDE + 1) / 2]
    target.wcs.cdelt = [-PIXEL_SCALE / 3600, PIXEL_SCALE / 3600]
    plane, covered = reproject_interp((image, wcs), target, shape_out=(SIDE, SIDE), order="bicubic")
    ratio = proj_plane_pixel_area(target.celestial) / proj_plane_pixel_area(wcs.celestial)
    return np.where(covered > 0, plane * ratio, np.nan)


def fetch_jpeg(session: Session, settings: Acquire, ra: float, dec: float, path: Path) -> None:
    """Write SkyServer's colour JPEG around a position [deg] to `path`: 64 x 64 pixels of 0.396 arcsec.

    Doorenbos et al. (2022) worked with such images. Raises Refused for a position outside the footprint, where
    SkyServer answers 404 with a grey JPEG.
    """

    def read_jpeg(answer: Answer) -> bytes:
        """The body, if it is a JPEG."""
        if answer.status == 404 and answer.body.startswith(b"\xff\xd8"):
            raise Refused("outside the survey's footprint", 404)
        if answer.status != 200:
            raise Refused(f"HTTP {answer.status}", answer.status)
        try:
            decode_jpeg(answer.body)
        except (UnidentifiedImageError, OSError, ValueError):
            raise Transient("not a JPEG") from None
        return answer.body

    params = {
        "ra": f"{ra:.6f}",
        "dec": f"{dec:.6f}",
        "scale": f"{PIXEL_SCALE}",
        "width": SIDE,
        "height": SIDE,
    }
    content = session.call("GET", settings.services.jpeg, read_jpeg, params=params)
    with store.atomic(path) as temporary:
        temporary.write_bytes(content)


def decode_jpeg(content: bytes) -> np.ndarray:
    """Pixels (y, x, colour) of a JPEG. Raises OSError or ValueError where it has another format or size."""
    with Image.open(io.BytesIO(content)) as image:
        if image.format != "JPEG" or image.size != (SIDE, SIDE):
            raise ValueError("another format or size")
        return np.asarray(image.convert("RGB"))
