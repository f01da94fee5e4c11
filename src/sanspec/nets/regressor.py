"""The spectrum directly from the image: the baseline that a generative network must be weighed against."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sanspec.nets.data import Galaxies
from sanspec.nets.diffusion import Standard, masked_mean
from sanspec.nets.encoders import ImageEncoder

BASIS = 20_000  # training spectra that the principal components are taken from, at most


class Regressor(nn.Module):
    """Principal components of the fine log spectrum from the image, trained for the mean square over unmasked
    pixels.
    """

    metric = "mse_log"

    def __init__(self, settings, train, statistics: dict, size: int, pixels: int):
        super().__init__()
        self.encoder = ImageEncoder(settings, train, statistics, size)
        self.head = nn.Sequential(
            nn.Linear(self.encoder.features, settings.hidden),
            nn.SiLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(settings.hidden, settings.hidden),
            nn.SiLU(),
            nn.Linear(settings.hidden, settings.components),
        )
        self.standard = Standard(pixels)
        self.register_buffer("vectors", torch.zeros(settings.components, pixels))
        self.register_buffer("spread", torch.ones(settings.components))

    def fit(self, galaxies: Galaxies) -> None:
        """Standardisation and principal components of the training galaxies; masked pixels count as mean."""
        self.encoder.fit(galaxies)
        self.standard.fit(galaxies.fine, galaxies.fine_mask)
        step = -(-len(galaxies) // BASIS)
        spectra = torch.where(galaxies.fine_mask[::step], self.standard(galaxies.fine[::step]), 0)
        count = min(len(self.vectors), *spectra.shape)
        torch.manual_seed(0)
        _, values, vectors = torch.pca_lowrank(spectra, q=min(count + 8, *spectra.shape), center=False)
        self.vectors[:count] = vectors.T[:count]
        self.spread[:count] = (values[:count] / len(spectra) ** 0.5).clamp(min=1e-6)

    def standardised(self, galaxies: Galaxies) -> Float[Tensor, "gal pix"]:
        """The prediction in standardised log flux."""
        weights = self.head(self.encoder(galaxies)[1]).float() * self.spread
        return weights @ self.vectors

    def predict(self, galaxies: Galaxies) -> Float[Tensor, "gal pix"]:
        """Natural log of the normalised flux."""
        return self.standard.inverse(self.standardised(galaxies))

    def loss(self, batch: Galaxies) -> Float[Tensor, ""]:
        """Mean square of the standardised log flux over unmasked pixels."""
        return masked_mean((self.standardised(batch) - self.standard(batch.fine)).square(), batch.fine_mask)

    def validate(self, batches: list[Galaxies]) -> dict[str, float]:
        """Mean square of the log flux over the unmasked pixels of the validation galaxies."""
        error = [
            masked_mean((self.predict(batch) - batch.fine.float()).square(), batch.fine_mask) * len(batch)
            for batch in batches
        ]
        return {"mse_log": float(sum(error)) / sum(map(len, batches))}
