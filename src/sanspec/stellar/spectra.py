"""What a population fit takes: one spectrum with its noise, mask, resolution and redshift, from whatever product.

The noise of a pair is one rule for both members, since a predicted spectrum has none of its own: with `noise:
constant` it is one number, the median error of the observed member's good pixels; with `noise: observed` it
is the observed member's error pixel by pixel. Sky lines are left out of both members at the same observed
wavelengths, and both are freed of the Milky Way's dust in front of their one position.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt64

from sanspec import store
from sanspec.config import Prepare, Stellar
from sanspec.errors import SanspecError, Warn
from sanspec.physics.constants import C_KMS, FWHM_PER_SIGMA, LSUN
from sanspec.physics.cosmology import COSMOLOGY
from sanspec.products import samples
from sanspec.spectra import grid
from sanspec.spectra.native import NativeBlock
from sanspec.spectra.preparing import smooth_spectra
from sanspec.stellar.foreground import transmission
from sanspec.stellar.results import KINDS
from sanspec.survey.specfile import MASKED_BITS, read_many
from sanspec.survey.specfile import read as read_file

FLUX_UNIT = 1e-17  # erg/s/cm2/Angstrom


@lru_cache(maxsize=4096)
def solar_luminosity(z: float) -> float:
    """Rest-frame Lsun/Angstrom of a flux density of 1e-17 erg/s/cm2/Angstrom observed at redshift z; NaN for z <= 0."""
    if z <= 0:
        return np.nan
    distance = COSMOLOGY.luminosity_distance(z).to_value("cm")
    return FLUX_UNIT * 4 * np.pi * distance**2 * (1 + z) / LSUN


@dataclass(frozen=True)
class Spectrum:
    """One spectrum to fit.

    wave (pix): vacuum Angstrom, observed frame; flux (pix): flux density in units of `norm`; noise (pix): its
    1 sigma error, same unit; mask (pix): true = use; fwhm (pix): FWHM of the line spread [Angstrom,
    observed]; z: redshift; norm: 1e-17 erg/s/cm2/Angstrom, NaN where unknown; warn: bits of `Warn` known
    before any fit; foreground (pix): what the Milky Way lets through: flux and noise are divided by it,
    fitted models are multiplied by it again.
    """

    specobjid: int
    kind: str
    z: float
    wave: Float[np.ndarray, " pix"]
    flux: Float[np.ndarray, " pix"]
    noise: Float[np.ndarray, " pix"]
    mask: Bool[np.ndarray, " pix"]
    fwhm: Float[np.ndarray, " pix"]
    norm: float = np.nan
    warn: int = 0
    foreground: Float[np.ndarray, " pix"] | None = None


class Pairs:
    """Observed and predicted spectra of the test objects, in ascending order of specobjid, read by their products.

    spectra: prepared/spectra.h5, beside it objects.parquet, whose `extinction_r` is the Milky Way's;
    predicted: generated/predicted.h5; redshifts: tables/redshift.ecsv; `shard` (i, n) keeps every n-th object
    from the i-th on (i counts from 0).
    """

    def __init__(
        self,
        spectra: Path,
        predicted: Path,
        redshifts: Path,
        settings: Stellar,
        shard: tuple[int, int] = (0, 1),
    ):
        self.settings = settings
        sample = samples.read_sample(spectra, "test")
        ascending = np.argsort(sample.specobjid)
        keep = ascending[shard[0] :: shard[1]]
        self.all_ids = sample.specobjid[ascending]
        self.ids, self.z = sample.specobjid[keep], sample.z[keep]
        self.flux, self.ivar = sample.flux[keep], sample.ivar[keep]
        self.norm, coarse_wave, lsf = _facts(spectra, sample.rows[keep])
        self.fwhm = np.array([np.interp(grid.WAVE, coarse_wave, row) for row in lsf])
        self.predicted, self.predicted_fwhm, self.predicted_warn = _predicted(predicted, self.ids)
        self.predicted_z = _measured(redshifts, self.ids, self.z, settings)
        self.a_r = _a_r(Path(spectra).with_name("objects.parquet"), self.ids, settings)

    def __len__(self) -> int:
        return len(self.ids) * len(KINDS)

    def __iter__(self) -> Iterator[Spectrum]:
        for row in range(len(self.ids)):
            yield self.observed(row)
            yield self.prediction(row)

    def observed(self, row: int) -> Spectrum:
        """The observed member of pair `row`."""
        good = self.ivar[row] > 0
        noise = pair_noise(self.ivar[row], self.settings)
        mask = good & np.isfinite(self.flux[row]) & ~sky(grid.WAVE, self.settings)
        about = int(self.ids[row]), "observed", float(self.z[row]), grid.WAVE
        passed = transmission(grid.WAVE, self.a_r[row])
        light = self.flux[row] / passed, noise / passed, mask, self.fwhm[row]
        return Spectrum(*about, *light, float(self.norm[row]), foreground=passed)

    def prediction(self, row: int) -> Spectrum:
        """The predicted member of pair `row`; its unit is the observed one's norm, which the networks never saw."""
        flux = self.predicted[row]
        noise = pair_noise(self.ivar[row], self.settings)
        mask = np.isfinite(flux) & ~sky(grid.WAVE, self.settings)
        z = self.predicted_z[row]
        warn = int(self.predicted_warn[row])
        if not np.isfinite(z):
            z, warn = self.z[row], warn | Warn.NO_REDSHIFT
        about = int(self.ids[row]), "predicted", float(z), grid.WAVE
        passed = transmission(grid.WAVE, self.a_r[row])
        light = flux / passed, noise / passed, mask, self.predicted_fwhm
        return Spectrum(*about, *light, float(self.norm[row]), int(warn), passed)


def shard(text: str) -> tuple[int, int]:
    """`I/N` of the command line as (I - 1, N). Raises SanspecError when it is not that."""
    first, _, count = text.partition("/")
    if not (first.isdigit() and count.isdigit() and 1 <= int(first) <= int(count)):
        raise SanspecError(f"--shard {text}: allowed: I/N with 1 <= I <= N, as in 3/8")
    return int(first) - 1, int(count)


def pair_noise(ivar: Float[np.ndarray, " pix"], settings: Stellar) -> Float[np.ndarray, " pix"]:
    """The 1 sigma error of both members of a pair from the observed one's `ivar`; NaN where none is good.

    The median error stands everywhere, or, with `noise: observed`, wherever the observed one's pixel is
    masked.
    """
    good = ivar > 0
    error = np.full(ivar.shape, np.nan)
    error[good] = ivar[good] ** -0.5
    middle = np.median(error[good]) if good.any() else np.nan
    if settings.noise == "constant":
        return np.full(ivar.shape, middle)
    return np.where(good, error, middle)


def sky(wave: Float[np.ndarray, " pix"], settings: Stellar) -> Bool[np.ndarray, " pix"]:
    """Pixels (vacuum, observed frame) about the night-sky lines that no fit uses."""
    lines = np.array(settings.sky_lines)
    return (np.abs(wave[:, None] - lines) <= settings.sky_width).any(axis=1)


def chosen(ids: Sequence[int], count: int | None, seed: int) -> set[int]:
    """The objects that get a bootstrap: `count` of them at random, the same however the sample is split; None: all."""
    ids = np.sort(np.asarray(ids, np.uint64))
    if count is None or count >= len(ids):
        return set(ids.tolist())
    keys = np.array([np.random.default_rng([seed, int(i)]).random() for i in ids])
    return set(ids[np.argsort(keys)[:count]].tolist())


def from_file(path: Path, z: float | None = None, instrument: float | None = None) -> Spectrum:
    """An SDSS spectrum file at its native pixels and resolution, flux in units of its median; z: the file's own.

    `instrument` [km/s] overrides the line spread of the file's `wdisp`. Raises SanspecError where it is
    unreadable.
    """
    content = read_file(path)
    about, wave = content.about, 10.0**content.loglam
    good = (content.ivar > 0) & np.isfinite(content.flux) & ((content.and_mask & MASKED_BITS) == 0)
    known = content.wdisp > 0
    if not good.any() or not known.any():
        raise SanspecError(f"{path}: no good pixel, or no resolution (wdisp): cannot be fitted")
    pixel = wave * np.log(10.0) * grid.LOGLAM_STEP
    fwhm = FWHM_PER_SIGMA * np.interp(wave, wave[known], (content.wdisp * pixel)[known])
    if instrument is not None:
        fwhm = FWHM_PER_SIGMA * instrument / C_KMS * wave
    norm = float(np.median(content.flux[good]))
    noise = np.where(good, np.where(good, content.ivar, 1.0) ** -0.5, np.nan) / norm
    where = about.specobjid, "observed", about.z if z is None else z
    return Spectrum(*where, wave, np.where(good, content.flux, np.nan) / norm, noise, good, fwhm, norm)


def from_prepared(paths: Sequence[Path], prepare: Prepare) -> list[Spectrum]:
    """SDSS spectrum files smoothed and resampled as `sanspec prepare` does, flux in units of each one's median."""
    native = read_many(paths)
    about = [(one.specobjid, one.z) if one else (0, np.nan) for one in native.about]
    return smoothed(native, about, prepare)


def smoothed(
    native: NativeBlock,
    about: Sequence[tuple[int, float]],
    prepare: Prepare,
    a_r: Sequence[float] | None = None,
) -> list[Spectrum]:
    """Native spectra as `sanspec prepare` smooths and resamples them, flux in units of each one's median.

    about: specobjid and z; a_r: the Milky Way's extinction in r [mag] to take out, none where not given.
    """
    block, coarse, spectra = smooth_spectra(native, prepare), grid.coarse_wave(), []
    for row, (specobjid, z) in enumerate(about):
        passed = transmission(grid.WAVE, np.nan if a_r is None else a_r[row])
        good = block.ivar[row] > 0
        norm = float(np.median(block.flux[row][good])) if good.any() else np.nan
        noise = np.where(good, np.where(good, block.ivar[row], 1.0) ** -0.5, np.nan) / norm / passed
        fwhm = np.interp(grid.WAVE, coarse, block.lsf[row])
        light = block.flux[row] / norm / passed, noise, good, fwhm
        spectra.append(Spectrum(specobjid, "observed", z, grid.WAVE, *light, norm, 0, passed))
    return spectra


def _facts(path: Path, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """norm (gal), coarse wavelengths and LSF FWHM (gal, coarse) of some rows of spectra.h5."""
    with store.arrays(path) as file:
        norm, lsf = file["norm"][:][rows], file["lsf"][:][rows]
        return norm, file["coarse_wave"][:], lsf


def _predicted(
    path: Path, ids: UInt64[np.ndarray, " gal"]
) -> tuple[Float[np.ndarray, "gal pix"], Float[np.ndarray, " pix"], np.ndarray]:
    """Flux (gal, pix), LSF FWHM (pix) and warn bits (gal) of the predicted spectra of `ids`."""
    with store.arrays(path) as file:
        rows = samples.order(ids, file["specobjid"][:], path)
        return file["flux"][:][rows].astype(float), file["lsf"][:].astype(float), file["warn"][:][rows]


def _measured(path: Path, ids: np.ndarray, z: np.ndarray, settings: Stellar) -> np.ndarray:
    """Redshifts at which the predicted spectra are fitted, NaN where none was measured."""
    if settings.predicted_z == "true":
        return z
    table = store.read_table(path)
    rows = samples.order(ids, table["specobjid"].to_numpy(np.uint64), path)
    return table["z_predicted"].to_numpy(float)[rows]


def _a_r(path: Path, ids: np.ndarray, settings: Stellar) -> np.ndarray:
    """The Milky Way's extinction in r [mag] in front of every object, NaN where it is not to be taken out."""
    if settings.milky_way == "none":
        return np.full(len(ids), np.nan)
    table = store.read_table(path)
    if "extinction_r" not in table:
        raise SanspecError(f"{path} has no column extinction_r: query it, or set stellar.milky_way: none")
    rows = samples.order(ids, table["specobjid"].to_numpy(np.uint64), path)
    return table["extinction_r"].to_numpy(float)[rows]
