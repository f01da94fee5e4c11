"""The spectrum regressed on the image: the baseline with which generative networks are compared."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sanspec.nets.data import Galaxies
from sanspec.nets.diffusion import Standard, masked_mean
from sanspec.nets.encoders import ImageEncoder, perceptron
from sanspec.nets.expectation import principal
from sanspec.nets.properties import PROPERTIES, measured

BASIS = 20_000  # maximum number of training spectra that the principal components are taken from
WEIGHT = 0.1  # of each property's mean square error in the loss, that of the spectrum being 1


class Regressor(nn.Module):
    """Principal components of the fine log spectrum from the image, trained for the mean square error over unmasked
    pixels; a second head of the same encoder predicts redshift, 4000 A break and Halpha directly (`told`).
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
        self.told = perceptron(self.encoder.features, settings.hidden, settings.dropout, len(PROPERTIES))
        self.standard = Standard(pixels)
        self.register_buffer("wave", wave.float(), persistent=False)
        self.register_buffer("told_mean", torch.zeros(len(PROPERTIES)))
        self.register_buffer("told_scale", torch.ones(len(PROPERTIES)))
        self.register_buffer("vectors", torch.zeros(settings.components, pixels))
        self.register_buffer("spread", torch.ones(settings.components))

    def fit(self, galaxies: Galaxies) -> None:
        """Measure standardisation and principal components on the training galaxies; masked pixels take the mean."""
        self.encoder.fit(galaxies)
        self.standard.fit(galaxies.fine, galaxies.fine_mask)
        step = -(-len(galaxies) // BASIS)
        spectra = torch.where(galaxies.fine_mask[::step], self.standard(galaxies.fine[::step]), 0)
        vectors, spread = principal(spectra, len(self.vectors))
        self.vectors[: len(vectors)], self.spread[: len(spread)] = vectors, spread
        parts = zip(galaxies.fine.split(1024), galaxies.z.split(1024))
        truth = torch.cat([measured(fine, self.wave, z) for fine, z in parts])
        self.told_mean.copy_(truth.mean(0))
        self.told_scale.copy_(truth.std(0, correction=0).clamp(min=1e-4))

    def standardised(self, vector: Float[Tensor, "gal feature"]) -> Float[Tensor, "gal pix"]:
        """Predicted standardised log flux, from the encoder's output."""
        return (self.head(vector).float() * self.spread) @ self.vectors

    def predict(self, galaxies: Galaxies) -> Float[Tensor, "gal pix"]:
        """Natural log of the normalised flux."""
        return self.standard.inverse(self.standardised(self.encoder(galaxies)[1]))

    def properties(self, galaxies: Galaxies) -> Float[Tensor, "gal property"]:
        """Predicted properties of `nets.properties`, in their units."""
        return self.told(self.encoder(galaxies)[1]).float() * self.told_scale + self.told_mean

    def loss(self, batch: Galaxies) -> Float[Tensor, ""]:
        """Mean square errors of the standardised log flux over unmasked pixels and of the standardised properties."""
        vector = self.encoder(batch)[1]
        truth = (measured(batch.fine, self.wave, batch.z) - self.told_mean) / self.told_scale
        properties = (self.told(vector).float() - truth).square().mean(0).sum()
        error = (self.standardised(vector) - self.standard(batch.fine)).square()
        return masked_mean(error, batch.fine_mask) + WEIGHT * properties

    def validate(self, batches: list[Galaxies]) -> dict[str, float]:
        """Mean square error of the log flux over unmasked pixels of the validation galaxies; median |dz|/(1+z)."""
        error = [
            masked_mean((self.predict(batch) - batch.fine.float()).square(), batch.fine_mask) * len(batch)
            for batch in batches
        ]
        found = torch.cat([self.properties(batch)[:, 0] for batch in batches])
        z = torch.cat([batch.z for batch in batches])
        offset = float(((found - z) / (1 + z)).abs().median())
        return {"mse_log": float(sum(error)) / sum(map(len, batches)), "z_error": offset}
