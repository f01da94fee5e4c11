"""Galaxies as tensors that stay on the device: batches and crops are functions of (seed, step)."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor

from sanspec.nets import parallel

LOW, HIGH = -4.0, 12.0  # asinh(nanomaggies / softening) held in 8 bits: -27 to 80,000 times the softening


@dataclass(frozen=True)
class Galaxies:
    """Images and spectra of a set of galaxies, row by row.

    specobjid: (gal) uint64, on the host. images: (gal, band, y, x) nanomaggies in half precision, or 8-bit
    asinh where `softening` (band) is given. offset: (gal, 2) first row and column of the crop that networks
    see. coarse, coarse_mask, fine, fine_mask: (gal, pix) natural log of the normalised flux and which pixels
    count; None where no network asks for them. z: (gal) redshift of the spectrum, single precision.
    """

    specobjid: np.ndarray
    images: Shaped[Tensor, "gal band y x"]
    offset: Int[Tensor, "gal 2"]
    coarse: Shaped[Tensor, "gal coarse"] | None = None
    coarse_mask: Bool[Tensor, "gal coarse"] | None = None
    fine: Shaped[Tensor, "gal pix"] | None = None
    fine_mask: Bool[Tensor, "gal pix"] | None = None
    softening: Float[Tensor, " band"] | None = None
    z: Float[Tensor, " gal"] | None = None

    def __len__(self) -> int:
        return len(self.specobjid)

    def take(self, rows: Int[Tensor, " row"]) -> "Galaxies":
        """The galaxies at `rows`, in that order; rows that lie on the host spare a GPU the wait."""
        here = rows.to(self.images.device, non_blocking=True)
        tensors = {name: tensor[here] for name, tensor in self._tensors().items() if name != "softening"}
        return replace(self, specobjid=self.specobjid[rows.cpu().numpy()], **tensors)

    def flux(self) -> Float[Tensor, "gal band y x"]:
        """The images in nanomaggies, single precision."""
        if self.softening is None:
            return self.images.float()
        scaled = self.images.float() * ((HIGH - LOW) / 255) + LOW
        return scaled.sinh() * self.softening[:, None, None]

    def nbytes(self) -> int:
        """Memory that the tensors take."""
        return sum(tensor.nbytes for tensor in self._tensors().values())

    def to(self, device: torch.device | str) -> "Galaxies":
        """The same galaxies on `device`."""
        return replace(self, **{name: tensor.to(device) for name, tensor in self._tensors().items()})

    def _tensors(self) -> dict[str, Tensor]:
        """What is held as tensors and present."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in held.items() if isinstance(value, Tensor)}


def galaxies(
    specobjid: np.ndarray,
    images: np.ndarray,
    crop: int,
    softening: Sequence[float] | None = None,
    **spectra: np.ndarray,
) -> Galaxies:
    """Galaxies from arrays, cropped centrally by `crop` pixels in all; held in half precision, the images in 8
    bits where their `softening` per band [nanomaggies] is given (a step is 6 per cent of a bright pixel's
    flux, 0.06 softenings of a faint one's).

    images: nanomaggies, or 8 bits already. `spectra` holds `coarse` and `coarse_mask`, `fine` and
    `fine_mask`, or both pairs.
    """
    tensors = {
        name: torch.from_numpy(np.ascontiguousarray(array, dtype=kind_of(name)))
        for name, array in spectra.items()
    }
    if softening is not None:
        tensors["softening"] = torch.tensor(softening, dtype=torch.float32)
        images = images if images.dtype == np.uint8 else in_bytes(images, softening)
    offset = torch.full((len(images), 2), crop // 2, dtype=torch.int64)
    kind = np.float16 if softening is None else np.uint8
    stamps = torch.from_numpy(np.ascontiguousarray(images, dtype=kind))
    return Galaxies(np.asarray(specobjid, dtype=np.uint64), stamps, offset, **tensors)


def kind_of(name: str) -> type:
    """How a field of `Galaxies` is held."""
    return bool if name.endswith("mask") else np.float32 if name == "z" else np.float16


def in_bytes(
    images: Float[np.ndarray, "gal band y x"], softening: Sequence[float]
) -> UInt8[np.ndarray, "gal band y x"]:
    """asinh(image / softening) between LOW and HIGH in 256 even steps; what lies beyond is set to the ends."""
    scaled = np.arcsinh(images / np.asarray(softening, np.float32)[:, None, None])
    return np.rint((scaled.clip(LOW, HIGH) - LOW) * (255 / (HIGH - LOW))).astype(np.uint8)


def usable(images: np.ndarray, spectrum: np.ndarray, mask: np.ndarray) -> Bool[np.ndarray, " gal"]:
    """Which galaxies can be trained on: image and spectrum finite, and some pixel unmasked."""
    finite = np.isfinite(images).all(axis=(1, 2, 3)) & np.isfinite(np.where(mask, spectrum, 0)).all(axis=1)
    return finite & mask.any(axis=1)


def seed_of(*parts: object) -> int:
    """A 63-bit seed from any printable parts, equal on every machine (BLAKE2b of their text)."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1


@functools.lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> Int[Tensor, " gal"]:
    """The order of the galaxies in one epoch."""
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    return torch.randperm(count, generator=generator)


def rows_of_step(count: int, batch: int, seed: int, step: int) -> Int[Tensor, " row"]:
    """Rows of the batch of `step`: each epoch visits its galaxies once, in an order of its own.

    A batch never holds a galaxy twice (a contrastive loss would take the twin for a negative); the remainder
    of an epoch is left out, another one each time. With fewer galaxies than `batch`, all of them make a
    batch.
    """
    batch = min(batch, count)
    epoch, number = divmod(step, count // batch)
    return _order(count, seed, epoch)[number * batch : (number + 1) * batch]


def augment(batch: Galaxies, symmetries: str, crop: int, generator: torch.Generator) -> Galaxies:
    """The batch with each image flipped, transposed and cropped at random; spectra are left alone.

    Of several ranks each draws for the whole batch and keeps what is its own.
    """
    images, count = batch.images, len(batch) * parallel.ranks()
    axes = {"dihedral": 3, "flips": 2, "none": 0}[symmetries]
    for axis in range(axes):
        chosen = parallel.rows(torch.rand(count, generator=generator)).to(images.device) < 0.5
        turned = images.transpose(-1, -2) if axis == 2 else images.flip(-1 - axis)
        images = torch.where(chosen[:, None, None, None], turned, images)
    offset = parallel.rows(torch.randint(0, crop + 1, (count, 2), generator=generator))
    return replace(batch, images=images, offset=offset.to(images.device))


def cropped(
    images: Float[Tensor, "gal band y x"], offset: Int[Tensor, "gal 2"], size: int
) -> Float[Tensor, "gal band size size"]:
    """Each image cut to `size` pixels from its own first row and column."""
    span = torch.arange(size, device=images.device)
    y, x = offset[:, :1] + span, offset[:, 1:] + span
    rows = torch.arange(len(images), device=images.device)
    return images.movedim(1, -1)[rows[:, None, None], y[:, :, None], x[:, None, :]].movedim(-1, 1)
