"""Encoders: residual networks in one and two dimensions, and the context in which a denoiser works."""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from sanspec.nets.data import Galaxies, cropped
from sanspec.nets.parallel import SharedNorm

CONV = {1: nn.Conv1d, 2: nn.Conv2d}
POOL = {1: nn.MaxPool1d, 2: nn.MaxPool2d}
Images = Float[Tensor, "gal band y x"]


class Context(NamedTuple):
    """What a denoiser is conditioned on.

    tokens: (gal, token, channel), places in the image to attend to.
    vector: (gal, feature), the image as a whole.
    sketch: (gal, 0 or 1, pix), the spectrum expected given the image, standardised.
    condition: (gal, 0 or 1, pix), another spectrum, standardised.
    """

    tokens: Float[Tensor, "gal token channel"]
    vector: Float[Tensor, "gal feature"]
    sketch: Float[Tensor, "gal sketch pix"]
    condition: Float[Tensor, "gal given pix"]

    def repeat(self, times: int) -> "Context":
        """The context with each galaxy repeated `times` times in a row."""
        return Context(*(part.repeat_interleave(times, 0) for part in self))


def perceptron(features: int, hidden: int, dropout: float, outputs: int) -> nn.Sequential:
    """A perceptron with one hidden layer."""
    first, last = nn.Linear(features, hidden), nn.Linear(hidden, outputs)
    return nn.Sequential(first, nn.SiLU(), nn.Dropout(dropout), last)


def fold(x: Float[Tensor, "gal channel *place"], patch: int) -> Float[Tensor, "gal folded *coarse"]:
    """Space to depth: `patch` neighbours along each axis folded into channels; the far edge is repeated as padding."""
    if patch == 1:
        return x
    if x.ndim == 4:
        x = functional.pad(x, (0, -x.shape[-1] % patch, 0, -x.shape[-2] % patch), mode="replicate")
        return functional.pixel_unshuffle(x, patch)
    x = functional.pad(x, (0, -x.shape[-1] % patch), mode="replicate")
    return x.unflatten(-1, (-1, patch)).movedim(-1, 2).flatten(1, 2)


def unfold(x: Float[Tensor, "gal folded coarse"], patch: int) -> Float[Tensor, "gal channel pix"]:
    """Depth to space along the axis of a spectrum: the inverse of `fold`."""
    return x.unflatten(1, (-1, patch)).movedim(2, -1).flatten(2)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with 8 groups, or as many of 4, 2, 1 as divide the channels."""
    return nn.GroupNorm(next(count for count in (8, 4, 2, 1) if channels % count == 0), channels)


class Block(nn.Module):
    """Two convolutions, each with group normalisation and SiLU, around a skip connection."""

    def __init__(self, dim: int, before: int, after: int, dropout: float = 0.0):
        super().__init__()
        self.body = nn.Sequential(
            CONV[dim](before, after, 3, padding=1),
            group_norm(after),
            nn.SiLU(),
            nn.Dropout(dropout),
            CONV[dim](after, after, 3, padding=1),
            group_norm(after),
            nn.SiLU(),
        )
        self.skip = CONV[dim](before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Float[Tensor, "gal before *place"]) -> Float[Tensor, "gal after *place"]:
        return self.body(x) + self.skip(x)


class Stages(nn.Module):
    """Stages of residual blocks and strided convolutions (dim=1: the spectrum encoder of Doorenbos et al. 2024).

    Returns (gal, channels, *place), with every axis coarser by `patch` * 2**len(widths).
    """

    def __init__(
        self, dim: int, before: int, widths: tuple[int, ...], blocks: int, patch: int, dropout: float = 0.0
    ):
        super().__init__()
        self.patch, self.channels = patch, widths[-1]
        before = before * patch**dim
        layers = []
        for width in widths:
            layers += [Block(dim, before if first == 0 else width, width, dropout) for first in range(blocks)]
            layers += [CONV[dim](width, width, 3, stride=2, padding=1)]
            before = width
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "gal band *place"]) -> Float[Tensor, "gal channel *coarse"]:
        return self.layers(fold(x, self.patch))


class Unit(nn.Module):
    """A residual unit of He et al. 2016: basic (3, 3) or bottleneck (1, 3, 1) convolutions, batch-normalised."""

    def __init__(self, dim: int, before: int, width: int, stride: int, bottleneck: bool):
        super().__init__()
        after = width * (4 if bottleneck else 1)
        shapes = [(before, width, 3, stride), (width, after, 3, 1)]
        if bottleneck:
            shapes = [(before, width, 1, 1), (width, width, 3, stride), (width, after, 1, 1)]
        layers = []
        for start, stop, kernel, step in shapes:
            convolution = CONV[dim](start, stop, kernel, step, kernel // 2, bias=False)
            layers += [convolution, SharedNorm(stop), nn.ReLU()]
        self.body = nn.Sequential(*layers[:-1])
        self.skip = nn.Identity()
        if stride != 1 or before != after:
            self.skip = nn.Sequential(CONV[dim](before, after, 1, stride, bias=False), SharedNorm(after))

    def forward(self, x: Float[Tensor, "gal before *place"]) -> Float[Tensor, "gal after *coarse"]:
        return functional.relu(self.body(x) + self.skip(x))


class ResNet(nn.Module):
    """The residual network of He et al. 2016 (table 1) up to its last convolution, with 18 or 50 layers."""

    def __init__(self, dim: int, before: int, depth: int):
        super().__init__()
        counts, bottleneck = {18: ((2, 2, 2, 2), False), 50: ((3, 4, 6, 3), True)}[depth]
        stem = [CONV[dim](before, 64, 7, 2, 3, bias=False), SharedNorm(64), nn.ReLU(), POOL[dim](3, 2, 1)]
        units, channels = [], 64
        for stage, count in enumerate(counts):
            width = 64 * 2**stage
            for number in range(count):
                units.append(Unit(dim, channels, width, 2 if stage and number == 0 else 1, bottleneck))
                channels = width * (4 if bottleneck else 1)
        self.layers, self.channels = nn.Sequential(*stem, *units), channels

    def forward(self, x: Float[Tensor, "gal band *place"]) -> Float[Tensor, "gal channel *coarse"]:
        return self.layers(x)


class Apertures(nn.Module):
    """Circular-aperture fluxes of the whole image, asinh-scaled and whitened over the training split.

    Colours are small differences of large numbers; whitening scales them to the same size as the brightness. The
    eigenvalue floor of (0.02)^2 limits the amplification of directions that are photon noise.
    """

    FLOOR = 0.02**2

    def __init__(self, radii: tuple[float, ...], softening: Float[Tensor, " band"], size: int):
        super().__init__()
        axis = torch.arange(size) - (size - 1) / 2
        distance = torch.hypot(axis[:, None], axis[None, :])
        weight = torch.stack([(radius + 0.5 - distance).clamp(0, 1) for radius in radii])
        self.channels = len(radii) * len(softening)
        self.register_buffer("weight", weight)
        self.register_buffer("noise", softening[:, None] * weight.sum((1, 2)).sqrt())
        self.register_buffer("mean", torch.zeros(self.channels))
        self.register_buffer("whiten", torch.eye(self.channels))

    def magnitudes(self, images: Images) -> Float[Tensor, "gal feature"]:
        """asinh magnitudes (Lupton et al. 1999) of each band and radius, sign reversed."""
        return torch.asinh(torch.einsum("gbyx,ryx->gbr", images, self.weight) / self.noise).flatten(1)

    def fit(self, blocks: Iterable[Images]) -> None:
        """Measure mean and whitening on the training images, given block by block."""
        features = torch.cat([self.magnitudes(block) for block in blocks]).double()
        self.mean.copy_(features.mean(0))
        values, vectors = torch.linalg.eigh(
            torch.cov(features.T) if len(features) > 1 else torch.eye(self.channels).double()
        )
        self.whiten.copy_(vectors / (values.clamp(min=0) + self.FLOOR).sqrt())

    def forward(self, images: Images) -> Float[Tensor, "gal feature"]:
        return (self.magnitudes(images) - self.mean) @ self.whiten


class Stamp(nn.Module):
    """An image as networks take it: cropped, binned, and asinh(image / softening) standardised per band."""

    def __init__(self, statistics: dict, size: int, crop: int, bin: int):
        super().__init__()
        self.size, self.crop, self.bin = size, crop, bin
        for name in ("softening", "mean", "std"):
            self.register_buffer(name, torch.as_tensor(statistics[name], dtype=torch.float32))

    def forward(self, images: Images, offset: Shaped[Tensor, "gal 2"]) -> Float[Tensor, "gal band y2 x2"]:
        stamps = functional.avg_pool2d(cropped(images, offset, self.size - self.crop), self.bin)
        column = (None, slice(None), None, None)
        return (torch.asinh(stamps / self.softening[column]) - self.mean[column]) / self.std[column]


class ImageEncoder(nn.Module):
    """Tokens and a vector from images, by a convolutional trunk and, in parallel, a perceptron of aperture fluxes.

    `channels` is the size of a token, `features` that of the vector.
    """

    def __init__(self, settings, train, statistics: dict, size: int):
        super().__init__()
        bands = len(statistics["softening"])
        self.stamp = Stamp(statistics, size, train.crop, train.bin)
        self.small = settings.encoder == "small"
        if self.small:
            self.trunk = Stages(2, bands, settings.encoder_widths, 1, 2, settings.dropout)
        else:
            self.trunk = ResNet(2, bands, int(settings.encoder.removeprefix("resnet")))
        self.channels, self.apertures = self.trunk.channels, None
        self.features = self.channels * (2 if self.small else 1)
        if settings.apertures:
            self.apertures = Apertures(settings.apertures, self.stamp.softening, size)
            self.perceptron = perceptron(self.apertures.channels, 128, settings.dropout, 128)
            self.features += 128

    def fit(self, galaxies: Galaxies) -> None:
        """Measure the statistics of the training images before training."""
        if self.apertures is not None:
            rows = torch.arange(len(galaxies)).split(1024)
            self.apertures.fit(galaxies.take(part).flux() for part in rows)

    def forward(
        self, galaxies: Galaxies
    ) -> tuple[Float[Tensor, "gal token channel"], Float[Tensor, "gal feature"]]:
        images = galaxies.flux()
        maps = self.trunk(self.stamp(images, galaxies.offset)).flatten(2)
        parts = [maps.mean(2), maps.amax(2)] if self.small else [maps.mean(2)]
        if self.apertures is not None:
            parts.append(self.perceptron(self.apertures(images)))
        return maps.transpose(1, 2), torch.cat(parts, 1)
