"""Positions, close pairs, plates, fibres and ids of the simulated galaxies."""

from dataclasses import dataclass

import numpy as np

from sanspec.survey import sdss

RUN2D = 26
FIBRES = 600  # science fibres used on a plate of 640
FIRST_PLATE, FIRST_MJD = 266, 51602
DENSITY, STRIP = 55.0, 8.0  # galaxies per square degree at 0.05 < z < 0.15; degrees of declination of a strip
FIRST_RA = 120.0  # deg
NEAREST, FARTHEST = 2.0, 4.9  # arcsec between the two galaxies of a pair
_POSITION, _PAIRED, _OFFSET = 1, 3, 4  # third words of a galaxy's seeds


@dataclass(frozen=True)
class Identity:
    """Ids and position of an observation. Angles in degrees."""

    plate: int
    mjd: int
    fiberid: int
    objid: int
    ra: float
    dec: float

    @property
    def specobjid(self) -> int:
        """The 64-bit id of plate, mjd, fibre and reduction."""
        return int(sdss.pack(self.plate, self.mjd, self.fiberid, RUN2D))

    @property
    def photo(self) -> list[int]:
        """run, rerun, camcol, field and number packed in `objid`."""
        return [self.objid >> shift & mask for shift, mask in _PHOTO]

    @property
    def file(self) -> str:
        """Path of the spectrum below the folder of spectra."""
        return sdss.file_name(self.plate, self.mjd, self.fiberid)


_PHOTO = ((32, 0xFFFF), (48, 0x7FF), (29, 0x7), (16, 0xFFF), (0, 0xFFFF))


def identify(index: int, ra: float, dec: float, repeat: bool = False) -> Identity:
    """Ids of galaxy `index`; of its second observation, some nights later, with `repeat`."""
    plate, fibre = divmod(index, FIBRES)
    frame, number = divmod(index, 900)
    camcol, field, run = frame % 6 + 1, 11 + frame // 6 % 800, 1000 + frame // 4800
    objid = (2 << 59) | (301 << 48) | (run << 32) | (camcol << 29) | (field << 16) | (number + 1)
    mjd = FIRST_MJD + 4 * plate + (29 if repeat else 0)
    return Identity(FIRST_PLATE + plate, mjd, 1 + fibre * 7 % FIBRES, objid, ra, dec)


@dataclass(frozen=True)
class Sky:
    """Positions of the galaxies: strips of 8 degrees at the density of the survey, with some close pairs.

    pairs: fraction of the galaxies that start a pair; count: number of galaxies.
    """

    seed: int
    pairs: float
    count: int

    def position(self, index: int) -> tuple[float, float]:
        """Right ascension and declination [deg]; the second of a pair is within 5 arcsec of the first."""
        if not self.starts_pair(index - 1):
            return self._alone(index)
        ra, dec = self._alone(index - 1)
        east, north = self._offset(index - 1)
        return ra + east / 3600 / np.cos(np.deg2rad(dec)), dec + north / 3600

    def partner(self, index: int) -> tuple[int, float, float] | None:
        """The other galaxy of a pair and its offset, east and north [arcsec]; None if alone."""
        if self.starts_pair(index):
            return index + 1, *self._offset(index)
        if self.starts_pair(index - 1):
            east, north = self._offset(index - 1)
            return index - 1, -east, -north
        return None

    def starts_pair(self, index: int) -> bool:
        """Whether galaxies `index` and `index + 1` are a pair. Chains are split: no galaxy is in two pairs."""
        run = 0
        while self._drawn(index - run):
            run += 1
        return run % 2 == 1 and index + 1 < self.count

    def _drawn(self, index: int) -> bool:
        return index >= 0 and self._rng(index, _PAIRED).random() < self.pairs

    def _alone(self, index: int) -> tuple[float, float]:
        u, v = self._rng(index, _POSITION).random(2)
        strip, ra = divmod(FIRST_RA + (index + u) / (DENSITY * STRIP), 360.0)
        return float(ra), float(STRIP * (strip + v))

    def _offset(self, index: int) -> tuple[float, float]:
        rng = self._rng(index, _OFFSET)
        distance, angle = rng.uniform(NEAREST, FARTHEST), rng.uniform(0, 2 * np.pi)
        return float(distance * np.cos(angle)), float(distance * np.sin(angle))

    def _rng(self, index: int, word: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, index, word])
