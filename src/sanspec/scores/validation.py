"""The draws of a split scored as predictive distributions: scores of every kind, calibration, baselines, Halpha."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, UInt64

from sanspec.products.members import PREDICTORS
from sanspec.scores import ensembles, metrics
from sanspec.scores.numbers import Number
from sanspec.spectra import grid

KINDS = {
    "coarse": "coarse draws",
    "fine": "unselected fine draws of generated coarse spectra",
    "fine_from_true": "fine draws from the true coarse spectrum and redshift",
}
CALIBRATED = ("coarse", "fine")
SCORES = {
    "mse_single": "MSE of the natural log flux of a single draw",
    "mse_mean": "MSE of the mean of the draws",
    "crps": "fair continuous ranked probability score",
    "coverage": "fraction of pixels inside the central 68 % interval of the draws",
    "spread_skill": "predicted over actual error of the mean of the draws; 1 is ideal",
    "hf_power": "mean square difference of neighbouring pixels, draws over true spectra",
}
FLOOR = np.float32(1e-3)  # minimum flux of a baseline in its log
SPLITS = {"test": ("test", ""), "valid": ("validation", "_valid")}  # name in text, suffix of its numbers


@dataclass(frozen=True)
class Split:
    """True and drawn spectra of a split's galaxies, natural log of the normalised flux.

    coarse, fine: true (gal, pix) with masks; draws by kind (gal, draw, pix); best: the coarse draw to which the chosen
    spectrum belongs; retrieval: `top1` and `top5` of each contrastive network.
    """

    name: str
    specobjid: UInt64[np.ndarray, " gal"]
    z: Float[np.ndarray, " gal"]
    coarse: Float[np.ndarray, "gal coarse"]
    coarse_mask: Bool[np.ndarray, "gal coarse"]
    fine: Float[np.ndarray, "gal pix"]
    mask: Bool[np.ndarray, "gal pix"]
    draws: dict[str, Float[np.ndarray, "gal draw pix"]]
    best: np.ndarray
    retrieval: dict[str, dict[str, float]]

    def scores(self, kind: str, scale: float = 1.0) -> dict[str, Float[np.ndarray, " gal"]]:
        """Scores of each galaxy for one kind of draws, with their spread multiplied by `scale`."""
        truth = (self.coarse, self.coarse_mask) if kind == "coarse" else (self.fine, self.mask)
        return ensembles.scores(ensembles.inflated(self.draws[kind], scale), *truth)

    def numbers(self) -> list[Number]:
        """Mean scores of every kind of draws, and how well the contrastive networks retrieve spectra."""
        split, end = SPLITS[self.name]
        text = f"{split} galaxies with scored draws, log flux, observed frame"
        found = [Number(f"n_validated{end}", len(self.z), text)]
        for kind, draws in self.draws.items():
            scores = ensembles.summary(self.scores(kind), draws.shape[1])
            for name, value in scores.items():
                text = f"{KINDS[kind]}, {split} split: {SCORES[name]}"
                found.append(Number(f"{name}_{kind}{end}", value, text))
        for which, tops in self.retrieval.items():
            for top, value in tops.items():
                text = (
                    f"fraction of {split} galaxies whose own {which} spectrum is among the first "
                    f"{top.removeprefix('top')} of all, ranked by their image"
                )
                found.append(Number(f"retrieval_{top}_{which}{end}", value, text))
        return found


def calibrated(test: Split, valid: Split) -> list[Number]:
    """Scores on the test split after the spread of the draws is scaled as the validation split requires."""
    found = []
    for kind in CALIBRATED:
        scale = ensembles.spread_scale(valid.scores(kind), valid.draws[kind].shape[1])
        scores = ensembles.summary(test.scores(kind, scale), test.draws[kind].shape[1])
        text = f"{KINDS[kind]}: factor that calibrates their spread on the validation split"
        found.append(Number(f"spread_scale_{kind}", scale, text))
        for name in ("crps", "coverage", "spread_skill"):
            text = f"{KINDS[kind]}, spread calibrated on the validation split: {SCORES[name]}"
            found.append(Number(f"{name}_{kind}_calibrated", scores[name], text))
    return found


def baselines(test: Split, fluxes: dict[str, Float[np.ndarray, "gal pix"]]) -> list[Number]:
    """Scores of the single spectrum of each baseline; the CRPS of one draw is its absolute error."""
    found = []
    for name, flux in fluxes.items():
        scores = ensembles.scores(np.log(np.maximum(flux, FLOOR))[:, None], test.fine, test.mask)
        for score, key, text in (
            ("crps", "crps", "absolute error, comparable to the CRPS of draws"),
            ("mse_log", "mse_mean", "MSE of the natural log flux, observed frame"),
        ):
            text = f"{PREDICTORS[name].description}: {text}"
            found.append(Number(f"{score}_{name}", float(np.nanmean(scores[key])), text))
    return found


def from_images(
    images: dict[str, Float[np.ndarray, " gal"]], observed: dict[str, Float[np.ndarray, " gal"]]
) -> list[Number]:
    """Correlation of properties predicted from the image without a spectrum with those of the observed spectrum."""
    return [
        Number(
            f"rho_{name}_cnn",
            metrics.correlation(images[key], observed[key])["pearson"],
            f"baseline: correlation of observed {symbol} with that predicted from the image without a spectrum",
        )
        for key, name, symbol in (
            ("dn4000", "dn4000", "Dn4000"),
            ("h_alpha_ew", "h_alpha", "equivalent width of Halpha"),
        )
    ]


def h_alpha_widths(
    test: Split, regression: Float[np.ndarray, "gal pix"], z: tuple[float, float]
) -> dict[str, Float[np.ndarray, " gal"]]:
    """Equivalent widths of Halpha [Angstrom, observed frame] found blindly on coarse spectra, by kind.

    regression: flux of that baseline; z: limits of the redshift.
    """
    wave, flux = grid.coarse_wave(), np.log(regression)
    drawn = ensembles.h_alpha_width(test.draws["coarse"], wave, z)
    coarse, _ = grid.coarse(flux, np.ones_like(flux, dtype=bool))
    return {
        "observed": ensembles.h_alpha_width(test.coarse, wave, z),
        "predicted": drawn[np.arange(len(drawn)), test.best],
        "predicted_mean": drawn.mean(axis=1),
        "regression": ensembles.h_alpha_width(coarse, wave, z),
    }


def h_alpha_numbers(widths: dict[str, Float[np.ndarray, " gal"]]) -> list[Number]:
    """Pearson correlation of asinh(width / 5 A) with that of the observed spectra."""
    observed, *others = (np.arcsinh(width / 5) for width in widths.values())
    text = "correlation of asinh(EW/5 A) of Halpha with that of the observed spectra, both found blindly"
    who = (
        "coarse draw of the chosen spectrum",
        "mean width of the coarse draws",
        "baseline: direct regression",
    )
    return [
        Number(f"rho_h_alpha_{name}", metrics.correlation(observed, width)["pearson"], f"{label}: {text}")
        for name, width, label in zip(list(widths)[1:], others, who, strict=True)
    ]


def galaxy_table(test: Split, widths: dict[str, Float[np.ndarray, " gal"]]) -> pd.DataFrame:
    """Scores `<score>_<kind>` and Halpha widths `h_alpha_<kind>`, one row per galaxy."""
    table = pd.DataFrame({"specobjid": test.specobjid})
    for kind in test.draws:
        scores = test.scores(kind)
        for name in ("crps", "mse_single", "mse_mean", "variance", "coverage"):
            table[f"{name}_{kind}"] = scores[name]
    return table.assign(**{f"h_alpha_{name}": width for name, width in widths.items()})
