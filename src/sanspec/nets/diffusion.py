"""Conditional diffusion networks of coarse and of fine spectra.

A network sees x = x0 + noise * n and is preconditioned as D = c_skip x + c_out F(c_in x) (Karras et al. 2022, eq. 7);
with the data at unit variance

    edm      c_skip = 1 / (noise^2 + 1)    c_out = noise / sqrt(noise^2 + 1)    c_in = 1 / sqrt(noise^2 + 1)
    epsilon  c_skip = 1                    c_out = -noise                       the same (Ho et al. 2020)

The loss is the mean square of F minus the value for which D = x0: for edm eq. 8 with weight 1 / c_out^2, for epsilon
the simple loss of Ho et al.
"""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from sanspec.nets import parallel
from sanspec.nets.data import Galaxies
from sanspec.nets.encoders import Context, ImageEncoder
from sanspec.nets.expectation import RedshiftOdds, RedshiftScale, Sketch
from sanspec.nets.sampler import cosine_levels
from sanspec.nets.unet import UNet
from sanspec.nets.unet_paper import PaperUNet

Wave = Float[Tensor, " pix"]

BODIES = {"unet": UNet, "paper": PaperUNet}
VALID_LEVELS = 4  # noise levels per galaxy in the validation loss
ODDS = 0.1  # weight of the redshift's cross-entropy in the loss, that of the mean squares being 1
Spectra = Float[Tensor, "gal pix"]
Mask = Bool[Tensor, "gal pix"]
Levels = Float[Tensor, " gal"]
Scalar = Float[Tensor, ""]


def masked_mean(values: Spectra, mask: Mask) -> Scalar:
    """Mean over unmasked pixels, 0 without any; weighted so that the mean over ranks is that of the whole batch."""
    return torch.where(mask, values, 0).sum() / parallel.mean(mask.sum().float()).clamp(min=1)


class Standard(nn.Module):
    """Spectra minus their mean over the training split, divided by one standard deviation for all pixels."""

    def __init__(self, pixels: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, spectra: Shaped[Tensor, "gal pix"], mask: Mask) -> None:
        """Measure mean and standard deviation over unmasked pixels, block by block in double precision."""
        total, count = self.mean.new_zeros(2, len(self.mean), dtype=torch.float64)
        for block, use in zip(spectra.split(1024), mask.split(1024)):
            total += torch.where(use, block, 0).double().sum(0)
            count += use.sum(0)
        mean = total / count.clamp(min=1)
        square = sum(
            torch.where(use, block - mean, 0).square().sum()
            for block, use in zip(spectra.split(1024), mask.split(1024))
        )
        self.mean.copy_(mean)
        self.scale.copy_((square / count.sum().clamp(min=1)).sqrt().clamp(min=1e-6))

    def forward(self, spectra: Shaped[Tensor, "gal pix"]) -> Spectra:
        return (spectra.float() - self.mean) / self.scale

    def inverse(self, standard: Spectra) -> Spectra:
        """Spectra from standardised ones."""
        return standard * self.scale + self.mean


class Align(nn.Module):
    """A coarse spectrum on the fine grid: linear between the coarse pixels' centres, constant beyond the outermost."""

    def __init__(self, wave: Wave, coarse_wave: Float[Tensor, " coarse"]):
        super().__init__()
        left = (torch.searchsorted(coarse_wave, wave, right=True) - 1).clamp(0, len(coarse_wave) - 2)
        share = (wave - coarse_wave[left]) / (coarse_wave[left + 1] - coarse_wave[left])
        self.register_buffer("left", left, persistent=False)
        self.register_buffer("share", share.clamp(0, 1).float(), persistent=False)

    def forward(self, coarse: Float[Tensor, "gal coarse"]) -> Spectra:
        return torch.lerp(coarse[:, self.left], coarse[:, self.left + 1], self.share)


class Diffusion(nn.Module):
    """Distribution of a standardised spectrum (gal, pix) given an image, and given `conditions` other spectra."""

    metric = "loss"

    def __init__(self, settings, train, statistics: dict, size: int, wave: Wave, conditions: int = 0):
        super().__init__()
        self.settings, self.pixels = settings, len(wave)
        self.encoder = ImageEncoder(settings, train, statistics, size)
        self.sketch, self.odds, features = None, None, self.encoder.features
        self.told = RedshiftScale() if settings.redshift == "given" else None
        if settings.redshift == "drawn":
            self.odds = RedshiftOdds(features, settings)
        features += self.redshift is not None
        if settings.sketch:
            self.sketch = Sketch(features, wave, settings, moved=self.redshift is not None)
        body, given = BODIES[settings.architecture], conditions + (self.sketch is not None)
        self.body = body(self.pixels, given, self.encoder.channels, features, settings)
        self.standard = Standard(self.pixels)
        levels = torch.tensor(cosine_levels(settings.cosine_steps))
        self.register_buffer("levels", levels, persistent=False)

    @property
    def redshift(self) -> RedshiftScale | None:
        """Scale of the redshift that conditions the network, drawn (`odds`) or given (`told`); None: there is none."""
        return self.odds if self.told is None else self.told

    def encode(self, galaxies: Galaxies) -> Context:
        """Context of the images, computed once for all steps and draws; `conditioned` and `at` complete it."""
        tokens, vector = self.encoder(galaxies)
        empty = vector.new_zeros(len(vector), 0, self.pixels)
        return Context(tokens, vector, empty, empty)

    def condition(self, batch: Galaxies) -> Tensor | None:
        """Spectra on which the network is conditioned in a batch: here none."""
        return None

    def conditioned(self, image: Context, spectra: Tensor | None) -> Context:
        """A context with the spectra on which the network is conditioned."""
        return image

    def at(self, image: Context, z: Float[Tensor, " gal"] | None) -> Context:
        """A context with the sketch and, if the network is conditioned on it, the redshift."""
        if self.sketch is None:
            return image
        if self.redshift is None:
            return image._replace(sketch=self.sketch(image.vector)[:, None])
        vector = torch.cat([image.vector, self.redshift.standard(z)], 1)
        expected = self.standard(self.diffused(self.sketch(vector, z)))
        return image._replace(vector=vector, sketch=expected[:, None])

    def diffused(self, spectra: Spectra) -> Spectra:
        """The part of log spectra that is diffused, before standardisation: here all."""
        return spectra

    def network(self, x: Spectra, noise: Levels, context: Context) -> Spectra:
        """Output F of the network."""
        stack = torch.cat([x[:, None], context.sketch, context.condition], 1)
        return self.body(stack, noise, context).float()

    def precondition(self, noise: Float[Tensor, "gal 1"]) -> tuple[Tensor, Tensor, Tensor]:
        """c_skip, c_out, c_in at each noise level."""
        inside = (noise.square() + 1).rsqrt()
        if self.settings.prediction == "epsilon":
            return torch.ones_like(noise), -noise, inside
        return inside.square(), noise * inside, inside

    def denoise(self, x: Spectra, noise: Levels, context: Context) -> Spectra:
        """Expectation of x0 given x and the context."""
        skip, out, inside = self.precondition(noise[:, None])
        return skip * x + out * self.network(inside * x, noise, context)

    def draw_levels(self, uniform: Levels) -> Levels:
        """Noise levels of the training distribution at cumulative probabilities `uniform`."""
        if self.settings.noise == "cosine":
            return self.levels[(uniform * len(self.levels)).long().clamp(max=len(self.levels) - 1)]
        normal = torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6))
        return (self.settings.noise_mean + self.settings.noise_std * normal).exp()

    def denoising_loss(
        self, context: Context, clean: Spectra, mask: Mask, uniform: Levels, normal: Spectra
    ) -> Scalar:
        """Mean square difference of F from its target, at given quantiles of the noise level and given noise."""
        noise = self.draw_levels(uniform)
        x = clean + noise[:, None] * normal
        skip, out, inside = self.precondition(noise[:, None])
        output = self.network(inside * x, noise, context)
        return masked_mean((output - (clean - skip * x) / out).square(), mask)

    def loss(self, batch: Galaxies) -> Scalar:
        """Training loss of a batch, of denoiser, sketch and redshift; its noise is drawn from the global generator."""
        image, condition, (clean, mask) = self.encode(batch), self.condition(batch), self.target(batch)
        context = self.at(self.conditioned(image, condition), batch.z)
        count, device = len(clean) * parallel.ranks(), clean.device
        uniform = (torch.randperm(count, device=device) + torch.rand(count, device=device)) / count
        uniform, normal = map(parallel.rows, (uniform, torch.randn(count, self.pixels, device=device)))
        loss = self.denoising_loss(context, clean, mask, uniform, normal)
        if self.sketch is None:
            return loss
        loss = loss + masked_mean((context.sketch[:, 0] - clean).square(), mask)
        return loss if self.odds is None else loss + ODDS * self.odds.loss(image.vector, batch.z)

    def validate(self, batches: list[Galaxies]) -> dict[str, float]:
        """Denoising loss at fixed quantiles of the noise level and with fixed noise: reproducible."""
        total = count = 0
        for number, batch in enumerate(batches):
            target = self.target(batch)
            context = self.at(self.conditioned(self.encode(batch), self.condition(batch)), batch.z)
            generator = torch.Generator().manual_seed(number)
            for level in range(VALID_LEVELS):
                spread = (torch.arange(len(batch)) + 0.5) / len(batch)
                uniform = ((spread + level / VALID_LEVELS) % 1).to(batch.images.device)
                normal = torch.randn(len(batch), self.pixels, generator=generator).to(batch.images.device)
                total += float(self.denoising_loss(context, *target, uniform, normal)) * len(batch)
                count += len(batch)
        return {"loss": total / count}


class CoarseDiffusion(Diffusion):
    """The coarse log spectrum given the image."""

    def fit(self, galaxies: Galaxies) -> None:
        """Measure the standardisation on the training galaxies."""
        self.encoder.fit(galaxies)
        self.standard.fit(galaxies.coarse, galaxies.coarse_mask)
        if self.odds is not None:
            self.odds.fit(galaxies.z)
            self.sketch.frame.fit(galaxies.coarse, galaxies.coarse_mask, galaxies.z, self.standard.mean)

    def target(self, batch: Galaxies) -> tuple[Spectra, Mask]:
        """Standardised spectra to be diffused, and their masks."""
        return self.standard(batch.coarse), batch.coarse_mask

    def restore(self, x: Spectra, coarse: None) -> Spectra:
        """Log flux of a draw."""
        return self.standard.inverse(x)


class FineDiffusion(Diffusion):
    """The fine log spectrum given the image and a coarse one: its residual from the aligned coarse spectrum, or all.

    Noise on the coarse spectrum in training (conditioning augmentation, Ho et al. 2021) makes the network robust to the
    errors of generated ones; the residual is from the coarse spectrum without that noise.
    """

    def __init__(
        self, settings, train, statistics: dict, size: int, wave: Wave, coarse_wave: Float[Tensor, " coarse"]
    ):
        super().__init__(settings, train, statistics, size, wave, conditions=1)
        self.align, self.given = Align(wave, coarse_wave), Standard(len(coarse_wave))
        self.block = -(-len(wave) // len(coarse_wave))

    def fit(self, galaxies: Galaxies) -> None:
        """Measure the standardisations on the training galaxies."""
        self.encoder.fit(galaxies)
        self.given.fit(galaxies.coarse, galaxies.coarse_mask)
        pairs = zip(galaxies.fine.split(1024), galaxies.coarse.split(1024))
        diffused = [(fine.float() - self.base(coarse)).half() for fine, coarse in pairs]
        self.standard.fit(torch.cat(diffused), galaxies.fine_mask)
        if self.told is not None:
            self.told.fit(galaxies.z)
            fill = torch.zeros_like(self.standard.mean)
            self.sketch.frame.fit(galaxies.fine, galaxies.fine_mask, galaxies.z, fill)

    def base(self, coarse: Shaped[Tensor, "gal coarse"]) -> Spectra:
        """Spectrum that is subtracted from the fine one before it is diffused."""
        aligned = self.align(coarse.float())
        return aligned if self.settings.target == "residual" else torch.zeros_like(aligned)

    def diffused(self, spectra: Spectra) -> Spectra:
        """Fine log spectra minus the base that they have when binned to the coarse grid."""
        binned = functional.avg_pool1d(spectra[:, None], self.block, ceil_mode=True)[:, 0]
        return spectra - self.base(binned)

    def condition(self, batch: Galaxies) -> Float[Tensor, "gal coarse"]:
        """Coarse spectra, in training with noise."""
        coarse = batch.coarse.float()
        if not self.training:
            return coarse
        whole = len(coarse) * parallel.ranks(), coarse.shape[1]
        amount = self.settings.condition_noise * torch.rand(whole[0], 1, device=coarse.device)
        return coarse + parallel.rows(amount * torch.randn(whole, device=coarse.device))

    def conditioned(self, image: Context, spectra: Float[Tensor, "gal coarse"]) -> Context:
        """A context with the aligned, standardised coarse spectra."""
        return image._replace(condition=self.align(self.given(spectra))[:, None])

    def target(self, batch: Galaxies) -> tuple[Spectra, Mask]:
        """Standardised spectra to be diffused, and their masks."""
        return self.standard(batch.fine.float() - self.base(batch.coarse.float())), batch.fine_mask

    def restore(self, x: Spectra, coarse: Float[Tensor, "gal coarse"]) -> Spectra:
        """Log flux of a draw, given its coarse spectrum."""
        return self.standard.inverse(x) + self.base(coarse)
