"""The spectrum directly from the image: the baseline that a generative network must be weighed against."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sanspec.nets.data import Galaxies
from sanspec.nets.diffusion import Standard, masked_mean
from sanspec.nets.encoders import ImageEncoder
from sanspec.nets.expectation import principal
from sanspec.nets.properties import PROPERTIES, measured

BASIS = 20_000  # training spectra that the principal components are taken from, at most
WEIGHT = 0.1  # of each property's mean square beside the spectrum's


class Regressor(nn.Module):
    """Principal components of the fine log spectrum from the image, trained for the mean square over unmasked
    pixels; beside them, on the same encoder, redshift, break and Halpha, without the way over a spectrum.
    """

    metric = "mse_log"

    def __init__(self, settings, train, statistics: dict, size: int, wave: Float[Tensor, " pix"]):
        super().__init__()
        pixels = len(wave)
        self.encoder = ImageEncoder(settings, train, statistics, size)
        self.head = nn.Sequential(
            nn.Linear(self.encoder.features, settings.hidden),
            nn.SiLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.hidden, settings.hidden),
            nn.SiLU(),
            nn.Linear(settings.hidden, settings.components),
        )
        self.told = nn.Sequential(
            nn.Linear(self.encoder.features, settings.hidden),
            nn.SiLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.hidden, len(PROPERTIES)),
        )
        self.standard = Standard(pixels)
        self.register_buffer("wave", wave.float(), persistent=False)
        self.register_buffer("told_mean", torch.zeros(len(PROPERTIES)))
        self.register_buffer("told_scale", torch.ones(len(PROPERTIES)))
        self.register_buffer("vectors", torch.zeros(settings.components, pixels))
        self.register_buffer("spread", torch.ones(settings.components))

    def fit(self, galaxies: Galaxies) -> None:
        """Standardisation and principal components of the training galaxies; masked pixels count as mean."""
        self.encoder.fit(galaxies)
        self.standard.fit(galaxies.fine, galaxies.fine_mask)
        step = -(-len(galaxies) // BASIS)
        spectra = torch.where(galaxies.fine_mask[::step], self.standard(galaxies.fine[::step]), 0)
        vectors, spread = principal(spectra, len(self.vectors))
        self.vectors[: len(vectors)], self.spread[: len(spread)] = vectors, spread
        parts = zip(galaxies.fine.split(1024), galaxies.z.split(1024))
        told = torch.cat([measured(fine, self.wave, z) for fine, z in parts])
        self.told_mean.copy_(told.mean(0))
        self.told_scale.copy_(told.std(0, correction=0).clamp(min=1e-4))

    def standardised(self, vector: Float[Tensor, "gal feature"]) -> Float[Tensor, "gal pix"]:
        """The prediction in standardised log flux, from what the encoder gives."""
        return (self.head(vector).float() * self.spread) @ self.vectors

    def predict(self, galaxies: Galaxies) -> Float[Tensor, "gal pix"]:
        """Natural log of the normalised flux."""
        return self.standard.inverse(self.standardised(self.encoder(galaxies)[1]))

    def properties(self, galaxies: Galaxies) -> Float[Tensor, "gal property"]:
        """The properties of `nets.properties`, in their units."""
        return self.told(self.encoder(galaxies)[1]).float() * self.told_scale + self.told_mean

    def loss(self, batch: Galaxies) -> Float[Tensor, ""]:
        """Mean square of the standardised log flux over unmasked pixels, and of the standardised properties."""
        vector = self.encoder(batch)[1]
        truth = (measured(batch.fine, self.wave, batch.z) - self.told_mean) / self.told_scale
        told = (self.told(vector).float() - truth).square().mean(0).sum()
        error = (self.standardised(vector) - self.standard(batch.fine)).square()
        return masked_mean(error, batch.fine_mask) + WEIGHT * told

    def validate(self, batches: list[Galaxies]) -> dict[str, float]:
        """Mean square of the log flux over the unmasked pixels of the validation galaxies; median |dz|/(1+z)."""
        error = [
            masked_mean((self.predict(batch) - batch.fine.float()).square(), batch.fine_mask) * len(batch)
            for batch in batches
        ]
        found = torch.cat([self.properties(batch)[:, 0] for batch in batches])
        z = torch.cat([batch.z for batch in batches])
        return {
            "mse_log": float(sum(error)) / sum(map(len, batches)),
            "z_error": float(((found - z) / (1 + z)).abs().median()),
        }
