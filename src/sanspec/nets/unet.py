"""The default denoiser of spectra: a one-dimensional U-Net on patches, with attention to the image.

Internally, a spectrum is an image of height 1 with its channels last in memory: on a CPU such convolutions are up to
twice as fast as one-dimensional ones.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from sanspec.nets.encoders import Context, fold, group_norm, unfold


class NoiseEmbedding(nn.Module):
    """Embedding of the noise level: Fourier features of ln(noise) / 4 (Karras et al. 2022), then a perceptron."""

    def __init__(self, channels: int, hidden: int, frequencies: int = 32):
        super().__init__()
        self.register_buffer("frequencies", torch.logspace(math.log10(0.25), math.log10(64.0), frequencies))
        self.body = nn.Sequential(nn.Linear(2 * frequencies, hidden), nn.SiLU(), nn.Linear(hidden, channels))

    def forward(self, noise: Float[Tensor, " gal"]) -> Float[Tensor, "gal channel"]:
        phase = (noise.log() / 4)[:, None] * self.frequencies
        return self.body(torch.cat([phase.sin(), phase.cos()], 1))


def convolution(before: int, after: int, width: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution along the spectrum."""
    return nn.Conv2d(before, after, (1, width), (1, stride), (0, width // 2))


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer with all its weights set to 0, so that the residual block that it ends starts as the identity."""
    for weight in layer.parameters():
        nn.init.zeros_(weight)
    return layer


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Multi-head attention (Vaswani et al. 2017) of (gal, place, channel) to (gal, other, channel)."""
    parts = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in (query, key, value))
    return functional.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)


class ModulatedBlock(nn.Module):
    """A residual block; the embedding scales and shifts its second normalisation (Dhariwal & Nichol 2021)."""

    def __init__(self, before: int, after: int, embedding: int, dropout: float):
        super().__init__()
        self.first = nn.Sequential(group_norm(before), nn.SiLU(), convolution(before, after))
        self.norm, self.modulation = group_norm(after), nn.Linear(embedding, 2 * after)
        self.last = nn.Sequential(nn.SiLU(), nn.Dropout2d(dropout), zeroed(convolution(after, after)))
        self.skip = convolution(before, after, 1) if before != after else nn.Identity()

    def forward(
        self, x: Float[Tensor, "gal before 1 pix"], embedding: Float[Tensor, "gal emb"]
    ) -> Float[Tensor, "gal after 1 pix"]:
        scale, shift = self.modulation(embedding)[..., None, None].chunk(2, 1)
        return self.skip(x) + self.last(torch.addcmul(shift, self.norm(self.first(x)), 1 + scale))


class Attention(nn.Module):
    """Attention of each place in the spectrum to all its places and to the image's tokens, jointly."""

    def __init__(self, channels: int, token: int, heads: int = 4):
        super().__init__()
        self.heads, self.norm = heads, group_norm(channels)
        self.own, self.image = nn.Linear(channels, 3 * channels), nn.Linear(token, 2 * channels)
        self.out = zeroed(nn.Linear(channels, channels))

    def forward(
        self, x: Float[Tensor, "gal channel 1 pix"], tokens: Float[Tensor, "gal token feature"]
    ) -> Float[Tensor, "gal channel 1 pix"]:
        query, key, value = self.own(self.norm(x)[:, :, 0].transpose(1, 2)).chunk(3, -1)
        image_key, image_value = self.image(tokens).chunk(2, -1)
        both = torch.cat([key, image_key], 1), torch.cat([value, image_value], 1)
        mixed = attend(query, *both, self.heads)
        return x + self.out(mixed).transpose(1, 2)[:, :, None]


class Level(nn.Module):
    """A block and, if a token size is given, attention to the image."""

    def __init__(self, before: int, after: int, embedding: int, token: int | None, dropout: float):
        super().__init__()
        self.block = ModulatedBlock(before, after, embedding, dropout)
        self.attention = Attention(after, token) if token is not None else None

    def forward(self, x: Tensor, embedding: Tensor, tokens: Tensor) -> Tensor:
        x = self.block(x, embedding)
        return x if self.attention is None else self.attention(x, tokens)


class UNet(nn.Module):
    """Output (gal, pix) from a noisy spectrum and `conditions` further ones, their noise level, and the image.

    `patch` neighbouring pixels are folded into channels; each level halves the resolution. The last layer starts at
    0, so that an untrained network predicts 0.
    """

    def __init__(self, pixels: int, conditions: int, token: int, features: int, settings):
        super().__init__()
        widths, patch, embedding, dropout = settings.widths, settings.patch, 128, settings.dropout
        self.pixels, self.patch = pixels, patch
        self.multiple = patch * 2 ** (len(widths) - 1)
        places = -(-pixels // self.multiple) * self.multiple // patch
        self.noise, self.image = NoiseEmbedding(embedding, embedding), nn.Linear(features, embedding)
        self.first = convolution((1 + conditions) * patch, widths[0])
        self.position = nn.Parameter(torch.zeros(1, widths[0], 1, places))
        tokens = [token if level in settings.attention else None for level in range(len(widths))]
        before, below, levels = [widths[0], *widths[:-1]], [*widths[1:], widths[-1]], range(len(widths))
        self.down = nn.ModuleList(Level(before[i], widths[i], embedding, tokens[i], dropout) for i in levels)
        self.coarser = nn.ModuleList(convolution(width, width, 3, 2) for width in widths[:-1])
        self.middle = ModulatedBlock(widths[-1], widths[-1], embedding, dropout)
        self.up = nn.ModuleList(
            Level(below[i] + widths[i], widths[i], embedding, tokens[i], dropout) for i in reversed(levels)
        )
        last = zeroed(convolution(widths[0], patch))
        self.last = nn.Sequential(group_norm(widths[0]), nn.SiLU(), last)
        self.to(memory_format=torch.channels_last)

    def forward(
        self, stack: Float[Tensor, "gal spectrum pix"], noise: Float[Tensor, " gal"], context: Context
    ) -> Float[Tensor, "gal pix"]:
        embedding = functional.silu(self.noise(noise) + self.image(context.vector))
        stack = functional.pad(stack, (0, -self.pixels % self.multiple), mode="replicate")
        places = fold(stack, self.patch)[:, :, None].contiguous(memory_format=torch.channels_last)
        h, kept = self.first(places) + self.position, []
        for number, level in enumerate(self.down):
            h = level(h, embedding, context.tokens)
            kept.append(h)
            h = self.coarser[number](h) if number < len(self.coarser) else h
        h = self.middle(h, embedding)
        for number, level in enumerate(self.up):
            h = h.repeat_interleave(2, -1) if number else h
            h = level(torch.cat([h, kept.pop()], 1), embedding, context.tokens)
        return unfold(self.last(h)[:, :, 0], self.patch)[:, 0, : self.pixels]
