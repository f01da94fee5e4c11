"""Conditional diffusion networks of coarse and of fine spectra.

A network sees x = x0 + noise * n and is preconditioned as D = c_skip x + c_out F(c_in x) (Karras et al. 2022,
eq. 7); with the data at unit variance

    edm      c_skip = 1 / (noise^2 + 1)    c_out = noise / sqrt(noise^2 + 1)    c_in = 1 / sqrt(noise^2 + 1)
    epsilon  c_skip = 1                    c_out = -noise                       the same (Ho et al. 2020)

and the loss is the mean square of F minus what would make D = x0: eq. 8 with weight 1 / c_out^2, and Ho's
simple loss.
"""

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional

from sanspec.nets import parallel
from sanspec.nets.data import Galaxies
from sanspec.nets.encoders import Context, ImageEncoder
from sanspec.nets.expectation import RedshiftOdds, RedshiftScale, RestSketch, Sketch
from sanspec.nets.sampler import cosine_levels
from sanspec.nets.unet import UNet
from sanspec.nets.unet_paper import PaperUNet

BODIES = {"unet": UNet, "paper": PaperUNet}
VALID_LEVELS = 4  # noise levels a galaxy in the validation loss
ODDS = 0.1  # weight of the redshift's cross-entropy beside the mean squares


def masked_mean(values: Float[Tensor, "gal pix"], mask: Bool[Tensor, "gal pix"]) -> Float[Tensor, ""]:
    """Mean over the pixels that count, so weighted that the mean over ranks is that of the whole batch; 0 where
    none does.
    """
    return torch.where(mask, values, 0).sum() / parallel.mean(mask.sum().float()).clamp(min=1)


class Standard(nn.Module):
    """Spectra less their mean over the training split, in units of their standard deviation (one number for
    all pixels).
    """

    def __init__(self, pixels: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(pixels))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, spectra: Shaped[Tensor, "gal pix"], mask: Bool[Tensor, "gal pix"]) -> None:
        """Mean and standard deviation over the unmasked pixels, block by block in double precision."""
        total, count = (
            torch.zeros(len(self.mean), dtype=torch.float64, device=self.mean.device) for _ in range(2)
        )
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

    def forward(self, spectra: Shaped[Tensor, "gal pix"]) -> Float[Tensor, "gal pix"]:
        return (spectra.float() - self.mean) / self.scale

    def inverse(self, standard: Float[Tensor, "gal pix"]) -> Float[Tensor, "gal pix"]:
        """Spectra as they were."""
        return standard * self.scale + self.mean


class Align(nn.Module):
    """A coarse spectrum on the fine grid: linear between the coarse pixels' centres, constant beyond the
    outer two.
    """

    def __init__(self, wave: Float[Tensor, " pix"], coarse_wave: Float[Tensor, " coarse"]):
        super().__init__()
        left = (torch.searchsorted(coarse_wave, wave, right=True) - 1).clamp(0, len(coarse_wave) - 2)
        share = (wave - coarse_wave[left]) / (coarse_wave[left + 1] - coarse_wave[left])
        self.register_buffer("left", left, persistent=False)
        self.register_buffer("share", share.clamp(0, 1).float(), persistent=False)

    def forward(self, coarse: Float[Tensor, "gal coarse"]) -> Float[Tensor, "gal pix"]:
        return torch.lerp(coarse[:, self.left], coarse[:, self.left + 1], self.share)


class Diffusion(nn.Module):
    """The distribution of a standardised spectrum (gal, pix) given an image, and given `conditions` other
    spectra.
    """

    metric = "loss"

    def __init__(
        self, settings, train, statistics: dict, size: int, wave: Float[Tensor, " pix"], conditions: int = 0
    ):
        super().__init__()
        self.settings, self.pixels = settings, len(wave)
        self.encoder = ImageEncoder(settings, train, statistics, size)
        self.sketch, self.odds, pixels, features = None, None, len(wave), self.encoder.features
        self.told = RedshiftScale() if settings.redshift == "given" else None
        if settings.redshift == "drawn":
            self.odds = RedshiftOdds(features, settings)
        if self.redshift is not None:
            features += 1
            self.sketch = RestSketch(features, wave, settings)
        elif settings.sketch:
            self.sketch = Sketch(features, pixels, settings)
        body, given = BODIES[settings.architecture], conditions + (self.sketch is not None)
        self.body = body(pixels, given, self.encoder.channels, features, settings)
        self.standard = Standard(pixels)
        levels = torch.tensor(cosine_levels(settings.cosine_steps))
        self.register_buffer("levels", levels, persistent=False)

    @property
    def redshift(self) -> RedshiftScale | None:
        """How redshifts are told to the network; None where it takes none."""
        return self.odds if self.told is None else self.told

    def encode(self, galaxies: Galaxies) -> Context:
        """What the images tell, computed once for all steps and draws; `at` makes it whole."""
        tokens, vector = self.encoder(galaxies)
        return Context(tokens, vector, vector.new_zeros(len(vector), 0, self.pixels))

    def at(self, image: Context, z: Float[Tensor, " gal"] | None) -> Context:
        """What the denoiser is told of images: also the sketch, and the redshift where it takes one."""
        if self.sketch is None:
            return image
        if self.redshift is None:
            return image._replace(sketch=self.sketch(image.vector)[:, None])
        vector = torch.cat([image.vector, self.redshift.standard(z)], 1)
        expected = self.standard(self.diffused(self.sketch(vector, z)))
        return image._replace(vector=vector, sketch=expected[:, None])

    def diffused(self, spectra: Float[Tensor, "gal pix"]) -> Float[Tensor, "gal pix"]:
        """What is left of log spectra for the diffusion, before it is standardised: here all."""
        return spectra

    def network(
        self, x: Tensor, noise: Tensor, context: Context, condition: Tensor
    ) -> Float[Tensor, "gal pix"]:
        """The network F itself, fed with sketch and condition."""
        given = torch.cat([context.sketch, condition], 1)
        return self.body(x, noise, context, given).float()

    def precondition(self, noise: Float[Tensor, "gal 1"]) -> tuple[Tensor, Tensor, Tensor]:
        """c_skip, c_out, c_in at each noise level."""
        inside = (noise.square() + 1).rsqrt()
        if self.settings.prediction == "epsilon":
            return torch.ones_like(noise), -noise, inside
        return inside.square(), noise * inside, inside

    def denoise(
        self,
        x: Float[Tensor, "gal pix"],
        noise: Float[Tensor, " gal"],
        context: Context,
        condition: Float[Tensor, "gal given pix"],
    ) -> Float[Tensor, "gal pix"]:
        """The expectation of x0 given x, the image and the condition."""
        skip, out, inside = self.precondition(noise[:, None])
        return skip * x + out * self.network(inside * x, noise, context, condition)

    def draw_levels(self, uniform: Float[Tensor, " gal"]) -> Float[Tensor, " gal"]:
        """Noise levels of the training distribution at cumulative probabilities `uniform`."""
        if self.settings.noise == "cosine":
            return self.levels[(uniform * len(self.levels)).long().clamp(max=len(self.levels) - 1)]
        normal = torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6))
        return (self.settings.noise_mean + self.settings.noise_std * normal).exp()

    def denoising_loss(
        self,
        context: Context,
        clean: Float[Tensor, "gal pix"],
        mask: Bool[Tensor, "gal pix"],
        condition: Float[Tensor, "gal given pix"],
        uniform: Float[Tensor, " gal"],
        normal: Float[Tensor, "gal pix"],
    ) -> Float[Tensor, ""]:
        """The mean square of F less what it should be, at given noise levels and noise."""
        noise = self.draw_levels(uniform)
        x = clean + noise[:, None] * normal
        skip, out, inside = self.precondition(noise[:, None])
        output = self.network(inside * x, noise, context, condition)
        return masked_mean((output - (clean - skip * x) / out).square(), mask)

    def loss(self, batch: Galaxies) -> Float[Tensor, ""]:
        """The training loss of a batch, its noise drawn from the global generator: of the denoiser and of the
        sketch.
        """
        image, (clean, mask, condition) = self.encode(batch), self.target(batch)
        context = self.at(image, batch.z)
        count, device = len(clean) * parallel.ranks(), clean.device
        uniform = (torch.randperm(count, device=device) + torch.rand(count, device=device)) / count
        uniform, normal = map(parallel.rows, (uniform, torch.randn(count, self.pixels, device=device)))
        loss = self.denoising_loss(context, clean, mask, condition, uniform, normal)
        if self.sketch is None:
            return loss
        loss = loss + masked_mean((context.sketch[:, 0] - clean).square(), mask)
        return loss if self.odds is None else loss + ODDS * self.odds.loss(image.vector, batch.z)

    def validate(self, batches: list[Galaxies]) -> dict[str, float]:
        """The denoising loss at fixed quantiles of the noise distribution and with fixed noise: equal from
        call to call.
        """
        total = count = 0
        for number, batch in enumerate(batches):
            context, target = self.at(self.encode(batch), batch.z), self.target(batch)
            generator = torch.Generator().manual_seed(number)
            for level in range(VALID_LEVELS):
                spread = (torch.arange(len(batch)) + 0.5) / len(batch)
                uniform = ((spread + level / VALID_LEVELS) % 1).to(batch.images.device)
                normal = torch.randn(len(batch), self.pixels, generator=generator).to(batch.images.device)
                total += float(self.denoising_loss(context, *target, uniform, normal)) * len(batch)
                count += len(batch)
        return {"loss": total / count}


class CoarseDiffusion(Diffusion):
    """The coarse log spectrum from the image."""

    def fit(self, galaxies: Galaxies) -> None:
        """Standardisation from the training galaxies."""
        self.encoder.fit(galaxies)
        self.standard.fit(galaxies.coarse, galaxies.coarse_mask)
        if self.odds is not None:
            self.odds.fit(galaxies.z)
            self.sketch.frame.fit(galaxies.coarse, galaxies.coarse_mask, galaxies.z, self.standard.mean)

    def target(self, batch: Galaxies) -> tuple[Tensor, Tensor, Tensor]:
        """What is diffused (gal, pix), which pixels count, and the condition (none)."""
        return (
            self.standard(batch.coarse),
            batch.coarse_mask,
            batch.coarse.new_zeros(len(batch), 0, self.pixels, dtype=torch.float32),
        )

    def condition(
        self, coarse: Float[Tensor, "gal pix"] | None, count: int
    ) -> Float[Tensor, "gal given pix"]:
        """No condition."""
        return self.standard.mean.new_zeros(count, 0, self.pixels)

    def restore(self, x: Float[Tensor, "gal pix"], coarse: None) -> Float[Tensor, "gal pix"]:
        """Log flux from a draw."""
        return self.standard.inverse(x)


class FineDiffusion(Diffusion):
    """The fine log spectrum from the image and a coarse one: a residual around the aligned coarse spectrum,
    or itself.

    Noise on the coarse spectrum in training (conditioning augmentation, Ho et al. 2021) readies the network
    for generated ones; the residual is taken from the coarse spectrum before that noise.
    """

    def __init__(
        self,
        settings,
        train,
        statistics: dict,
        size: int,
        wave: Float[Tensor, " pix"],
        coarse_wave: Float[Tensor, " coarse"],
    ):
        super().__init__(settings, train, statistics, size, wave, conditions=1)
        self.align, self.given = Align(wave, coarse_wave), Standard(len(coarse_wave))
        self.block = -(-len(wave) // len(coarse_wave))

    def fit(self, galaxies: Galaxies) -> None:
        """Standardisations from the training galaxies."""
        self.encoder.fit(galaxies)
        self.given.fit(galaxies.coarse, galaxies.coarse_mask)
        pairs = zip(galaxies.fine.split(1024), galaxies.coarse.split(1024))
        diffused = [(fine.float() - self.base(coarse)).half() for fine, coarse in pairs]
        self.standard.fit(torch.cat(diffused), galaxies.fine_mask)
        if self.told is not None:
            self.told.fit(galaxies.z)
            fill = torch.zeros_like(self.standard.mean)
            self.sketch.frame.fit(galaxies.fine, galaxies.fine_mask, galaxies.z, fill)

    def base(self, coarse: Shaped[Tensor, "gal coarse"]) -> Float[Tensor, "gal pix"]:
        """What is subtracted from the fine spectrum before it is diffused."""
        aligned = self.align(coarse.float())
        return aligned if self.settings.target == "residual" else torch.zeros_like(aligned)

    def diffused(self, spectra: Float[Tensor, "gal pix"]) -> Float[Tensor, "gal pix"]:
        """Fine log spectra less what is subtracted, had they been binned to the coarse grid."""
        binned = functional.avg_pool1d(spectra[:, None], self.block, ceil_mode=True)[:, 0]
        return spectra - self.base(binned)

    def condition(self, coarse: Float[Tensor, "gal coarse"], count: int) -> Float[Tensor, "gal given pix"]:
        """The aligned, standardised coarse spectrum."""
        return self.align(self.given(coarse))[:, None]

    def target(self, batch: Galaxies) -> tuple[Tensor, Tensor, Tensor]:
        """What is diffused (gal, pix), which pixels count, and the condition, in training with noise."""
        coarse = batch.coarse.float()
        clean = self.standard(batch.fine.float() - self.base(coarse))
        if self.training:
            whole = len(coarse) * parallel.ranks(), coarse.shape[1]
            amount = self.settings.condition_noise * torch.rand(whole[0], 1, device=coarse.device)
            coarse = coarse + parallel.rows(amount * torch.randn(whole, device=coarse.device))
        return clean, batch.fine_mask, self.condition(coarse, len(coarse))

    def restore(
        self, x: Float[Tensor, "gal pix"], coarse: Float[Tensor, "gal coarse"]
    ) -> Float[Tensor, "gal pix"]:
        """Log flux from a draw around its coarse spectrum."""
        return self.standard.inverse(x) + self.base(coarse)
