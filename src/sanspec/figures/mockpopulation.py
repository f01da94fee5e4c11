"""The population of the simulated sky beside the survey and published relations."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sanspec.classes.diagnostics import KAUFFMANN, KEWLEY
from sanspec.config import Config
from sanspec.figures import style
from sanspec.figures.panels import two_gaussians
from sanspec.mock import checks, gas
from sanspec.physics.relations import GALLAZZI
from sanspec.store import read_json, read_table

INPUTS = ("truth", "population")
BLUE, RED, GREEN = "#0072B2", "#D55E00", "#009E73"
SIMULATED, SURVEY = "#56B4E9", "black"
DOTS = {"s": 1.2, "lw": 0, "alpha": 0.35, "rasterized": True}


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """Nine panels: colour, break, metallicity; dispersion, lines, Halpha; magnitude, S/N, redshift."""
    truth, found = read_table(inputs["truth"]), read_json(inputs["population"])
    figure = style.canvas(style.PAGE, 6.3)
    panels = figure.subplots(3, 3)
    colour_panel(panels[0, 0], truth, found)
    mixture(panels[0, 1], truth["dn4000"], found["mixtures"]["dn4000"], np.arange(0.95, 2.11, 0.03))
    panels[0, 1].set_xlabel(r"$D_n4000$")
    metallicity_panel(panels[0, 2], truth)
    dispersion_panel(panels[1, 0], truth)
    diagram_panel(panels[1, 1], truth)
    halpha_panel(panels[1, 2], truth)
    magnitude_panel(panels[2, 0], truth)
    noise_panel(panels[2, 1], truth)
    redshift_panel(panels[2, 2], truth)
    keep = ("checks", "quantiles", "at_survey_z", "mixtures", "kinds", "defects")
    return figure, {"n": len(truth), **{key: found[key] for key in keep}}


def mixture(axes: Axes, values: pd.Series, found: Mapping, bins: np.ndarray) -> None:
    """A histogram with the two Gaussians fitted to it."""
    axes.hist(values, bins, color=SIMULATED, alpha=0.6)
    two_gaussians(axes, found, bins, len(values), (BLUE, RED))
    axes.set(xlim=(bins[0], bins[-1]), ylabel="galaxies")


def colour_panel(axes: Axes, truth: pd.DataFrame, found: Mapping) -> None:
    """u-r and its two sequences."""
    mixture(axes, truth["model_u"] - truth["model_r"], found["mixtures"]["u_r"], np.arange(0.8, 3.61, 0.07))
    axes.axvline(2.22, color="0.4", lw=0.7, ls=":")
    axes.annotate(
        "Strateva+ 2001", (2.24, 0.94), xycoords=("data", "axes fraction"), fontsize=6.5, color="0.3"
    )
    axes.set_xlabel("$u-r$ (dereddened)")


def metallicity_panel(axes: Axes, truth: pd.DataFrame) -> None:
    """Mass and metallicity, medians beside those of Gallazzi et al. 2005."""
    axes.scatter(truth["log_mass"], truth["metal"], color=_hues(truth), **DOTS)
    bins = checks.mass_metallicity(truth)
    axes.plot(bins["log_mass"], bins["metal"], "o", ms=3, color=SURVEY, mfc="white", label="median")
    axes.plot(*GALLAZZI[:2], "--", color=SURVEY, label="Gallazzi+ 2005")
    axes.set(xlim=(9, 11.9), ylim=(-1.3, 0.4), xlabel=r"$\log M_\star/M_\odot$", ylabel="[M/H]")
    axes.legend(loc="lower right")


def dispersion_panel(axes: Axes, truth: pd.DataFrame) -> None:
    """Luminosity and velocity dispersion of quenched early types."""
    early = truth[truth["quenched"] & truth["kind"].isin(["E", "S0"])]
    magnitude, vdisp = early["absolute_r"], np.log10(early["fibre_vdisp"])
    axes.scatter(magnitude, vdisp, color=RED, **DOTS)
    x = np.array([-23.5, -19.5])
    axes.plot(
        x, vdisp.median() - 0.1 * (x - magnitude.median()), "--", color=SURVEY, label=r"$L\propto\sigma^4$"
    )
    if len(early) > 2:
        axes.plot(x, np.polyval(np.polyfit(magnitude, vdisp, 1), x), color=SURVEY, label="fit")
    axes.set(xlim=(-19.4, -23.6), xlabel="$M_r$", ylabel=r"$\log\sigma$ [km s$^{-1}$]")
    axes.legend(loc="upper left")


def diagram_panel(axes: Axes, truth: pd.DataFrame) -> None:
    """The diagram of Baldwin et al. 1981 with the limits of Kauffmann et al. 2003 and Kewley et al. 2001."""
    emitting, above = checks.classes(truth)
    n2, o3 = gas.diagram(truth[list(checks.FLUXES.values())].to_numpy())
    hues = np.where(above, RED, BLUE)
    show = emitting.to_numpy()
    axes.scatter(n2[show], o3[show], color=hues[show], **DOTS)
    for curve, end, line, label in (
        (KAUFFMANN, 0.0, "--", "Kauffmann+ 03"),
        (KEWLEY, 0.4, "-", "Kewley+ 01"),
    ):
        x = np.linspace(-1.6, end, 200)
        axes.plot(x, curve(x), line, color=SURVEY, label=label)
    axes.set(
        xlim=(-1.5, 0.6), ylim=(-1.2, 1.4), xlabel=r"log [N II]/H$\alpha$", ylabel=r"log [O III]/H$\beta$"
    )
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, -0.01), handlelength=1.3)


def halpha_panel(axes: Axes, truth: pd.DataFrame) -> None:
    """Equivalent width of Halpha against the break."""
    width = np.log10(np.maximum(truth["halpha_width"], 0.03))
    axes.scatter(truth["dn4000"], width, color=_hues(truth), **DOTS)
    axes.axhline(np.log10(checks.EMISSION), color="0.4", lw=0.7, ls=":")
    axes.set(
        xlim=(0.95, 2.1), ylim=(-1.6, 2.4), xlabel=r"$D_n4000$", ylabel=r"log EW(H$\alpha$) [$\mathrm{\AA}$]"
    )


def magnitude_panel(axes: Axes, truth: pd.DataFrame) -> None:
    """Model r at the redshift of the survey's comparison sample, with quantiles of both."""
    values = checks.observed(truth)["r"]
    axes.hist(values, np.arange(14.5, 18.1, 0.1), color=SIMULATED, alpha=0.6)
    axes.set(xlim=(14.7, 18.1), xlabel="$r$ at $0.10<z<0.12$", ylabel="galaxies")
    top = axes.get_ylim()[1]
    axes.plot(checks.SURVEY["r"], np.full(7, 0.93 * top), "|", ms=7, color=SURVEY, label="survey, quantiles")
    if values.size:
        ours = np.percentile(values, checks.LEVELS)
        axes.plot(ours, np.full(7, 0.85 * top), "|", ms=7, color=BLUE, label="simulated")
    axes.legend(loc="upper left", bbox_to_anchor=(0, 0.82))


def noise_panel(axes: Axes, truth: pd.DataFrame) -> None:
    """S/N per pixel in r against the flux in the fibre."""
    axes.scatter(np.log10(truth["fibre_flux"]), truth["snr"], color=_hues(truth), **DOTS)
    axes.plot(np.log10([15.0]), [22.5], "*", ms=7, color=SURVEY, label="public spectra")
    axes.set(
        xlim=(0.3, 2.2),
        ylim=(0, 60),
        xlabel=r"log $F_\lambda$ in the fibre ($r$)",
        ylabel="S/N per pixel ($r$)",
    )
    axes.legend(loc="upper left")


def redshift_panel(axes: Axes, truth: pd.DataFrame) -> None:
    """Redshifts by type."""
    bins, kinds = np.arange(0.045, 0.1551, 0.005), ("E", "S0", "S", "Irr")
    values = [truth.loc[truth["kind"] == kind, "z"] for kind in kinds]
    axes.hist(values, bins, stacked=True, color=(RED, "#E69F00", BLUE, GREEN), alpha=0.75, label=kinds)
    axes.set(xlim=(bins[0], bins[-1]), xlabel="$z$", ylabel="galaxies")
    axes.set_ylim(top=1.25 * axes.get_ylim()[1])
    axes.legend(loc="upper right", ncols=4, columnspacing=0.8, handlelength=1)


def _hues(truth: pd.DataFrame) -> np.ndarray:
    """Red for quenched galaxies, blue for the others."""
    return np.where(truth["quenched"], RED, BLUE)
