"""Observed and predicted spectra of one split, read from the products of a run: the one reader, the one registry.

A predictor is registered in PREDICTORS and appears in every table and figure that lists predictors. This module
alone knows the layout of spectra.h5, predicted.h5 and baselines.h5 for reading.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sanspec import store
from sanspec.errors import SanspecError, Warn
from sanspec.products import samples
from sanspec.spectra import grid
from sanspec.spectra.spectra import Spectra

OBSERVED = "observed"


@dataclass(frozen=True)
class Predictor:
    """One way to predict the spectrum of a galaxy from its image.

    label: its name in tables and figures. product: the file that holds it, `predicted` or `baselines`; flux: its
    dataset there. z: the dataset of the redshift of its spectra; empty: the redshift is measured on them. indices:
    whether absorption indices and classes are measured on it.
    """

    name: str
    label: str
    product: str
    flux: str
    z: str = ""
    indices: bool = True

    @property
    def is_baseline(self) -> bool:
        """Whether it predicts without the diffusion networks."""
        return self.product == "baselines"

    @property
    def description(self) -> str:
        """Its label; of a baseline that it is one."""
        return f"baseline: {self.label}" if self.is_baseline else self.label


def _neighbour(kind: str, label: str) -> Predictor:
    """The spectrum and redshift of the training galaxy nearest in some space."""
    return Predictor(f"nearest_{kind}", label, "baselines", f"nearest_{kind}/flux", f"nearest_{kind}/z")


PREDICTORS = {
    predictor.name: predictor
    for predictor in (
        Predictor("predicted", "best draw", "predicted", "flux"),
        Predictor("predicted_mean", "mean of the draws", "predicted", "mean"),
        Predictor("predicted_medoid", "draw nearest to the mean", "predicted", "medoid", indices=False),
        _neighbour("image", "nearest training image"),
        _neighbour("colour", "nearest training galaxy in colours and magnitude"),
        _neighbour("contrastive", "nearest training image in the contrastive space"),
        Predictor("regression", "direct regression", "baselines", "regression/flux"),
    )
}


@dataclass(frozen=True)
class DrawnSpectra:
    """Posterior draws of the spectra of some galaxies: natural log of normalised flux, unselected draws alone.

    rows: positions of the galaxies among the members. coarse (gal, draw, coarse), fine (gal, draw, pix). best: the
    coarse draw from which the chosen spectrum was made. Every draw was made from the image alone.
    """

    rows: Int[np.ndarray, " gal"]
    coarse: Float[np.ndarray, "gal draw coarse"]
    fine: Float[np.ndarray, "gal draw pix"]
    best: Int[np.ndarray, " gal"]


@dataclass(frozen=True)
class Members:
    """The galaxies of one split, or `limit` of them evenly spread, in the order of spectra.h5.

    spectra: prepared/spectra.h5; predicted: generated/predicted.h5 (valid.h5 for the validation split); baselines:
    generated/baselines.h5; redshifts: tables/redshift.ecsv. A file that is not needed may be left out.
    """

    spectra: Path
    predicted: Path | None = None
    baselines: Path | None = None
    redshifts: Path | None = None
    split: str = "test"
    limit: int | None = None

    @cached_property
    def rows(self) -> Int[np.ndarray, " gal"]:
        """Positions in spectra.h5. Raises SanspecError when the split is empty."""
        with store.arrays(self.spectra) as file:
            return samples.split_rows(file, self.split, self.limit)

    @cached_property
    def observed(self) -> Spectra:
        """The observed spectra at their catalogue redshifts; flux is NaN where masked."""
        with store.arrays(self.spectra) as file:
            column = {name: file[name][:][self.rows] for name in ("specobjid", "z", "norm", "warn")}
            ivar = samples.take(file["ivar"], self.rows)
            flux = np.where(ivar > 0, samples.take(file["flux"], self.rows), np.nan)
            if "correlation" in file:
                correlation = samples.take(file["correlation"], self.rows)
            else:
                correlation = np.zeros((len(ivar), 0, ivar.shape[1]), np.float16)
            coarse, widths = file["coarse_wave"][:], samples.take(file["lsf"], self.rows)
        lsf = np.array([np.interp(grid.WAVE, coarse, row) for row in widths])
        return Spectra(OBSERVED, flux=flux, ivar=ivar, correlation=correlation, lsf=lsf, **column)

    def predictor(self, name: str) -> Spectra:
        """The spectra of a predictor, at the redshift that it implies, with the noise of the observed spectra.

        The redshift is that of the table of redshifts where this is given, else the predictor's own, or NaN. The
        line-spread function is the median of the training split. Raises SanspecError when a galaxy is missing.
        """
        how, observed = PREDICTORS[name], self.observed
        path = self._path(how.product)
        z = np.full(len(observed), np.nan)
        with store.arrays(path) as file:
            rows = samples.order(observed.specobjid, file["specobjid"][:], path)
            flux = file[how.flux][:][rows]
            warn = file["warn"][:][rows] if "warn" in file else np.zeros(len(rows), np.uint32)
            if how.z:
                z = file[how.z][:][rows]
        if self.redshifts is not None:
            z = self.table(self.redshifts)[f"z_{name}"].to_numpy(np.float64)
        with store.arrays(self.spectra) as file:
            lsf = np.broadcast_to(file["lsf_median"][:], flux.shape)
        spectra = Spectra(
            name, observed.specobjid, z, flux, observed.ivar, observed.correlation, lsf, observed.norm, warn
        )
        return spectra.with_noise_of(observed)

    def predictors(self, indices: bool = False) -> Iterator[Spectra]:
        """The spectra of every registered predictor; with `indices`, of those on which indices are measured."""
        for name, how in PREDICTORS.items():
            if how.indices or not indices:
                yield self.predictor(name)

    def mean_spectrum(self) -> tuple[Float[np.ndarray, " rest"], Float[np.ndarray, " rest"]]:
        """Rest-frame wavelengths [Angstrom, vacuum] and the mean normalised flux of the training split."""
        with store.arrays(self._path("baselines")) as file:
            return file["rest_wave"][:], file["mean_rest"][:]

    def from_images(self) -> dict[str, Float[np.ndarray, " gal"]]:
        """Properties that the regression network predicts from the image without a spectrum, by name."""
        path = self._path("baselines")
        with store.arrays(path) as file:
            rows = samples.order(self.observed.specobjid, file["specobjid"][:], path)
            return {name: values[:][rows] for name, values in file["cnn"].items()}

    def z_draws(self) -> Float[np.ndarray, "gal draw"]:
        """Redshifts drawn together with the spectra; NaN where none were."""
        path = self._path("predicted")
        with store.arrays(path) as file:
            return file["z_draws"][:][samples.order(self.observed.specobjid, file["specobjid"][:], path)]

    def draws(self) -> DrawnSpectra:
        """The unselected draws of the galaxies for which spectra were generated.

        Raises SanspecError when the file holds no draws, or galaxies of another split.
        """
        path = self._path("predicted")
        with store.arrays(path) as file:
            if "draws_fine" not in file:
                raise SanspecError(f"{path} holds no draws: set generate.keep_draws and generate again")
            made = np.flatnonzero(file["warn"][:] & np.uint32(Warn.NOT_GENERATED) == 0)
            with store.arrays(self.spectra) as spectra:
                members = spectra["specobjid"][:][self.rows]
            rows = samples.order(file["specobjid"][:][made], members, path)
            made, rows = made[np.argsort(rows)], np.sort(rows)
            free = ~file["selected"][:][made[0]]
            pool = np.flatnonzero(free if free.any() else ~free)  # all, where generate.spread is false
            best = np.take_along_axis(file["parent"][:][made], file["best"][:][made][:, None], 1)[:, 0]
            return DrawnSpectra(rows, file["draws_coarse"][:][made], file["draws_fine"][:, pool][made], best)

    def table(self, path: Path) -> pd.DataFrame:
        """The rows of a table for these galaxies, in their order."""
        with store.arrays(self.spectra) as file:
            return samples.aligned(path, file["specobjid"][:][self.rows])

    def _path(self, product: str) -> Path:
        """The file of a product. Raises SanspecError when it was not given."""
        path = getattr(self, product)
        if path is None:
            raise SanspecError(f"the file of {product} spectra is needed here: give --{product}")
        return path
