"""The fitted spectra on the product grid, in one layout for both codes: emission lines and Hbeta are measured on them.

HDF5: `specobjid (gal)`, `kind (gal)` as its position in `results.KINDS`, `z (gal)`, `wave (pix)`; `stars (gal, pix)`
and `gas (gal, pix)`, normalised flux of the best fit in the observed frame as in spectra.h5, NaN where nothing was
fitted; `mask (gal, pix)`, true for pixels in the fit. Rows are in the order of (specobjid, kind).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Bool, Float
from scipy.interpolate import CubicSpline

from sanspec import store
from sanspec.errors import SanspecError
from sanspec.spectra import grid
from sanspec.stellar.results import KINDS
from sanspec.stellar.spectra import Spectrum

DATASETS = {
    "stars": ("f4", "normalised flux of the stars, NaN outside the fit"),
    "gas": ("f4", "normalised flux of the emission lines, NaN outside the fit"),
    "mask": ("?", "true where the pixel was used in the fit"),
}


@dataclass(frozen=True)
class FittedSpectrum:
    """One fitted spectrum on grid.WAVE (observed frame, vacuum)."""

    specobjid: int
    kind: str
    z: float
    stars: Float[np.ndarray, " pix"]
    gas: Float[np.ndarray, " pix"]
    mask: Bool[np.ndarray, " pix"]


def blank(specobjid: int, kind: str, z: float) -> FittedSpectrum:
    """The model of a spectrum that could not be fitted."""
    nothing = np.full(grid.WAVE.size, np.nan)
    return FittedSpectrum(specobjid, kind, z, nothing, nothing, np.zeros(grid.WAVE.size, bool))


def on_product_grid(
    wave: Float[np.ndarray, " fit"], flux: Float[np.ndarray, " fit"], spectrum: Spectrum | None = None
) -> Float[np.ndarray, " pix"]:
    """A smooth model given at `wave` (vacuum, observed frame) on grid.WAVE by a cubic spline; NaN outside.

    With `spectrum`, the model is put behind the Milky Way's dust for which the spectrum was corrected.
    """
    inside = (wave[0] <= grid.WAVE) & (wave[-1] >= grid.WAVE)
    passed = 1.0
    if spectrum is not None and spectrum.foreground is not None:
        passed = np.interp(grid.WAVE, spectrum.wave, spectrum.foreground)
    return np.where(inside, CubicSpline(wave, flux)(grid.WAVE) * passed, np.nan)


def write(path: Path, models: Sequence[FittedSpectrum], meta: Mapping) -> None:
    """Models in ascending order of (specobjid, kind)."""
    models = sorted(models, key=lambda model: (model.specobjid, model.kind))
    with store.create(path, meta) as file:
        _put_keys(
            file,
            np.array([model.specobjid for model in models], np.uint64),
            np.array([KINDS.index(model.kind) for model in models], np.int8),
            np.array([model.z for model in models], float),
        )
        for name, (dtype, text) in DATASETS.items():
            rows = [getattr(model, name) for model in models]
            data = np.array(rows, dtype).reshape(len(models), grid.WAVE.size)
            store.put(file, name, data, "gal pix", description=text)


def _put_keys(file: h5py.File, specobjid: np.ndarray, kind: np.ndarray, z: np.ndarray) -> None:
    """The datasets that identify the rows, and the wavelengths."""
    store.put(file, "specobjid", specobjid, "gal")
    store.put(file, "kind", kind, "gal", description=" ".join(f"{k}: {name}" for k, name in enumerate(KINDS)))
    store.put(file, "z", z, "gal", description="redshift of the fit")
    store.put(file, "wave", grid.WAVE, "pix", "Angstrom", "vacuum, observed frame")


def merge(paths: Sequence[Path], out: Path, meta: Mapping) -> None:
    """Shards of models as one file, row by row. Raises SanspecError where two hold the same spectrum."""
    keys = []
    for number, path in enumerate(paths):
        with store.arrays(path) as file:
            own, count = [file[name][:] for name in ("specobjid", "kind", "z")], len(file["specobjid"])
            keys.append((*own, np.full(count, number), np.arange(count)))
    specobjid, kind, z, shard, row = (np.concatenate(column) for column in zip(*keys))
    order = np.lexsort((kind, specobjid))
    same = (np.diff(specobjid[order]) == 0) & (np.diff(kind[order]) == 0)
    if same.any():
        raise SanspecError(f"{out}: two shards hold the same spectrum; delete the shards and rerun")
    with store.create(out, meta) as file:
        _put_keys(file, specobjid[order], kind[order], z[order])
        shape = len(order), grid.WAVE.size
        for name, (dtype, text) in DATASETS.items():
            store.put(file, name, None, "gal pix", description=text, shape=shape, dtype=dtype, rows=64)
        for number, path in enumerate(paths):
            places = np.flatnonzero(shard[order] == number)
            with store.arrays(path) as part:
                for name in DATASETS:
                    data = part[name][:]
                    for place in places:
                        file[name][place] = data[row[order][place]]


def read(path: Path, ids: Sequence[int], kind: str) -> dict[str, np.ndarray]:
    """`stars`, `gas`, `mask` (gal, pix) and `z` of the spectra of `ids`. Raises SanspecError when one is missing."""
    with store.arrays(path) as file:
        places = np.flatnonzero(file["kind"][:] == KINDS.index(kind))
        rows = dict(zip(file["specobjid"][:][places].tolist(), places))
        if missing := [int(i) for i in ids if int(i) not in rows]:
            raise SanspecError(f"{path} has no {kind} spectrum of specobjid {missing[0]}: make it anew")
        chosen = [rows[int(i)] for i in ids]
        return {name: np.array([file[name][row] for row in chosen]) for name in (*DATASETS, "z")}
