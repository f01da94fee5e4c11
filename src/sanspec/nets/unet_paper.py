"""The denoiser of Doorenbos et al. 2024: a five-level U-Net with transformer blocks at the two coarsest levels.

Layer for layer the published network (35.9 M parameters with its ResNet-18), except for the step embedding, whose
frequencies 2**arange(128) * pi overflow: here they are those of `unet.NoiseEmbedding`.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from sanspec.nets.encoders import Context
from sanspec.nets.unet import NoiseEmbedding, attend, zeroed

HEAD = 32  # channels of an attention head


class PaperBlock(nn.Module):
    """Two convolutions with group normalisation and ReLU, the step embedding added between them; a skip connection."""

    def __init__(self, before: int, middle: int, after: int, embedding: int):
        super().__init__()
        self.first = nn.Sequential(nn.Conv1d(before, middle, 3, 1, 1), nn.GroupNorm(8, middle), nn.ReLU())
        self.step = nn.Sequential(nn.ReLU(), nn.Linear(embedding, middle))
        self.second = nn.Sequential(nn.Conv1d(middle, after, 3, 1, 1), nn.GroupNorm(8, after), nn.ReLU())
        self.skip = nn.Conv1d(before, after, 1) if before != after else nn.Identity()

    def forward(
        self, x: Float[Tensor, "gal before pix"], embedding: Float[Tensor, "gal emb"]
    ) -> Float[Tensor, "gal after pix"]:
        return self.second(self.first(x) + self.step(embedding)[..., None]) + self.skip(x)


class MultiHead(nn.Module):
    """Multi-head attention from `channels` to `given` channels (Vaswani et al. 2017)."""

    def __init__(self, channels: int, given: int):
        super().__init__()
        self.heads = channels // HEAD
        self.query = nn.Linear(channels, channels, bias=False)
        self.key, self.value = nn.Linear(given, channels, bias=False), nn.Linear(given, channels, bias=False)
        self.out = nn.Linear(channels, channels)

    def forward(
        self, x: Float[Tensor, "gal place channel"], given: Float[Tensor, "gal other feature"]
    ) -> Float[Tensor, "gal place channel"]:
        return self.out(attend(self.query(x), self.key(given), self.value(given), self.heads))


class Gated(nn.Module):
    """Feed-forward layer with a gated GELU (Shazeer 2020)."""

    def __init__(self, channels: int):
        super().__init__()
        self.wide, self.narrow = nn.Linear(channels, 8 * channels), nn.Linear(4 * channels, channels)

    def forward(self, x: Float[Tensor, "gal place channel"]) -> Float[Tensor, "gal place channel"]:
        value, gate = self.wide(x).chunk(2, -1)
        return self.narrow(value * functional.gelu(gate))


class Transformer(nn.Module):
    """Self-attention, attention to the image and feed-forward layer (Rombach et al. 2022), added to the input."""

    def __init__(self, channels: int, token: int):
        super().__init__()
        self.enter = nn.Sequential(nn.GroupNorm(32, channels, eps=1e-6), nn.Conv1d(channels, channels, 1))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))
        self.own, self.image = MultiHead(channels, channels), MultiHead(channels, token)
        self.forwards = Gated(channels)
        self.leave = zeroed(nn.Conv1d(channels, channels, 1))

    def forward(
        self, x: Float[Tensor, "gal channel pix"], tokens: Float[Tensor, "gal token feature"]
    ) -> Float[Tensor, "gal channel pix"]:
        h = self.enter(x).transpose(1, 2)
        normed = self.norms[0](h)
        h = h + self.own(normed, normed)
        h = h + self.image(self.norms[1](h), tokens)
        h = h + self.forwards(self.norms[2](h))
        return x + self.leave(h.transpose(1, 2))


class PaperUNet(nn.Module):
    """Output (gal, pix) from a noisy spectrum and `conditions` further ones, their noise level, and the image's tokens.

    `widths` are the channels of all levels but the coarsest, which has as many as the one above; `attention` lists the
    levels where a transformer follows the block.
    """

    def __init__(self, pixels: int, conditions: int, token: int, features: int, settings):
        super().__init__()
        widths, embedding = settings.widths, 4 * settings.widths[0]
        self.pixels, self.noise = pixels, NoiseEmbedding(embedding, 4 * embedding, embedding // 2)
        before, after = [1 + conditions, *widths[:-1]], [widths[0], *widths[:-1]]
        levels, attended = range(len(widths)), settings.attention
        self.down = nn.ModuleList(PaperBlock(before[i], widths[i], widths[i], embedding) for i in levels)
        self.down_attention = nn.ModuleDict({str(i): Transformer(widths[i], token) for i in attended})
        self.coarser = nn.ModuleList(nn.Conv1d(width, width, 3, stride=2) for width in widths)
        most = widths[-1]
        self.middle = nn.ModuleList(PaperBlock(most, most, most, embedding) for _ in range(2))
        self.middle_attention = Transformer(most, token)
        self.finer = nn.ModuleList(nn.ConvTranspose1d(width, width, 4, 2, 1) for width in widths)
        self.up = nn.ModuleList(PaperBlock(2 * widths[i], widths[i], after[i], embedding) for i in levels)
        self.up_attention = nn.ModuleDict({str(i): Transformer(after[i], token) for i in attended})
        self.last = nn.Conv1d(widths[0], 1, 1)

    def forward(
        self, stack: Float[Tensor, "gal spectrum pix"], noise: Float[Tensor, " gal"], context: Context
    ) -> Float[Tensor, "gal pix"]:
        embedding, kept, h = self.noise(noise), [], stack
        for number, block in enumerate(self.down):
            h = block(h, embedding)
            if str(number) in self.down_attention:
                h = self.down_attention[str(number)](h, context.tokens)
            kept.append(h)
            h = self.coarser[number](h)
        h = self.middle_attention(self.middle[0](h, embedding), context.tokens)
        h = self.middle[1](h, embedding)
        for number in reversed(range(len(self.up))):
            skip = kept[number]
            h = self.finer[number](h)
            short = skip.shape[-1] - h.shape[-1]
            h = torch.cat([functional.pad(h, (short // 2, short - short // 2)), skip], 1)
            h = self.up[number](h, embedding)
            if str(number) in self.up_attention:
                h = self.up_attention[str(number)](h, context.tokens)
        return self.last(h)[:, 0]
