"""Active galaxies from photometry alone, to compare with Doorenbos et al. 2024 (Cavuoti et al. 2014)."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from sanspec.errors import SanspecError
from sanspec.physics.constants import NORMAL_MAD

BANDS = "ugriz"
FEATURES = ("u_g", "g_r", "r_i", "i_z", "r", "fibre_r", "z_phot")
SANE = (0.0, 40.0)  # valid magnitudes: SDSS writes -9999 for missing ones
NEIGHBOURS = 25  # of a photometric redshift
FOLDS = 5  # of cross-validation
SVM = {
    "svm__C": [1.0, 10.0, 100.0],
    "svm__gamma": [0.02, 0.1, 0.5],
}  # penalties, inverse square kernel widths


def photometry(objects: pd.DataFrame) -> Float[np.ndarray, "gal feature"]:
    """FEATURES but the last from the catalogue's magnitudes, NaN where not measured.

    Corrected for extinction, except the fibre magnitude. Raises SanspecError where a column is missing.
    """
    needed = [f"{kind}_{band}" for kind in ("modelmag", "extinction") for band in BANDS] + ["fibermag_r"]
    if missing := [name for name in needed if name not in objects]:
        raise SanspecError(
            f"agn: the catalogue has no column {missing[0]}; the query of `sanspec query` has it"
        )
    table = objects[needed].astype(float)
    measured = table.where((table >= SANE[0]) & (table <= SANE[1]))
    magnitudes = np.array([measured[f"modelmag_{band}"] - table[f"extinction_{band}"] for band in BANDS])
    return np.array([*(magnitudes[:-1] - magnitudes[1:]), magnitudes[2], measured["fibermag_r"]]).T


def predict_active(
    known: Float[np.ndarray, "known feature"],
    z: Float[np.ndarray, " known"],
    active: Bool[np.ndarray, " known"],
    asked: Float[np.ndarray, "gal feature"],
    seed: int,
) -> tuple[Float[np.ndarray, " gal"], dict]:
    """Whether galaxies are active (1, 0, NaN without complete photometry), learnt from known ones; about the method.

    A support vector machine with Gaussian kernel on FEATURES, its two parameters by cross-validated accuracy. The last
    feature is the mean redshift of the nearest neighbours in dereddened colours and magnitude (Ball et al. 2007); for
    training galaxies by cross-validation, so that none is its own neighbour.
    """
    use = np.isfinite(asked).all(axis=1)
    regression = make_pipeline(StandardScaler(), KNeighborsRegressor(min(NEIGHBOURS, max(len(z) // 2, 1))))
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    z_known = cross_val_predict(regression, known[:, :5], z, cv=folds)
    z_asked = regression.fit(known[:, :5], z).predict(asked[use, :5])
    pipeline = Pipeline([("scale", StandardScaler()), ("svm", SVC(kernel="rbf"))])
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    search = GridSearchCV(pipeline, SVM, scoring="accuracy", cv=folds)
    search.fit(np.column_stack([known, z_known]), active)
    result = np.full(len(asked), np.nan)
    result[use] = search.predict(np.column_stack([asked[use], z_asked]))
    return result, {
        "features": list(FEATURES),
        "chosen": {name.removeprefix("svm__"): value for name, value in search.best_params_.items()},
        "cross_validated_accuracy": float(search.best_score_),
        "photometric_redshift_scatter": NORMAL_MAD * float(np.median(np.abs((z_known - z) / (1 + z)))),
    }
