"""Checks of the simulated population against the survey and the relations from which it was drawn."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from sanspec.classes.diagnostics import KAUFFMANN
from sanspec.mock import gas
from sanspec.mock.catalogue import EXTINCTION
from sanspec.mock.population import FLUX_LIMIT
from sanspec.mock.truth import FLUXES
from sanspec.physics.relations import GALLAZZI

MIN_GALAXIES, MIN_QUANTILES = 50, 300  # galaxies that a check needs, and a check of quantiles
# Equivalent width of Halpha [Angstrom] below which a galaxy is passive (Doorenbos et al. 2024, 5.7).
EMISSION = 1.0
LEVELS = np.array([5, 16, 25, 50, 75, 84, 95])
# Quantiles at LEVELS of 2,018 galaxies of the survey at 0.10 < z < 0.12 (SkyServer, magnitudes as observed).
SURVEY_Z = (0.10, 0.12)
SURVEY = {
    "r": np.array([16.15, 16.62, 16.84, 17.23, 17.54, 17.63, 17.83]),
    "u-r": np.array([1.54, 1.88, 2.09, 2.66, 2.95, 3.03, 3.18]),
    "g-r": np.array([0.48, 0.65, 0.73, 0.92, 1.01, 1.04, 1.09]),
}
_ALIKE, _OURS = (
    "2,018 galaxies of SkyServer at 0.10 < z < 0.12",
    "Doorenbos et al. 2024, table 2, within 0.10",
)
_PASSIVE, _FORMING, _ACTIVE = 464 / 1506, 539 / 1506, 503 / 1506  # Doorenbos et al. 2024, table 2
LIMITS = {  # check: lowest and highest value that holds, source
    "u_r_bic_gain": (10.0, np.inf, "Strateva et al. 2001: u-r of galaxies is bimodal"),
    "dn4000_bic_gain": (10.0, np.inf, "Kauffmann et al. 2003: D4000 of galaxies is bimodal"),
    "mass_metallicity_rms_dex": (0.0, 0.15, "Gallazzi et al. 2005, table 2"),
    "faber_jackson_slope": (-0.14, -0.07, "L ~ sigma^4: -0.1 (Faber & Jackson 1976)"),
    "star_formers_below_kauffmann": (0.97, 1.0, "Kauffmann et al. 2003, eq. 1"),
    "nuclei_above_kauffmann": (0.75, 1.0, "same"),
    "passive_fraction": (_PASSIVE - 0.1, _PASSIVE + 0.1, _OURS),
    "star-forming_fraction": (_FORMING - 0.1, _FORMING + 0.1, _OURS),
    "active_fraction": (_ACTIVE - 0.1, _ACTIVE + 0.1, _OURS),
    "r_quantile_shift": (0.0, 0.30, _ALIKE),
    "u_r_quantile_shift": (0.0, 0.30, _ALIKE),
    "g_r_quantile_shift": (0.0, 0.30, _ALIKE),
    "faintest_petro_r": (0.0, FLUX_LIMIT, "Strauss et al. 2002"),
    "median_r": (16.8, 17.5, "Main Galaxy Sample: about 17.2"),
    "snr_at_flux_15": (18.0, 27.0, "public spectra: 20-25 at 15e-17 erg/s/cm2/A in r"),
}


@dataclass(frozen=True)
class Mixture:
    """Two Gaussians fitted to values, in order of their means; gain: BIC of one Gaussian minus BIC of two."""

    means: Float[np.ndarray, " two"]
    widths: Float[np.ndarray, " two"]
    shares: Float[np.ndarray, " two"]
    gain: float


def two_gaussians(values: Float[np.ndarray, " gal"], turns: int = 300) -> Mixture:
    """Mixture of two Gaussians by expectation maximisation from several starts; a gain > 0 favours two."""
    starts = ([0.1, 0.9], [0.25, 0.75], [0.4, 0.9], [0.1, 0.6])
    found = [_maximised(values, np.quantile(values, start), turns) for start in starts]
    return max(found, key=lambda mixture: mixture.gain)


def _maximised(values: Float[np.ndarray, " gal"], means: Float[np.ndarray, " two"], turns: int) -> Mixture:
    """The mixture that expectation maximisation reaches from narrow Gaussians at `means`."""
    shares, widths = np.array([0.5, 0.5]), np.full(2, values.std() / 4)
    for _ in range(turns):
        density = _densities(values, means, widths, shares)
        belief = density / density.sum(axis=1, keepdims=True)
        weight = belief.sum(axis=0)
        means, shares = belief.T @ values / weight, weight / values.size
        spread = (belief * (values[:, None] - means) ** 2).sum(axis=0) / weight
        widths = np.maximum(np.sqrt(spread), 1e-3)
    both = np.log(_densities(values, means, widths, shares).sum(axis=1)).sum()
    one = np.log(_densities(values, values.mean()[None], values.std()[None], np.ones(1))).sum()
    gain = 2 * (both - one) - (5 - 2) * np.log(values.size)
    return Mixture(means, widths, shares, float(gain))


def _densities(values, means, widths, shares) -> Float[np.ndarray, "gal component"]:
    """Weighted density of each value under each Gaussian."""
    offset = (values[:, None] - means) / widths
    return shares * np.exp(-0.5 * offset**2) / (np.sqrt(2 * np.pi) * widths) + 1e-300


# ----------------------------------------------------------------------------------------------------- checks


def population(truth: pd.DataFrame) -> pd.DataFrame:
    """The table of checks: name, n, measured, low, high, verdict (holds, fails, too few), source."""
    measured = _measured(truth)
    rows = [(check, *measured[check], *limits) for check, limits in LIMITS.items()]
    table = pd.DataFrame(rows, columns=["check", "n", "measured", "low", "high", "source"])
    inside = table["measured"].between(table["low"], table["high"])
    few = (table["n"] < MIN_GALAXIES) | table["measured"].isna()
    table.insert(5, "verdict", np.select([few, inside], ["too few", "holds"], "fails"))
    return table


def _measured(truth: pd.DataFrame) -> dict[str, tuple[int, float]]:
    """Number of galaxies and measured value for each check of LIMITS; NaN where there are too few galaxies."""
    colour, n = truth["model_u"] - truth["model_r"], len(truth)
    gains = {"u_r_bic_gain": colour, "dn4000_bic_gain": truth["dn4000"]}
    found = {
        name: (n, two_gaussians(values.to_numpy()).gain if n >= MIN_GALAXIES else np.nan)
        for name, values in gains.items()
    }
    bins = mass_metallicity(truth)
    found["mass_metallicity_rms_dex"] = n, np.sqrt(((bins["metal"] - bins["gallazzi"]) ** 2).mean())
    early = truth[truth["quenched"] & truth["kind"].isin(["E", "S0"])]
    slope = np.nan
    if len(early) >= MIN_GALAXIES:
        slope = np.polyfit(early["absolute_r"], np.log10(early["fibre_vdisp"]), 1)[0]
    found["faber_jackson_slope"] = len(early), slope
    emitting, above = classes(truth)
    hosts = truth["nucleus"] != "none"
    pure = emitting & ~hosts & ~truth["quenched"]
    found["star_formers_below_kauffmann"] = pure.sum(), (~above[pure]).mean()
    found["nuclei_above_kauffmann"] = (emitting & hosts).sum(), above[emitting & hosts].mean()
    found["passive_fraction"] = n, (~emitting).mean()
    found["star-forming_fraction"] = n, (emitting & ~above).mean()
    found["active_fraction"] = n, (emitting & above).mean()
    for name, values in observed(truth).items():
        shift = np.nan
        if values.size >= MIN_QUANTILES:
            shift = np.abs(np.percentile(values, LEVELS) - SURVEY[name])[1:6].max()
        found[f"{name.replace('-', '_')}_quantile_shift"] = values.size, shift
    found["faintest_petro_r"] = n, (truth["petro_r"] - EXTINCTION[2] * truth["mw_ebv"]).max()
    found["median_r"] = n, truth["petro_r"].median()
    bright = truth["fibre_flux"].between(12, 18)
    found["snr_at_flux_15"] = bright.sum(), truth["snr"][bright].median()
    return found


def mass_metallicity(truth: pd.DataFrame) -> pd.DataFrame:
    """Median [M/H] in bins of mass with at least 20 galaxies, and that of Gallazzi et al. 2005."""
    edges = np.arange(9.2, 11.81, 0.2)
    groups = truth.groupby(pd.cut(truth["log_mass"], edges), observed=True)
    table = groups.agg(log_mass=("log_mass", "median"), metal=("metal", "median"), n=("metal", "size"))
    table = table[table["n"] >= 20].reset_index(drop=True)
    return table.assign(gallazzi=np.interp(table["log_mass"], *GALLAZZI[:2]))


def classes(truth: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Whether Halpha emission exceeds 1 A, and whether the line ratios lie above the curve of Kauffmann et al. 2003."""
    n2, o3 = gas.diagram(truth[list(FLUXES.values())].to_numpy())
    above = pd.Series(KAUFFMANN.beyond(n2, o3), truth.index)
    return truth["halpha_width"] >= EMISSION, above


def observed(truth: pd.DataFrame) -> dict[str, np.ndarray]:
    """r and colours, not corrected for the Milky Way's dust, in the redshift range of SURVEY."""
    near = truth[truth["z"].between(*SURVEY_Z)]
    u, g, r = (near[f"model_{band}"] + EXTINCTION[i] * near["mw_ebv"] for i, band in enumerate("ugr"))
    return {"r": r.to_numpy(), "u-r": (u - r).to_numpy(), "g-r": (g - r).to_numpy()}


def numbers(truth: pd.DataFrame, found: pd.DataFrame) -> dict:
    """The checks by name, and percentiles at LEVELS with those of the survey, for JSON."""
    bimodal = {"u_r": truth["model_u"] - truth["model_r"], "dn4000": truth["dn4000"]}
    mixtures = {name: two_gaussians(values.to_numpy()) for name, values in bimodal.items()}
    near = {
        name: {"simulated": np.percentile(values, LEVELS) if values.size else None, "survey": SURVEY[name]}
        for name, values in observed(truth).items()
    }
    columns = {"r": truth["petro_r"], "z": truth["z"], "snr": truth["snr"], "log_mass": truth["log_mass"]}
    return {
        "n": len(truth),
        "checks": found.set_index("check").to_dict(orient="index"),
        "levels": LEVELS,
        "quantiles": {name: np.percentile(values, LEVELS) for name, values in columns.items()},
        "at_survey_z": near,
        "mixtures": {
            name: {"means": m.means, "widths": m.widths, "shares": m.shares} for name, m in mixtures.items()
        },
        "defects": truth["defect"][truth["defect"] != ""].value_counts().to_dict(),
        "kinds": truth["kind"].value_counts().to_dict(),
    }
