"""Active galaxies by photometry alone: the comparator of Doorenbos et al. 2024 (Cavuoti et al. 2014)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sanspec.config import Agn
from sanspec.errors import SanspecError
from sanspec.physics.constants import NORMAL_MAD

BANDS = "ugriz"
FEATURES = ("u_g", "g_r", "r_i", "i_z", "r", "fibre_r", "z_phot")
SANE = (0.0, 40.0)  # magnitudes outside are no measurement: SDSS writes -9999
NEIGHBOURS = 25  # of a photometric redshift
FOLDS = 5  # of cross-validation
SVM = {
    "svm__C": (1.0, 10.0, 100.0),
    "svm__gamma": (0.02, 0.1, 0.5),
}  # penalties, inverse square kernel widths


@dataclass(frozen=True)
class Photometry:
    """FEATURES but the last, dereddened except the fibre's magnitude; NaN where not measured."""

    values: Float[np.ndarray, "gal feature"]

    @property
    def complete(self) -> Bool[np.ndarray, " gal"]:
        """Which galaxies have every feature."""
        return np.isfinite(self.values).all(axis=1)


def photometry(objects: pd.DataFrame) -> Photometry:
    """Features from the catalogue's magnitudes. Raises SanspecError where a column is missing."""
    needed = [f"{kind}_{band}" for kind in ("modelmag", "extinction") for band in BANDS] + ["fibermag_r"]
    if missing := [name for name in needed if name not in objects]:
        raise SanspecError(
            f"agn: the catalogue has no column {missing[0]}; the query of `sanspec query` has it"
        )
    table = objects[needed].astype(float)
    model = np.array([table[f"modelmag_{b}"].where(table[f"modelmag_{b}"].between(*SANE)) for b in BANDS])
    dust = np.array([table[f"extinction_{band}"] for band in BANDS])
    intrinsic = model - dust
    fibre = table["fibermag_r"].where(table["fibermag_r"].between(*SANE)).to_numpy()
    return Photometry(np.array([*(intrinsic[:-1] - intrinsic[1:]), intrinsic[2], fibre]).T)


def with_redshifts(
    known: Photometry, z: Float[np.ndarray, " known"], asked: Photometry, settings: Agn
) -> tuple[Float[np.ndarray, "known feature"], Float[np.ndarray, "asked feature"], float]:
    """All FEATURES of training and test galaxies, and the scatter of their last, photometric redshift.

    Mean redshift of the nearest neighbours in dereddened colours and magnitude (Ball et al. 2007); those of
    the training galaxies by cross-validation, so that none has seen itself.
    """
    count = min(NEIGHBOURS, max(len(z) // 2, 1))
    regression = make_pipeline(StandardScaler(), KNeighborsRegressor(count))
    folds = KFold(FOLDS, shuffle=True, random_state=settings.seed)
    own = cross_val_predict(regression, known.values[:, :5], z, cv=folds)
    other = regression.fit(known.values[:, :5], z).predict(asked.values[:, :5])
    scatter = NORMAL_MAD * float(np.median(np.abs((own - z) / (1 + z))))
    return np.column_stack([known.values, own]), np.column_stack([asked.values, other]), scatter


def support_vectors(
    features: Float[np.ndarray, "gal feature"], active: Bool[np.ndarray, " gal"], settings: Agn
) -> GridSearchCV:
    """A support vector machine with Gaussian kernel; its two parameters by cross-validated accuracy."""
    pipeline = Pipeline([("scale", StandardScaler()), ("svm", SVC(kernel="rbf"))])
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=settings.seed)
    return GridSearchCV(
        pipeline, {name: list(values) for name, values in SVM.items()}, scoring="accuracy", cv=folds
    ).fit(features, active)
