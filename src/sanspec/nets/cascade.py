"""From images to spectra: coarse draws, of which the contrastive network keeps the best, and fine draws of each.

A draw depends on (seed, specobjid, draw index) alone, to the bit on one kind of device. Its noise comes from a
counter-based generator keyed by those. The rounding of a matrix product depends on its shape and on the position in it;
therefore networks are only given blocks of one shape, with a draw always at the same position of its block.
"""

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
from sanspec.nets.sampler import levels_of, sample

Coarse = Float[Tensor, "gal draw coarse"]
Redshifts = Float[Tensor, "gal draw"]

BLOCK = 5  # draws of a galaxy computed at a time
AT_ONCE = {"cpu": 1, "cuda": 64}  # galaxies computed at a time


@dataclass(frozen=True)
class Draws:
    """All draws of some galaxies, natural log of the normalised flux.

    The fine draws are, with `spread`, first one unselected draw for each coarse draw in turn; then `fine_draws` for
    each kept coarse draw, best first. parent: the coarse draw of a fine one. selected: whether a fine draw belongs to
    a kept coarse one and may be chosen. best: the chosen fine draw, with the highest score among the selected. z: the
    redshift drawn for each coarse draw, or NaN.
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

    Every call returns the next (draw, pix); the noise of a draw does not depend on the other draws of its block.
    """

    def __init__(self, keys: list[str], pixels: int):
        self.pixels = pixels
        digests = (hashlib.blake2b(key.encode(), digest_size=16).digest() for key in keys)
        self.generators = [np.random.Generator(np.random.Philox(key=int.from_bytes(key))) for key in digests]

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
    """One draw of log flux for each key, given the images' context and, for a fine network, coarse spectra and their
    redshifts row by row. A coarse network draws the redshifts that are not given.
    """
    device, z = context.vector.device, redshifts(model, context, keys) if z is None else z
    context = model.at(model.conditioned(context, coarse), z)
    noise = Noise(keys, model.pixels)

    def denoise(x: Tensor, level: float) -> Tensor:
        return model.denoise(x, torch.full((len(x),), level, device=device), context)

    levels = levels_of(sampler, model.settings.cosine_steps)
    x = sample(denoise, levels, sampler.method, lambda: noise().to(device), sampler.clip)
    return model.restore(x, coarse)


def redshifts(model: Diffusion, context: Context, keys: list[str]) -> Float[Tensor, " draw"] | None:
    """A redshift for each key, drawn from its distribution given the image; None if the network draws none.

    Its random number has its own generator, so that the noise of the spectrum is the same without it.
    """
    if model.odds is None:
        return None
    uniform = torch.special.ndtr(Noise([f"{key}/z" for key in keys], 1)()[:, 0].double()).float()
    return model.odds.draw(context.vector, uniform.to(context.vector.device))


class Cascade:
    """The four networks of a run, applied to blocks of galaxies."""

    def __init__(self, models: dict[str, torch.nn.Module], settings: Generate):
        self.diff_coarse, self.diff_fine = models["diff_coarse"], models["diff_fine"]
        self.clip_coarse, self.clip_fine = models["clip_coarse"], models["clip_fine"]
        self.settings = settings

    @torch.inference_mode()
    def __call__(self, galaxies: Galaxies) -> Draws:
        """Draws of each galaxy; every block is of the same size, the last galaxy repeated as padding."""
        size, parts = AT_ONCE[galaxies.images.device.type], []
        for start in range(0, len(galaxies), size):
            rows = torch.arange(start, start + size).clamp(max=len(galaxies) - 1)
            drawn = self._draws(galaxies.take(rows.to(galaxies.images.device)))
            parts.append([value[: len(galaxies) - start].cpu().numpy() for value in drawn])
        return Draws(*map(np.concatenate, zip(*parts)))

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
        """Coarse draws (gal, draw, coarse) and their redshifts; draw i is always at position i mod BLOCK."""
        context, blocks, z = self.diff_coarse.encode(galaxies).repeat(BLOCK), [], []
        for start in range(0, self.settings.draws, BLOCK):
            keys = self._keys(galaxies, "coarse", range(start, start + BLOCK))
            drawn = redshifts(self.diff_coarse, context, keys)
            z.append(context.vector.new_full((len(keys),), torch.nan) if drawn is None else drawn)
            blocks.append(draw(self.diff_coarse, self.settings.coarse, context, keys, z=drawn))
        return tuple(
            torch.cat([part.unflatten(0, (-1, BLOCK)) for part in parts], 1)[:, : self.settings.draws]
            for parts in (blocks, z)
        )

    def _fine(
        self, galaxies: Galaxies, coarse: Coarse, z: Redshifts, kept: Int[Tensor, "gal keep"]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Fine draws (gal, draw, pix), the coarse draw of each, and whether that was kept."""
        context = self.diff_fine.encode(galaxies).repeat(BLOCK)
        everyone = torch.arange(self.settings.draws, device=kept.device).expand(len(kept), -1)
        groups = [("spread", everyone)] if self.settings.spread else []
        for place in range(self.settings.keep):
            groups.append(("fine", kept[:, place, None].expand(-1, self.settings.fine_draws)))
        fine = [self._refined(galaxies, coarse, z, context, parent, kind) for kind, parent in groups]
        selected = [torch.full_like(parent, kind == "fine", dtype=torch.bool) for kind, parent in groups]
        return torch.cat(fine, 1), torch.cat([parent for _, parent in groups], 1), torch.cat(selected, 1)

    def _refined(
        self,
        galaxies: Galaxies,
        coarse: Coarse,
        z: Redshifts,
        context: Context,
        parent: Int[Tensor, "gal wanted"],
        kind: str,
    ) -> Float[Tensor, "gal wanted pix"]:
        """A fine draw for every coarse one in `parent`, at the position of its own index mod BLOCK."""
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
        """Keys of the noise of each draw, galaxy by galaxy."""
        seed, keys = self.settings.seed, []
        for number, specobjid in enumerate(galaxies.specobjid):
            for place, index in enumerate(indices):
                above = "" if parent is None else f"{int(parent[number, place])}/"
                keys.append(f"{seed}/{specobjid}/{kind}/{above}{index}")
        return keys

    def _scores(
        self, model: Contrastive, latent: Float[Tensor, "gal latent"], spectra: Float[Tensor, "gal draw pix"]
    ) -> Redshifts:
        """Cosine similarity of each draw with its galaxy's image, computed in blocks of one shape."""
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
    # By these quantiles the interval holds a further draw 68 times in 100
    low, high = np.quantile(flux, (0.16, 0.84), axis=1, method="weibull")
    return {
        "flux": np.exp(draws.fine[rows, draws.best]),
        "mean": flux.mean(axis=1),
        "medoid": flux[rows, distance.argmin(axis=1)],
        "std": flux.std(axis=1),
        "low": low,
        "high": high,
    }
