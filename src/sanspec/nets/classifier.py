"""Classification of images as active or not: a baseline for the emission lines of generated spectra."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from sanspec.config import Agn, NetworkSettings, Train
from sanspec.nets.data import Galaxies, augment, rows_of_step, seed_of
from sanspec.nets.encoders import ImageEncoder
from sanspec.nets.loop import CLIP, Average, optimiser_of, rate_at

BATCH = 256  # images classified at a time


class Classifier(nn.Module):
    """The image encoder of the other networks with one output: the log odds of an active nucleus."""

    def __init__(self, settings: NetworkSettings, train: Train, statistics: dict, size: int):
        super().__init__()
        self.encoder = ImageEncoder(settings, train, statistics, size)
        self.head = nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(self.encoder.features, 1))

    def forward(self, galaxies: Galaxies) -> Float[Tensor, " gal"]:
        return self.head(self.encoder(galaxies)[1])[:, 0]

    @torch.inference_mode()
    def probability(self, galaxies: Galaxies) -> Float[Tensor, " gal"]:
        """Probability of an active nucleus, per galaxy."""
        rows = torch.arange(len(galaxies)).split(BATCH)
        return torch.cat([torch.sigmoid(self(galaxies.take(part))) for part in rows])


def fit(
    galaxies: Galaxies, active: Bool[Tensor, " gal"], statistics: dict, settings: Agn, train: Train
) -> Classifier:
    """A classifier trained on labelled galaxies with the cross-entropy loss; its weights are a moving average."""
    own = NetworkSettings(
        steps=settings.steps,
        batch=settings.batch,
        rate=settings.rate,
        warmup=min(20, settings.steps),
        encoder_widths=settings.widths,
        dropout=0.2,
    )
    torch.manual_seed(seed_of(settings.seed, "classifier"))
    model = Classifier(own, train, statistics, galaxies.images.shape[-1])
    model.encoder.fit(galaxies)
    average, optimiser = Average(model, own.ema), optimiser_of(model, own)
    for step in tqdm(range(own.steps), desc="image classifier", mininterval=1.0, unit="step"):
        rows = rows_of_step(len(galaxies), own.batch, settings.seed, step)
        generator = torch.Generator().manual_seed(seed_of(settings.seed, "classifier", step))
        batch = augment(galaxies.take(rows), train.symmetries, train.crop, generator)
        for group in optimiser.param_groups:
            group["lr"] = rate_at(step, own)
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(model(batch), active[rows].float()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimiser.step()
        average.update(model, step)
    return average.model
