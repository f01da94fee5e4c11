"""Contrastive networks: image and spectrum of the same galaxy lie close together in a shared latent space."""

import math

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from sanspec.nets import parallel
from sanspec.nets.data import Galaxies
from sanspec.nets.diffusion import Standard
from sanspec.nets.encoders import ImageEncoder, Stages

MAP = 16  # channels of the low-resolution map that preserves the positions of features
Latents = Float[Tensor, "gal latent"]
Scalar = Float[Tensor, ""]


def clip_loss(images: Latents, spectra: Latents, scale: Scalar) -> Scalar:
    """Cross-entropy of each image with all spectra and of each spectrum with all images (Radford et al. 2021)."""
    logits, own = scale * images @ spectra.T, torch.arange(len(images), device=images.device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2


def nt_xent_loss(images: Latents, spectra: Latents, scale: Scalar) -> Scalar:
    """Cross-entropy of each latent with all others of both kinds (Doorenbos et al. 2024, eq. A3; Chen et al. 2020)."""
    count = len(images)
    both = torch.cat([images, spectra])
    logits = (scale * both @ both.T).fill_diagonal_(-torch.inf)
    partner = torch.arange(2 * count, device=both.device).roll(count)
    return functional.cross_entropy(logits, partner)


LOSSES = {"clip": clip_loss, "nt_xent": nt_xent_loss}


class SpectrumEncoder(nn.Module):
    """Latent vectors of standardised log spectra, not yet normalised."""

    def __init__(self, pixels: int, settings):
        super().__init__()
        self.trunk = Stages(1, 1, settings.widths, settings.blocks, settings.patch, settings.dropout)
        self.pooling, channels = settings.pooling, self.trunk.channels
        if self.pooling == "position":
            places = -(-pixels // settings.patch)
            for _ in settings.widths:
                places = -(-places // 2)
            self.map = nn.Conv1d(channels, MAP, 1)
            self.head = nn.Linear(2 * channels + MAP * places, settings.latent)
        else:
            self.head = nn.Linear(channels, settings.latent)

    def forward(self, standard: Float[Tensor, "gal pix"]) -> Float[Tensor, "gal latent"]:
        maps = self.trunk(standard[:, None])
        if self.pooling == "mean":
            return self.head(maps.mean(2))
        return self.head(torch.cat([maps.mean(2), maps.amax(2), self.map(maps).flatten(1)], 1))


class Contrastive(nn.Module):
    """Image and spectrum encoders with one latent space; `which`: coarse or fine spectra."""

    metric = "loss"

    def __init__(self, settings, train, statistics: dict, size: int, pixels: int, which: str):
        super().__init__()
        self.which, self.settings = which, settings
        self.encoder = ImageEncoder(settings, train, statistics, size)
        self.image_head = nn.Linear(self.encoder.features, settings.latent)
        self.spectrum, self.standard = SpectrumEncoder(pixels, settings), Standard(pixels)
        scale = torch.tensor(math.log(1 / settings.temperature))
        if settings.loss == "clip":
            self.log_scale = nn.Parameter(scale)
        else:
            self.register_buffer("log_scale", scale)

    def fit(self, galaxies: Galaxies) -> None:
        """Measure the standardisation on the training galaxies."""
        self.encoder.fit(galaxies)
        self.standard.fit(*self.spectra(galaxies))

    def spectra(self, galaxies: Galaxies) -> tuple[Tensor, Tensor]:
        """The spectra that this network embeds, and their masks."""
        return getattr(galaxies, self.which), getattr(galaxies, f"{self.which}_mask")

    def embed_images(self, galaxies: Galaxies) -> Latents:
        """Images on the unit sphere of the latent space."""
        return functional.normalize(self.image_head(self.encoder(galaxies)[1]).float(), dim=1)

    def embed_spectra(self, spectra: Shaped[Tensor, "gal pix"], mask: Tensor | None = None) -> Latents:
        """Log spectra on the unit sphere of the latent space; masked pixels are set to the mean spectrum."""
        standard = self.standard(spectra)
        if mask is not None:
            standard = torch.where(mask, standard, 0)
        return functional.normalize(self.spectrum(standard).float(), dim=1)

    def loss(self, batch: Galaxies) -> Scalar:
        """Contrastive loss of a batch: each galaxy is compared with those of all ranks."""
        scale = self.log_scale.exp().clamp(max=100.0)
        images, spectra = self.embed_images(batch), self.embed_spectra(*self.spectra(batch))
        return LOSSES[self.settings.loss](parallel.gather(images), parallel.gather(spectra), scale)

    def validate(self, batches: list[Galaxies]) -> dict[str, float]:
        """Loss over all validation galaxies; fractions of images with their own spectrum first, and in the top five."""
        images = torch.cat([self.embed_images(batch) for batch in batches])
        spectra = torch.cat([self.embed_spectra(*self.spectra(batch)) for batch in batches])
        scores = images @ spectra.T
        rank = (scores > scores.diagonal()[:, None]).sum(1)
        loss = LOSSES[self.settings.loss](images, spectra, self.log_scale.exp().clamp(max=100.0))
        first = {f"top{most}": float((rank < most).float().mean()) for most in (1, 5)}
        return {"loss": float(loss), **first}
