"""Figure 3: from image to spectrum, the four networks and their draws (Doorenbos et al. 2024, figure 3).

A scheme drawn from the settings alone; its image and spectra are sketches, not data.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from sanspec.config import Config, Generate
from sanspec.figures import style
from sanspec.spectra import grid

INPUTS = ()

COARSE, FINE, FAINT = "#0072B2", "#D55E00", "0.75"
HEIGHT = 2.45  # of the figure; all lengths in inches, from the lower left
SIDE = 0.92  # of a sketch
FLOOR = 0.42  # lower edge of the sketches
CENTRES = np.linspace(0.58, style.PAGE - 0.58, 5)  # of the sketches
BOXES, RAIL = 1.72, 2.14  # heights of the networks and of the line that brings them the image
MOST = 15  # spectra in a sketch


def draw(inputs: Mapping[str, Path], settings: Config) -> tuple[Figure, dict]:
    """The scheme, with the numbers of draws and pixels of these settings."""
    figure, generate = Figure(figsize=(style.PAGE, HEIGHT)), settings.generate
    canvas = figure.add_axes((0, 0, 1, 1), xlim=(0, style.PAGE), ylim=(0, HEIGHT))
    canvas.axis("off")
    middles = (CENTRES[1:] + CENTRES[:-1]) / 2
    rail(canvas, middles)
    steps = stages(generate)
    for middle, step in zip(middles, steps):
        network(canvas, middle, step)
    for centre, text in zip(CENTRES, captions(steps)):
        for k, line in enumerate(text.split("\n")):
            canvas.text(centre, FLOOR - 0.15 - 0.135 * k, line, ha="center", va="baseline", fontsize=7.5)
    panels = [panel(figure, centre) for centre in CENTRES]
    panels[0].imshow(sketch_image())
    sketch_spectra(panels[1:], generate)
    return figure, {"n": len(steps), "stages": steps, "sketches": "not data"}


def stages(generate: Generate) -> list[dict]:
    """The four networks in order: spectra that go in and come out for one galaxy, and their pixels."""
    kept, fine, coarse = generate.keep, generate.keep * generate.fine_draws, len(grid.coarse_wave())
    return [
        {"network": "diff_coarse", "task": "draw", "in": 1, "out": generate.draws, "pixels": coarse},
        {"network": "clip_coarse", "task": "keep", "in": generate.draws, "out": kept, "pixels": coarse},
        {"network": "diff_fine", "task": "draw", "in": kept, "out": fine, "pixels": len(grid.WAVE)},
        {"network": "clip_fine", "task": "keep", "in": fine, "out": 1, "pixels": len(grid.WAVE)},
    ]


def captions(steps: Sequence[Mapping]) -> list[str]:
    """What stands under each sketch."""
    draws, kept, fine, last = steps
    return [
        "image\n64 × 64 pixels, ugriz",
        f"{draws['out']} coarse draws\n{draws['pixels']} pixels each",
        f"the {kept['out']} that match\nthe image best",
        f"{fine['out']} fine draws, {fine['out'] // fine['in']} of each\n{fine['pixels']} pixels each",
        f"predicted spectrum:\nthe best of the {last['in']}",
    ]


def rail(canvas: Axes, middles: Float[np.ndarray, " network"]) -> None:
    """The line that brings the image to every network."""
    looks = {"color": "0.45", "lw": 0.9}
    canvas.plot(
        [CENTRES[0], CENTRES[0], middles[-1]], [FLOOR + SIDE, RAIL, RAIL], solid_joinstyle="round", **looks
    )
    for middle in middles:
        arrow(canvas, (middle, RAIL), (middle, BOXES + 0.19), **looks)
    canvas.text(
        CENTRES[0] + 0.06,
        RAIL + 0.04,
        "the image conditions every step",
        fontsize=7,
        color="0.35",
        va="bottom",
    )


def network(canvas: Axes, middle: float, step: Mapping) -> None:
    """A network's box, and the arrow between the sketches on its two sides."""
    coarse = step["network"].endswith("coarse")
    colour, kind = (COARSE if coarse else FINE), "diffusion" if step["task"] == "draw" else "contrastive"
    box = FancyBboxPatch(
        (middle - 0.52, BOXES - 0.18),
        1.04,
        0.36,
        boxstyle="round,pad=0.0,rounding_size=0.07",
        fc="white",
        ec=colour,
        lw=1.1,
    )
    canvas.add_patch(box)
    text = f"{'coarse' if coarse else 'fine'} {kind}\n{step['network']}"
    canvas.text(middle, BOXES - 0.01, text, ha="center", va="center", fontsize=7.2, linespacing=1.2)
    across = FLOOR + SIDE / 2
    half = (CENTRES[1] - CENTRES[0] - SIDE) / 2 - 0.05
    canvas.plot([middle, middle], [BOXES - 0.18, across], color=colour, lw=1.1)
    arrow(canvas, (middle - half, across), (middle + half, across), color=colour, lw=1.4)
    canvas.text(
        middle,
        across - 0.09,
        f"{step['task']} {step['out']}",
        ha="center",
        va="top",
        fontsize=7.5,
        color=colour,
    )


def arrow(canvas: Axes, start: tuple[float, float], end: tuple[float, float], **looks) -> None:
    """A straight arrow."""
    canvas.add_patch(
        FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=8, shrinkA=0, shrinkB=0, **looks)
    )


def panel(figure: Figure, centre: float) -> Axes:
    """An empty square for a sketch."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes(
        ((centre - SIDE / 2) / width, FLOOR / height, SIDE / width, SIDE / height), xticks=[], yticks=[]
    )
    axes.minorticks_off()
    return axes


def sketch_image() -> Float[np.ndarray, "y x rgb"]:
    """A drawing of a spiral galaxy: yellow bulge, blue arms."""
    y, x = (np.mgrid[:64, :64] - 31.5) / 10
    x, y = x * 0.9 + y * 0.45, (y * 0.9 - x * 0.45) * 1.5
    radius, angle = np.hypot(x, y) + 1e-3, np.arctan2(y, x)
    disk = np.exp(-radius / 1.1)
    arms = disk * np.cos(angle - 2.6 * np.log(radius + 0.3)) ** 4
    bulge = np.exp(-((radius / 0.45) ** 1.1))
    red, green, blue = (bulge + a * disk + b * arms for a, b in ((0.45, 0.7), (0.4, 0.9), (0.3, 1.5)))
    return np.clip(np.arcsinh(4 * np.stack([red, 0.9 * green, 0.75 * blue], axis=-1)) / 2.3, 0, 1)


def sketch_spectra(panels: Sequence[Axes], generate: Generate) -> None:
    """The spectra before and after each choice; those that go on in colour."""
    drawn, kept = min(generate.draws, MOST), min(generate.keep, generate.draws, MOST)
    chosen = np.linspace(0, drawn - 1, kept + 2).astype(int)[1:-1] if drawn >= kept + 2 else np.arange(kept)
    fine = np.repeat(chosen, max(1, min(generate.fine_draws, MOST // kept)))
    winner = len(fine) // 2
    pile(panels[0], np.arange(drawn), np.isin(np.arange(drawn), chosen), COARSE, coarse=True)
    pile(panels[1], chosen, np.full(kept, True), COARSE, coarse=True)
    pile(panels[2], fine, np.arange(len(fine)) == winner, FINE, coarse=False)
    pile(panels[3], fine[[winner]], np.array([True]), FINE, coarse=False)


def pile(axes: Axes, draws: Sequence[int], bold: Sequence[bool], colour: str, coarse: bool) -> None:
    """Sketched spectra of the given draws, one above the other."""
    step = 1 / len(draws)
    for k, (number, strong) in enumerate(zip(draws, bold)):
        wave, flux = sketch_spectrum(number, 0 if coarse else k, coarse)
        looks = {"color": colour, "lw": 0.9} if strong else {"color": FAINT, "lw": 0.6}
        height = k * step + flux * min(2.2 * step, 1.0)
        axes.plot(wave, height, drawstyle="steps-mid" if coarse else None, zorder=2 * len(draws) - k, **looks)
    axes.set(xlim=(0, 1), ylim=(-0.06, 1.06 + 1.1 * step * (len(draws) > 1)))
    axes.tick_params(length=0)


def sketch_spectrum(draw: int, copy: int, coarse: bool) -> tuple[np.ndarray, np.ndarray]:
    """A drawing of draw number `draw`, 0 to 1 on both axes; `copy` varies its lines and fine detail."""
    wave = np.linspace(0.03, 0.97, 45 if coarse else 360)
    young = 0.5 + 0.5 * np.sin(2.4 * draw + 0.7)
    flux = 0.05 + 0.5 / (1 + np.exp(-(wave - 0.14) / 0.015)) - 0.3 * young * (wave - 0.14)
    width = 0.014 if coarse else 0.005
    lines = ((0.65, 0.5 * young + 0.1), (0.335, 0.3 * young), (0.30, -0.12), (0.52, -0.12), (0.38, -0.1))
    for centre, height in lines:
        flux = flux + height * (1 + 0.3 * np.sin(5.0 * copy)) * np.exp(-0.5 * ((wave - centre) / width) ** 2)
    ripple = 0.0 if coarse else 0.02 * np.sin(90 * wave + 3 * copy) * np.sin(37 * wave + copy)
    return wave, flux + ripple
