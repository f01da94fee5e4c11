"""From images to spectra: coarse draws, the best by contrast, fine draws of each, the best by contrast.

A draw is a function of (seed, specobjid, draw index) alone, to the bit on one kind of device. Its noise comes
from a counter-based generator keyed by those; and since the rounding of a matrix product depends on the shape
it is part of and on the place in it, networks only ever see rows in blocks of one shape, a draw always at the
same place of its block.
"""

import functools
import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sanspec.config import Generate, Sampler
from sanspec.nets.contrastive import Contrastive
from sanspec.nets.data import Galaxies
from sanspec.nets.diffusion import Diffusion
from sanspec.nets.encoders import Context
from sanspec.nets.ensembles import interval
from sanspec.nets.sampler import levels_of, sample

BLOCK = 5  # draws of a galaxy computed side by side
AT_ONCE = {"cpu": 1, "cuda": 64}  # galaxies side by side


@dataclass(frozen=True)
class Draws:
    """All draws of some galaxies, natural log of the normalised flux.

    The fine draws are first, with `spread`, one for each coarse draw in turn, unselected; then `fine_draws`
    for each kept coarse draw, best first. parent: the coarse draw a fine one belongs to. selected: whether a
    fine draw belongs to a kept coarse one and may be chosen. best: the chosen fine draw, that of highest
    score among the selected. z: the redshift drawn for each coarse draw, NaN where none is.
    """

    coarse: Float[np.ndarray, "gal draw coarse"]
    score_coarse: Float[np.ndarray, "gal draw"]
    fine: Float[np.ndarray, "gal fine_draw pix"]
    score_fine: Float[np.ndarray, "gal fine_draw"]
    parent: Int[np.ndarray, "gal fine_draw"]
    selected: Bool[np.ndarray, "gal fine_draw"]
    best: Int[np.ndarray, " gal"]
    z: Float[np.ndarray, "gal draw"]


class Noise:
    """Standard normal noise for a block of draws, each from its own Philox generator (Salmon et al. 2011).

    Every call gives the next (draw, pix); what a draw gets does not depend on the other draws of its block.
    """

    def __init__(self, keys: list[str], pixels: int):
        self.pixels = pixels
        digests = (hashlib.blake2b(key.encode(), digest_size=16).digest() for key in keys)
        self.generators = [
            np.random.Generator(np.random.Philox(key=int.from_bytes(digest))) for digest in digests
        ]

    def __call__(self) -> Float[Tensor, "draw pix"]:
        rows = [generator.standard_normal(self.pixels, dtype=np.float32) for generator in self.generators]
        return torch.from_numpy(np.stack(rows))


def draw(
    model: Diffusion,
    sampler: Sampler,
    context: Context,
    keys: list[str],
    coarse: Float[Tensor, "draw coarse"] | None = None,
    z: Float[Tensor, " draw"] | None = None,
) -> Float[Tensor, "draw pix"]:
    """One draw of log flux for each key, given the images' context and, for a fine network, coarse spectra
    and their redshifts row by row. A coarse network draws its redshifts where none are given.
    """
    device, condition = context.vector.device, model.condition(coarse, len(keys))
    context = model.at(context, redshifts(model, context, keys) if z is None else z)
    noise = Noise(keys, model.pixels)

    def denoise(x: Tensor, level: float) -> Tensor:
        return model.denoise(x, torch.full((len(x),), level, device=device), context, condition)

    levels = levels_of(sampler, model.settings.cosine_steps)
    x = sample(denoise, levels, sampler.method, lambda: noise().to(device), sampler.clip)
    return model.restore(x, coarse)


def redshifts(model: Diffusion, context: Context, keys: list[str]) -> Float[Tensor, " draw"] | None:
    """A redshift for each key, drawn from its distribution given the image; None where the network draws none.

    Its random number has a generator of its own, so that the noise of the spectrum is the same without it.
    """
    if model.odds is None:
        return None
    normal = Noise([f"{key}/z" for key in keys], 1)()[:, 0]
    return model.odds.draw(
        context.vector, torch.special.ndtr(normal.double()).float().to(context.vector.device)
    )


class Cascade:
    """The four networks of a run at work on blocks of galaxies."""

    def __init__(self, models: dict[str, torch.nn.Module], settings: Generate):
        self.diff_coarse, self.diff_fine = models["diff_coarse"], models["diff_fine"]
        self.clip_coarse, self.clip_fine = models["clip_coarse"], models["clip_fine"]
        self.settings = settings

    @torch.inference_mode()
    def __call__(self, galaxies: Galaxies) -> Draws:
        """Draws of each galaxy, whatever their number and order."""
        size = AT_ONCE[galaxies.images.device.type]
        parts = [self._block(galaxies, start, size) for start in range(0, len(galaxies), size)]
        columns = zip(*([value.cpu().numpy() for value in part] for part in parts))
        return Draws(*map(np.concatenate, columns))

    def _block(self, galaxies: Galaxies, start: int, size: int) -> tuple[Tensor, ...]:
        """Draws of the galaxies from `start`, computed as exactly `size` of them: the last is repeated to
        fill.
        """
        rows = torch.arange(start, start + size).clamp(max=len(galaxies) - 1)
        count = min(size, len(galaxies) - start)
        return tuple(part[:count] for part in self._draws(galaxies.take(rows.to(galaxies.images.device))))

    def _draws(self, galaxies: Galaxies) -> tuple[Tensor, ...]:
        """The fields of `Draws`, as tensors."""
        settings = self.settings
        latent = self.clip_coarse.embed_images(galaxies)
        coarse, z = self._coarse(galaxies)
        score_coarse = self._scores(self.clip_coarse, latent, coarse)
        kept = score_coarse.argsort(dim=1, descending=True, stable=True)[:, : settings.keep]
        fine, parent, selected = self._fine(galaxies, coarse, z, kept)
        score_fine = self._scores(self.clip_fine, self.clip_fine.embed_images(galaxies), fine)
        best = torch.where(selected, score_fine, -torch.inf).argmax(1)
        return coarse, score_coarse, fine, score_fine, parent, selected, best, z

    def _coarse(self, galaxies: Galaxies) -> tuple[Tensor, Tensor]:
        """Coarse draws (gal, draw, coarse) and their redshifts; draw i always stands at place i mod BLOCK."""
        context, blocks, z = self.diff_coarse.encode(galaxies).repeat(BLOCK), [], []
        for start in range(0, self.settings.draws, BLOCK):
            keys = self._keys(galaxies, "coarse", range(start, start + BLOCK))
            drawn = redshifts(self.diff_coarse, context, keys)
            z.append(context.vector.new_full((len(keys),), torch.nan) if drawn is None else drawn)
            blocks.append(draw(self.diff_coarse, self.settings.coarse, context, keys, z=drawn))
        coarse, z = (
            torch.cat([part.unflatten(0, (-1, BLOCK)) for part in parts], 1)[:, : self.settings.draws]
            for parts in (blocks, z)
        )
        return coarse, z

    def _fine(
        self,
        galaxies: Galaxies,
        coarse: Float[Tensor, "gal draw coarse"],
        z: Float[Tensor, "gal draw"],
        kept: Int[Tensor, "gal keep"],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Fine draws (gal, draw, pix), the coarse draw each belongs to, and whether that was kept."""
        context = self.diff_fine.encode(galaxies).repeat(BLOCK)
        paint = functools.partial(self._painted, galaxies, coarse, z, context)
        fine, parents, selected = [], [], []
        everyone = torch.arange(self.settings.draws, device=kept.device).expand(len(kept), -1)
        if self.settings.spread:
            fine.append(paint(everyone, "spread"))
            parents.append(everyone)
            selected.append(torch.zeros_like(everyone, dtype=torch.bool))
        for place in range(self.settings.keep):
            own = kept[:, place, None].expand(-1, self.settings.fine_draws)
            fine.append(paint(own, "fine"))
            parents.append(own)
            selected.append(torch.ones_like(own, dtype=torch.bool))
        return torch.cat(fine, 1), torch.cat(parents, 1), torch.cat(selected, 1)

    def _painted(
        self,
        galaxies: Galaxies,
        coarse: Float[Tensor, "gal draw coarse"],
        z: Float[Tensor, "gal draw"],
        context: Context,
        parent: Int[Tensor, "gal wanted"],
        kind: str,
    ) -> Float[Tensor, "gal wanted pix"]:
        """A fine draw for every coarse one named in `parent`, at the place of its own index mod BLOCK."""
        wanted, blocks = parent.shape[1], []
        for start in range(0, wanted, BLOCK):
            places = torch.arange(start, start + BLOCK, device=parent.device).clamp(max=wanted - 1)
            chosen = parent[:, places]
            rows = torch.take_along_dim(coarse, chosen[..., None], 1).flatten(0, 1)
            keys = self._keys(galaxies, kind, range(start, start + BLOCK), chosen)
            given = torch.take_along_dim(z, chosen, 1).flatten()
            drawn = draw(self.diff_fine, self.settings.fine, context, keys, rows, given)
            blocks.append(drawn.unflatten(0, (-1, BLOCK)))
        return torch.cat(blocks, 1)[:, :wanted]

    def _keys(self, galaxies: Galaxies, kind: str, indices: range, parent: Tensor | None = None) -> list[str]:
        """What the noise of each draw is keyed by, galaxy by galaxy."""
        seed, keys = self.settings.seed, []
        for number, specobjid in enumerate(galaxies.specobjid):
            for place, index in enumerate(indices):
                above = "" if parent is None else f"{int(parent[number, place])}/"
                keys.append(f"{seed}/{specobjid}/{kind}/{above}{index}")
        return keys

    def _scores(
        self, model: Contrastive, latent: Float[Tensor, "gal latent"], spectra: Float[Tensor, "gal draw pix"]
    ) -> Float[Tensor, "gal draw"]:
        """Cosine similarity of each draw with its galaxy's image, in blocks of one shape."""
        scores = []
        for block in spectra.split(BLOCK, 1):
            short = BLOCK - block.shape[1]
            full = torch.cat([block, block[:, -1:].expand(-1, short, -1)], 1) if short else block
            embedded = model.embed_spectra(full.flatten(0, 1)).unflatten(0, (-1, BLOCK))
            scores.append(torch.einsum("gdl,gl->gd", embedded, latent)[:, : block.shape[1]])
        return torch.cat(scores, 1)


def products(draws: Draws, spread: bool) -> dict[str, Float[np.ndarray, "gal pix"]]:
    """Normalised linear flux: `flux` of the best draw, `mean` and `medoid` of the unselected draws (of the
    selected without spread).

    The medoid is the draw nearest to the mean in log flux; `std` is the standard deviation of those draws, `low`
    and `high` bound their central 68 % interval.
    """
    rows = np.arange(len(draws.best))
    pool = draws.fine[:, ~draws.selected[0]] if spread else draws.fine
    distance = ((pool - pool.mean(axis=1, keepdims=True)) ** 2).mean(axis=2)
    flux = np.exp(pool)
    low, high = interval(flux)
    return {
        "flux": np.exp(draws.fine[rows, draws.best]),
        "mean": flux.mean(axis=1),
        "medoid": flux[rows, distance.argmin(axis=1)],
        "std": flux.std(axis=1),
        "low": low,
        "high": high,
    }
