"""Spectra on the product grid, with their noise and resolution: the one container that measurements take."""

from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, UInt32, UInt64

from sanspec.spectra import grid

PerGalaxy = Float[np.ndarray, " gal"]

_AXES = {"flux": "gal pix", "ivar": "gal pix", "correlation": "gal lag pix", "lsf": "gal pix"}


@dataclass(frozen=True)
class Spectra:
    """Spectra of one kind on grid.WAVE (vacuum, observed frame).

    kind: `observed`, or the name of a predictor. specobjid (gal). z (gal): redshift, NaN where unknown. flux (gal,
    pix): flux density in units of `norm`, NaN where unknown. ivar (gal, pix): inverse variance of flux, 0 where
    masked. correlation (gal, lag, pix): noise correlation of pixels p and p + 1 + lag; without lags the pixels are
    independent. lsf (gal, pix): FWHM of the line-spread function [Angstrom, observed frame]. norm (gal): unit of
    flux [1e-17 erg/s/cm2/Angstrom], NaN where unknown. warn (gal): bits of `Warn`.

    Raises ValueError when the shapes disagree.
    """

    kind: str
    specobjid: UInt64[np.ndarray, " gal"]
    z: PerGalaxy
    flux: Float[np.ndarray, "gal pix"]
    ivar: Float[np.ndarray, "gal pix"]
    correlation: Float[np.ndarray, "gal lag pix"]
    lsf: Float[np.ndarray, "gal pix"]
    norm: PerGalaxy
    warn: UInt32[np.ndarray, " gal"]

    def __post_init__(self) -> None:
        sizes = {"gal": len(self.specobjid), "pix": grid.WAVE.size}
        for field in fields(self)[1:]:
            axes, shape = _AXES.get(field.name, "gal").split(), getattr(self, field.name).shape
            expected = tuple(sizes.get(axis, size) for axis, size in zip(axes, shape))
            if len(shape) != len(axes) or shape != expected:
                raise ValueError(f"{self.kind}: {field.name} has shape {shape}, expected {axes} = {sizes}")

    def __len__(self) -> int:
        return len(self.specobjid)

    def __getitem__(self, rows: np.ndarray | slice) -> "Spectra":
        """The spectra at some rows: a slice, a mask or positions."""
        return replace(self, **{field.name: getattr(self, field.name)[rows] for field in fields(self)[1:]})

    @property
    def good(self) -> Bool[np.ndarray, "gal pix"]:
        """Pixels with a finite flux and a known variance."""
        return np.isfinite(self.flux) & (self.ivar > 0)

    def with_noise_of(self, observed: "Spectra") -> "Spectra":
        """The same spectra with the noise of observed ones: predicted spectra have none of their own.

        Every pixel gets the median inverse variance of the observed spectrum and its noise correlation, so that an
        error says how well a feature would be measured in such an observation.
        """
        good = np.where(observed.ivar > 0, observed.ivar, np.nan).astype(np.float64)
        level = np.array([np.nanmedian(row) if np.isfinite(row).any() else 0.0 for row in good])
        ivar = np.where(np.isfinite(self.flux), level[:, None], 0.0)
        return replace(self, ivar=ivar, correlation=observed.correlation)

    def noise_inflation(self) -> PerGalaxy:
        """Factor by which noise correlation multiplies the variance of a smooth sum over pixels.

        Median of 1 + 2 sum(correlation) over the pixels with a known variance; 1 for a spectrum without any.
        """
        total = 1 + 2 * np.sum(np.nan_to_num(self.correlation.astype(np.float64)), axis=1)
        return np.array([np.median(row[use]) if use.any() else 1.0 for row, use in zip(total, self.ivar > 0)])

    def in_rest_frame(self, rest_wave: Float[np.ndarray, " rest"]) -> Float[np.ndarray, "gal rest"]:
        """Flux at rest-frame wavelengths, as `grid.rest_frame` rebins it."""
        return grid.rest_frame(self.flux, self.z, rest_wave)

    def at_redshift(self, z: PerGalaxy) -> Float[np.ndarray, "gal pix"]:
        """Flux moved to other redshifts, on grid.WAVE; NaN out of range and where the own redshift is unknown."""
        return shifted(self.flux, grid.WAVE, self.z, z)


def shifted(
    flux: Float[np.ndarray, "gal old"], wave: Float[np.ndarray, " old"], z: PerGalaxy, z_new: PerGalaxy
) -> Float[np.ndarray, "gal pix"]:
    """Spectra on `wave` at redshift `z`, moved to `z_new` and rebinned onto grid.WAVE.

    Normalised flux keeps its value. NaN where a spectrum does not reach and where `z` is unknown (Doorenbos et al.
    2024, section 4.1, move the predicted spectrum to the observed redshift, so that the observed pixels stay as they
    are).
    """
    known = np.isfinite(z)
    shift = (1 + np.where(known, z, 0.0)) / (1 + z_new) - 1
    return np.where(known[:, None], grid.rest_frame(flux, shift, grid.WAVE, wave), np.nan)


def near_lines(
    lines: tuple[float, ...], width: float, wave: Float[np.ndarray, " pix"] = grid.WAVE
) -> Bool[np.ndarray, " pix"]:
    """Pixels within `width` of a line, all in Angstrom and in one frame: night-sky lines, for example."""
    return (np.abs(wave[:, None] - np.array(lines, np.float64)) <= width).any(axis=1)


def masked_mean(
    values: Float[np.ndarray, "*gal pix"], mask: Bool[np.ndarray, "*gal pix"]
) -> Float[np.ndarray, "*gal"]:
    """Mean over the finite values of the last axis where `mask` is true; NaN where there is none."""
    use = mask & np.isfinite(values)
    count = use.sum(axis=-1)
    total = np.where(use, values, 0.0).sum(axis=-1, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
