"""SkyServer's colour cutouts: the 64 x 64 thumbnails that Doorenbos et al. (2022) worked with."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from sanspec import store
from sanspec.archive.session import Refused, Session, Transient
from sanspec.config import Acquire
from sanspec.physics.constants import PIXEL_SCALE
from sanspec.survey.cubes import SIDE


def fetch(session: Session, settings: Acquire, ra: float, dec: float, path: Path) -> None:
    """The JPEG around a position [deg], 64 x 64 pixels of 0.396 arcsec, to `path`.

    Raises Refused where the position lies outside the footprint (SkyServer then answers 404 with a grey
    JPEG).
    """
    params = {
        "ra": f"{ra:.6f}",
        "dec": f"{dec:.6f}",
        "scale": f"{PIXEL_SCALE}",
        "width": SIDE,
        "height": SIDE,
    }

    def once() -> bytes:
        """One try."""
        answer = session.call("GET", settings.services.jpeg, params=params)
        if answer.status == 404 and answer.body.startswith(b"\xff\xd8"):
            raise Refused("outside the survey's footprint", 404)
        if answer.status != 200:
            raise Refused(f"HTTP {answer.status}", answer.status)
        try:
            decode(answer.body)
        except (UnidentifiedImageError, OSError, ValueError):
            raise Transient("not a JPEG") from None
        return answer.body

    content = session.retry(once)
    with store.atomic(path) as temporary:
        temporary.write_bytes(content)


def decode(content: bytes) -> np.ndarray:
    """Pixels (y, x, colour) of a JPEG of the right size. Raises OSError or ValueError otherwise."""
    with Image.open(io.BytesIO(content)) as image:
        if image.format != "JPEG" or image.size != (SIDE, SIDE):
            raise ValueError("another format or size")
        return np.asarray(image.convert("RGB"))
