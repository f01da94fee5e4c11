"""How every figure looks: fonts, widths, colours, the stamp of a simulated survey, and how it is saved."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import matplotlib.style
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from sanspec import __version__
from sanspec.config import Survey
from sanspec.products import members
from sanspec.store import atomic, write_json

COLUMN, PAGE = 3.35, 7.1  # widths of one and of two columns of the Astrophysical Journal [inch]
STAMP = "simulated sky: not a result about the real one"

REST_WAVE = r"rest-frame vacuum wavelength [$\mathrm{\AA}$]"
REST_FLUX = r"normalised flux $F_\lambda$"


class Look(NamedTuple):
    """How one thing is drawn wherever it appears."""

    colour: str
    line: str | tuple
    label: str


PREDICTORS = {
    "observed": Look("#0072B2", "-", "observed"),
    "predicted": Look("#D55E00", "-", "predicted"),
    "nearest_image": Look("#009E73", "--", "nearest image"),
    "nearest_colour": Look("#E69F00", (0, (4, 1, 1, 1)), "nearest in colours"),
    "nearest_contrastive": Look("#56B4E9", (0, (5, 1)), "nearest in contrastive space"),
    "regression": Look("#CC79A7", "-.", "regression"),
    "mean_spectrum": Look("#666666", ":", "mean spectrum"),
    "median": Look("#666666", ":", "median redshift"),
}  # colours of Okabe & Ito (2008), distinct under the common colour-vision deficiencies
MORPHOLOGIES = {
    "elliptical": Look("#882255", "-", "elliptical"),
    "spiral": Look("#332288", (0, (4, 1)), "spiral"),
    "uncertain": Look("#999933", (0, (1, 0.8)), "uncertain"),
}  # colours of Tol (2021), "muted"


def look(name: str) -> Look:
    """How a predictor is drawn; one that has no look of its own gets a colour by its place in the registry."""
    if name in PREDICTORS:
        return PREDICTORS[name]
    return Look(f"C{list(members.PREDICTORS).index(name)}", "--", members.PREDICTORS[name].label)


def baselines() -> list[str]:
    """The registered predictors that need no diffusion network."""
    return [name for name, predictor in members.PREDICTORS.items() if predictor.is_baseline]


@contextmanager
def applied() -> Iterator[None]:
    """Use the style of sanspec.mplstyle while drawing and saving."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it logs every glyph of a PDF
    with matplotlib.style.context(Path(__file__).with_name("sanspec.mplstyle")):
        yield


def canvas(width: float, height: float) -> Figure:
    """An empty figure with constrained layout; width and height in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def stamp(figure: Figure, survey: Survey) -> None:
    """Write on the figure's face that its sky is simulated, in a strip kept free for it."""
    if not survey.simulated:
        return
    width, height = figure.get_size_inches()
    strip = 0.17 / height
    if figure.get_layout_engine() is not None:
        figure.get_layout_engine().set(rect=(0, 0, 1, 1 - strip))
    figure.text(
        1 - 0.04 / width,
        1 - strip / 2,
        STAMP,
        ha="right",
        va="center",
        fontsize=7,
        style="italic",
        color="#B2182B",
        gid="stamp",
    )


def logarithmic(axis: Axis) -> None:
    """A logarithmic scale with plain numbers, a few to the decade, or evenly spaced over less than that."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = axis.get_view_interval()
    decades = LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0, 3.0))
    axis.set_major_locator(decades if high > 5 * low else MaxNLocator(5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(LogLocator(subs="all"))
    axis.set_minor_formatter(NullFormatter())


def save(figure: Figure, numbers: Mapping, header: Mapping, out: Path, dpi: int) -> None:
    """Write `out` (.png) and, beside it, the same figure as .pdf and its numbers as .json, `header` first.

    The header (figure, title, run, survey, simulated, provenance) also stands in the metadata of PNG and PDF.
    Raises ValueError when a number bears a name of the header.
    """
    if clash := set(header) & set(numbers):
        raise ValueError(f"numbers of {header['figure']} bear names of the header: {sorted(clash)}")
    for path in (out, out.with_suffix(".pdf")):
        with atomic(path) as temporary:
            figure.savefig(temporary, dpi=dpi, metadata=_metadata(header, numbers, path.suffix))
    write_json(out.with_suffix(".json"), {**header, **numbers})


def _metadata(header: Mapping, numbers: Mapping, suffix: str) -> dict[str, str]:
    """Provenance as the metadata of a PNG or PDF."""
    warning = f" ({STAMP})" if header["simulated"] else ""
    about = f"run {header['run']}, survey {header['survey']}{warning}, n = {numbers.get('n')}"
    made = f"sanspec {__version__}"
    subject, maker = ("Subject", "Creator") if suffix == ".pdf" else ("Description", "Software")
    return {"Title": f"{header['figure']}: {header['title']}", subject: about, maker: made}
