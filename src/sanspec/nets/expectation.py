"""Expectation of a spectrum given an image, which conditions the denoiser: a sketch, and a redshift that is drawn.

Without it, a denoiser chooses the redshift of each part of a spectrum separately, and one draw has lines at several
redshifts. Here a redshift is drawn first, from its distribution given the image; the sketch, a sum of rest-frame
principal components, is moved to that redshift and shows the denoiser where every feature lies.
"""

import math

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from sanspec.nets.encoders import perceptron

Pixels = Float[Tensor, " pix"]

STEP = 1e-4  # of ln(wavelength) in the rest frame, per Angstrom of a pixel
FARTHEST = 0.5  # redshift to which the rest-frame grid reaches
BASIS = 30_000_000  # maximum number of values in the spectra that principal components are taken from
MARGIN = 8  # components computed beyond those kept, for their precision (Halko et al. 2011)
Vectors = Float[Tensor, "gal feature"]
Redshifts = Float[Tensor, " gal"]
Spectra = Float[Tensor, "gal pix"]


def principal(
    spectra: Spectra, components: int
) -> tuple[Float[Tensor, "component pix"], Float[Tensor, " component"]]:
    """Leading principal components of centred spectra, and the standard deviation along each.

    `components` of them, or fewer if there are fewer spectra or pixels. Deterministic: torch's generators stay as
    they are.
    """
    count, devices = min(components, *spectra.shape), [spectra.device] if spectra.is_cuda else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        _, values, vectors = torch.pca_lowrank(spectra, min(count + MARGIN, *spectra.shape), center=False)
    return vectors.T[:count], (values[:count] / len(spectra) ** 0.5).clamp(min=1e-6)


class RestFrame(nn.Module):
    """Spectra on an observed-frame grid from mean and principal components in the rest frame, constant beyond its ends.

    wave: (pix) vacuum Angstrom, observed frame.
    """

    def __init__(self, wave: Pixels, components: int):
        super().__init__()
        log, self.step = wave.double().log(), STEP * float(wave[1] - wave[0])
        self.start = float(log[0]) - math.log(1 + FARTHEST)
        count = math.ceil((float(log[-1]) - self.start) / self.step) + 2
        self.register_buffer("log_wave", (log - self.start).float(), persistent=False)
        self.register_buffer("log_rest", (torch.arange(count) * self.step).float(), persistent=False)
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("vectors", torch.zeros(components, count))
        self.register_buffer("spread", torch.ones(components))

    def fit(
        self, spectra: Shaped[Tensor, "gal pix"], mask: Bool[Tensor, "gal pix"], z: Redshifts, fill: Pixels
    ) -> None:
        """Measure mean and components on spectra at their redshifts; masked pixels take the value of `fill`."""
        every = -(-len(spectra) * len(self.mean) // BASIS)
        rows = torch.arange(0, len(spectra), every, device=z.device).split(256)
        blocks = [self._at_rest(torch.where(mask[i], spectra[i].float(), fill), z[i]) for i in rows]
        rest, seen = map(torch.cat, zip(*blocks))
        self.mean.copy_(torch.where(seen, rest, 0).sum(0) / seen.sum(0).clamp(min=1))
        excess = torch.where(seen, rest - self.mean, 0)
        vectors, spread = principal(excess, len(self.vectors))
        self.vectors[: len(vectors)], self.spread[: len(spread)] = vectors, spread

    def _at_rest(self, spectra: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Rest-frame spectra (gal, rest), linearly interpolated, and the pixels that they cover."""
        log = self.log_rest + (1 + z[:, None]).log()
        right = torch.searchsorted(self.log_wave, log.contiguous()).clamp(1, len(self.log_wave) - 1)
        low, high = self.log_wave[right - 1], self.log_wave[right]
        share = (log - low) / (high - low)
        rest = torch.lerp(spectra.gather(1, right - 1), spectra.gather(1, right), share.clamp(0, 1))
        return rest, (share >= 0) & (share <= 1)

    def forward(self, weights: Float[Tensor, "gal component"], z: Redshifts) -> Spectra:
        """Spectra at redshift z (0 to FARTHEST); weights in standard deviations of the components."""
        rest = self.mean + (weights * self.spread) @ self.vectors
        place = (self.log_wave - (1 + z.clamp(0, FARTHEST)[:, None]).log()) / self.step
        left = place.floor().clamp(0, rest.shape[1] - 2)
        below, above = rest.gather(1, left.long()), rest.gather(1, left.long() + 1)
        return torch.lerp(below, above, (place - left).clamp(0, 1))


class Sketch(nn.Module):
    """The spectrum expected given an image and, if `moved`, a redshift, at which it is then a log spectrum; else it is
    standardised.

    A regression, and a diffusion of what it leaves undetermined, as in Mardani et al. 2023, but trained together.
    """

    def __init__(self, features: int, wave: Pixels, settings, moved: bool):
        super().__init__()
        self.frame = RestFrame(wave, settings.components) if moved else None
        outputs = settings.components if moved else len(wave)
        self.body = perceptron(features, settings.sketch, settings.dropout, outputs)

    def forward(self, vector: Vectors, z: Redshifts | None = None) -> Spectra:
        values = self.body(vector)
        return values if self.frame is None else self.frame(values.float(), z)


def smoother(count: int, width: float) -> Float[Tensor, "bin bin"]:
    """Matrix that smooths rows of `count` values with a Gaussian of standard deviation `width` [bins]; 0: the identity.

    The weights of every value sum to 1, at the ends too.
    """
    place = torch.arange(count, dtype=torch.float32)
    if not width:
        return torch.eye(count)
    weight = torch.exp(-0.5 * ((place[:, None] - place) / width) ** 2)
    return weight / weight.sum(0)


class RedshiftScale(nn.Module):
    """Standardised redshifts: in standard deviations from their mean over the training galaxies."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, z: Redshifts) -> None:
        """Measure mean and standard deviation of the training redshifts."""
        self.mean.copy_(z.mean())
        self.scale.copy_(z.std(correction=0).clamp(min=1e-4))

    def standard(self, z: Redshifts) -> Float[Tensor, "gal 1"]:
        """Standardised redshifts."""
        return ((z - self.mean) / self.scale)[:, None]


class RedshiftOdds(RedshiftScale):
    """Distribution of the redshift given an image: a histogram over the range of the training redshifts.

    Its log odds are smoothed, so that neighbouring bins learn from each other's galaxies, as a survey of only thousands
    requires; the odds themselves may still fall as steeply as the images allow.
    """

    def __init__(self, features: int, settings):
        super().__init__()
        self.body = perceptron(features, settings.sketch, settings.dropout, settings.bins)
        self.register_buffer("kernel", smoother(settings.bins, settings.smoothing), persistent=False)
        self.register_buffer("edges", torch.linspace(0, 1, settings.bins + 1))

    def fit(self, z: Redshifts) -> None:
        """Measure range, mean and standard deviation of the training redshifts."""
        super().fit(z)
        low, high = float(z.min()), max(float(z.max()), float(z.min()) + 1e-3)
        self.edges.copy_(torch.linspace(low, high, len(self.edges)))

    def forward(self, vector: Vectors) -> Float[Tensor, "gal bin"]:
        """Log odds of the bins, up to a constant."""
        return self.body(vector).float() @ self.kernel

    def loss(self, vector: Vectors, z: Redshifts) -> Float[Tensor, ""]:
        """Mean negative log probability of the bin of the true redshift."""
        bins = torch.searchsorted(self.edges, z.contiguous(), right=True) - 1
        return functional.cross_entropy(self(vector), bins.clamp(0, len(self.edges) - 2))

    def draw(self, vector: Vectors, uniform: Float[Tensor, " gal"]) -> Redshifts:
        """The redshift at cumulative probability `uniform` of each image's distribution."""
        odds = self(vector).softmax(1)
        total = odds.cumsum(1)
        aim = uniform[:, None] * total[:, -1:]
        number = torch.searchsorted(total, aim).clamp(max=odds.shape[1] - 1)
        inside = 1 - (total.gather(1, number) - aim) / odds.gather(1, number).clamp(min=1e-12)
        low, width = self.edges[number], self.edges[1] - self.edges[0]
        return (low + inside.clamp(0, 1) * width)[:, 0]
