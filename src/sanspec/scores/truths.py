"""Physical truths that the products of a run must obey; a run is done when they hold.

Every truth is a function of the products and the settings giving a measured value, its limit and a statement.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Float

from sanspec.config import Config
from sanspec.errors import Warn
from sanspec.scores import evidence, metrics

TEST = 2  # the split's number
NORM_TOLERANCE = 1e-3  # of the mean flux in the normalisation window
OBSERVED_SCATTER = 1e-3  # sigma_MAD of blind redshifts of observed spectra
VDISP_CORRECTION = 0.05  # relative error of a corrected index (Doorenbos et al. 2024, section 4.2)


@dataclass(frozen=True)
class Products:
    """What the truths are about: tables as they stand on disk, and per-object facts of the spectra.

    `spectra` has one row per object of the sample: specobjid, split, warn, `window` (mean normalised
    flux in the normalisation window), `fibre_mag` (r magnitude of the spectrum). `predicted` has one
    row per test object: specobjid, warn, `least` (smallest flux), `finite` (fraction of finite pixels).
    `spread` is the scatter between galaxies of the predicted over that of the observed spectra.
    """

    summary: dict
    quality: pd.DataFrame
    redshifts: pd.DataFrame
    indices: pd.DataFrame
    objects: pd.DataFrame
    spectra: pd.DataFrame
    predicted: pd.DataFrame
    spread: float


@dataclass(frozen=True)
class Truth:
    """One statement about the products: it holds when `value relation threshold`."""

    name: str
    statement: str
    value: float
    relation: Literal["<=", ">="]
    threshold: float

    @property
    def holds(self) -> bool:
        """False also where the value is NaN."""
        return bool(self.value <= self.threshold if self.relation == "<=" else self.value >= self.threshold)

    def record(self) -> dict:
        """As it stands in check.json."""
        return asdict(self) | {"holds": self.holds}


def examine(products: Products, settings: Config) -> list[Truth]:
    """Every truth, measured."""
    return [truth(products, settings) for truth in TRUTHS]


# -------------------------------------------------------------------------------------------- identity


def ids_unique(products: Products, settings: Config) -> Truth:
    """No object stands twice in any table."""
    count = sum(int(table["specobjid"].duplicated().sum()) for table in tables(products).values())
    return Truth("ids_unique", "no specobjid stands twice in a table", count, "<=", 0)


def ids_agree(products: Products, settings: Config) -> Truth:
    """Objects and spectra are the same, row by row, and every table of the test split holds that split."""
    objects = products.objects["specobjid"].to_numpy()
    spectra = products.spectra["specobjid"].to_numpy()
    same = len(objects) == len(spectra) and bool((objects == spectra).all())
    wanted = set(products.spectra.loc[products.spectra["split"] == TEST, "specobjid"])
    tested = [table for name, table in tables(products).items() if name not in ("objects", "spectra")]
    count = int(not same) + sum(len(wanted ^ set(table["specobjid"])) for table in tested)
    return Truth(
        "ids_agree", "sample and test split hold the same specobjid in every product", count, "<=", 0
    )


def tables(products: Products) -> dict[str, pd.DataFrame]:
    """The products that have one row per object."""
    names = ("objects", "spectra", "predicted", "quality", "redshifts", "indices")
    return {name: getattr(products, name) for name in names}


def splits_disjoint(products: Products, settings: Config) -> Truth:
    """No object belongs to two splits."""
    splits = pd.concat([products.objects[["specobjid", "split"]], products.spectra[["specobjid", "split"]]])
    count = int((splits.groupby("specobjid")["split"].nunique() > 1).sum())
    return Truth("splits_disjoint", "no object belongs to two splits", count, "<=", 0)


def splits_apart(products: Products, settings: Config) -> Truth:
    """Objects of different splits are further apart on the sky than the setting."""
    least = evidence.separation(products.objects, settings.prepare.separation)
    statement = "objects of different splits lie at least this far apart [arcsec]"
    return Truth("splits_apart", statement, least, ">=", settings.prepare.separation)


# --------------------------------------------------------------------------------------------- spectra


def normalised(products: Products, settings: Config) -> Truth:
    """The mean flux in the normalisation window is 1."""
    rows = products.spectra[products.spectra["split"] >= 0]
    worst = (rows["window"] - 1).abs().max(skipna=False)
    statement = "mean flux of every observed spectrum in the normalisation window is 1 within this"
    return Truth("normalised", statement, float(worst), "<=", NORM_TOLERANCE)


def fibre_flux(products: Products, settings: Config) -> Truth:
    """Spectra carry the flux that the image has within the fibre."""
    both = products.spectra.merge(products.objects[["specobjid", "fibermag_r"]], on="specobjid")
    offset = metrics.finite((both["fibre_mag"] - both["fibermag_r"]).to_numpy())
    value = abs(float(np.median(offset))) if len(offset) else np.nan
    statement = (
        "r magnitude of spectrum and of image within the fibre differ in the median by less than this [mag]"
    )
    return Truth("fibre_flux", statement, value, "<=", settings.check.fibre_tolerance)


def all_predicted(products: Products, settings: Config) -> Truth:
    """Every test object has a whole predicted spectrum or a bit that says why not."""
    table = products.predicted
    bare = (table["finite"] < 1) & ~flagged(table["warn"], Warn.NOT_GENERATED)
    missing = int((products.objects["split"] == TEST).sum()) - len(table)
    statement = "test objects with neither a whole predicted spectrum nor the bit not_generated"
    return Truth("all_predicted", statement, int(bare.sum()) + max(missing, 0), "<=", 0)


def some_predicted(products: Products, settings: Config) -> Truth:
    """Objects without a prediction are the exception."""
    value = float((products.predicted["finite"] == 1).mean()) if len(products.predicted) else np.nan
    statement = "fraction of the test objects with a whole predicted spectrum"
    return Truth("some_predicted", statement, value, ">=", settings.check.predicted_fraction)


def predictions_positive(products: Products, settings: Config) -> Truth:
    """Light is positive."""
    count = int((products.predicted["least"] <= 0).sum())
    return Truth("predictions_positive", "predicted spectra with a flux <= 0", count, "<=", 0)


def predictions_differ(products: Products, settings: Config) -> Truth:
    """Galaxies differ, and so do their predicted spectra: the generator has not collapsed."""
    statement = (
        "scatter between galaxies of the predicted spectra over that of the observed, median over the pixels"
    )
    return Truth("predictions_differ", statement, products.spread, ">=", settings.check.spread)


def flagged(warn: pd.Series, bit: Warn) -> pd.Series:
    """True where `bit` is set."""
    return (warn.astype("uint32") & int(bit)) > 0


# ---------------------------------------------------------------------------------------------- scores


def beats_mean(products: Products, settings: Config) -> Truth:
    """The predicted spectrum is nearer to the observed one than the mean training spectrum is."""
    statement = "mse_predicted / mse_mean_spectrum"
    return Truth(
        "beats_mean", statement, ratio(products, "mse_mean_spectrum"), "<=", settings.check.mse_over_mean
    )


def beats_nearest(products: Products, settings: Config) -> Truth:
    """The predicted spectrum is nearer than that of the training galaxy with the most similar image."""
    statement = "mse_predicted / mse_nearest_image"
    value = ratio(products, "mse_nearest_image")
    return Truth("beats_nearest", statement, value, "<=", settings.check.mse_over_nearest)


def ratio(products: Products, below: str, above: str = "mse_predicted") -> float:
    """One number of the summary over another; NaN where one is missing or the divisor is 0."""
    one, two = products.summary.get(above), products.summary.get(below)
    return np.nan if one is None or not two else one / two


def summary_true(products: Products, settings: Config) -> Truth:
    """The summary repeats what the tables hold."""
    mean = products.quality["mse_predicted"].mean()
    value = abs((products.summary.get("mse_predicted") or np.nan) / mean - 1)
    statement = "mse_predicted of the summary differs from the mean of its table by this fraction"
    return Truth("summary_true", statement, float(value), "<=", 1e-6)


def observed_redshift(products: Products, settings: Config) -> Truth:
    """Redshifts measured blindly on the observed spectra are those of the catalogue."""
    table = products.redshifts
    value = metrics.sigma_mad(
        metrics.delta_z(table["z_observed"].to_numpy(float), table["z_spec"].to_numpy(float))
    )
    statement = "sigma_MAD of the redshifts measured blindly on the observed spectra"
    return Truth("observed_redshift", statement, value, "<=", OBSERVED_SCATTER)


def redshift_follows(products: Products, settings: Config) -> Truth:
    """A predicted spectrum of a farther galaxy is redder-shifted."""
    table = products.redshifts
    value = metrics.correlation(table["z_predicted"].to_numpy(float), table["z_spec"].to_numpy(float))[
        "spearman"
    ]
    statement = "rank correlation of the redshifts of predicted spectra with the true ones"
    return Truth("redshift_follows", statement, value, ">=", settings.check.z_rank)


def redshift_beats_median(products: Products, settings: Config) -> Truth:
    """Redshifts of predicted spectra scatter less than the sample does."""
    value = ratio(products, "sigma_mad_median_baseline", "sigma_mad")
    limit = settings.check.sigma_mad_over_median
    return Truth("redshift_beats_median", "sigma_mad / sigma_mad_median_baseline", value, "<=", limit)


# ----------------------------------------------------------------------------------------- populations


def blue_is_young_observed(products: Products, settings: Config) -> Truth:
    """Blue galaxies have the smaller 4000 Angstrom break (Kauffmann et al. 2003), in the observed spectra."""
    return blue_is_young(products, settings, "observed")


def blue_is_young_predicted(products: Products, settings: Config) -> Truth:
    """The same in the predicted spectra."""
    return blue_is_young(products, settings, "predicted")


def blue_is_young(products: Products, settings: Config, kind: str) -> Truth:
    """Median Dn4000 of the redder half in u-r less that of the bluer half."""
    both = products.indices.merge(products.objects[["specobjid", "modelmag_u", "modelmag_r"]], on="specobjid")
    colour = (both["modelmag_u"] - both["modelmag_r"]).to_numpy(float)
    value = contrast(colour, both[f"dn4000_{kind}"].to_numpy(float))
    statement = (
        f"median Dn4000 ({kind}) of the redder half of the galaxies in u-r less that of the bluer half"
    )
    return Truth(f"blue_is_young_{kind}", statement, value, ">=", settings.check.dn4000_contrast)


def contrast(colour: Float[np.ndarray, " gal"], index: Float[np.ndarray, " gal"]) -> float:
    """Median of `index` above the median colour less that at or below it; NaN where a half is empty."""
    use = np.isfinite(colour) & np.isfinite(index)
    red = colour[use] > np.median(colour[use]) if use.any() else np.zeros(0, bool)
    if not red.any():
        return np.nan
    return float(np.median(index[use][red]) - np.median(index[use][~red]))


def dispersion_removed(products: Products, settings: Config) -> Truth:
    """Indices come out right when velocity dispersion is taken from them."""
    value = number(products, "vdisp_correction_worst")
    statement = "greatest relative error of an index freed of velocity dispersion, on mixtures not fitted"
    return Truth("dispersion_removed", statement, value, "<=", VDISP_CORRECTION)


def intervals_honest(products: Products, settings: Config) -> Truth:
    """The draws' central 68 % interval holds about 68 % of the observed pixels, before any calibration."""
    value = abs(number(products, "coverage_fine") - 0.68)
    statement = "|coverage of the draws' 68 % interval - 0.68|, fine draws of generated coarse spectra"
    return Truth("intervals_honest", statement, value, "<=", settings.check.coverage)


def lines_agree(products: Products, settings: Config) -> Truth:
    """Two ways to measure Halpha, ours after the stars and pPXF's with them, give one flux."""
    value = abs(number(products, "h_alpha_over_ppxf") - 1)
    statement = "|median ratio - 1| of the Halpha fluxes measured by us and by pPXF on observed spectra"
    return Truth("lines_agree", statement, value, "<=", settings.check.line_ratio)


def number(products: Products, name: str) -> float:
    """A number of the summary; NaN where it is missing."""
    value = products.summary.get(name)
    return np.nan if value is None else value


TRUTHS = (
    ids_unique,
    ids_agree,
    splits_disjoint,
    splits_apart,
    normalised,
    fibre_flux,
    all_predicted,
    some_predicted,
    predictions_positive,
    predictions_differ,
    beats_mean,
    beats_nearest,
    summary_true,
    observed_redshift,
    redshift_follows,
    redshift_beats_median,
    blue_is_young_observed,
    blue_is_young_predicted,
    dispersion_removed,
    intervals_honest,
    lines_agree,
)


def broken(truths: Iterable[Truth]) -> str:
    """The truths that do not hold, in one line; empty where all do."""
    return "; ".join(
        f"{truth.name}: {truth.statement}: {truth.value:.4g}, must be {truth.relation} {truth.threshold:g}"
        for truth in truths
        if not truth.holds
    )
