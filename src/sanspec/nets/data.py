"""Galaxies as tensors on the device; batches and their augmentation are functions of (seed, step)."""

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from torch import Tensor

from sanspec.nets import parallel

LOW, HIGH = -4.0, 12.0  # range of asinh(nanomaggies / softening) in 8 bits: -27 to 80,000 softenings


@dataclass(frozen=True)
class Galaxies:
    """Images and spectra of a set of galaxies, row by row.

    specobjid: (gal) uint64, on the host. images: (gal, band, y, x) nanomaggies in half precision, or 8-bit asinh if
    `softening` (band) is given. offset: (gal, 2) first row and column of the crop that networks use. coarse,
    coarse_mask, fine, fine_mask: (gal, pix) natural log of the normalised flux, and the pixels to use; None if no
    network needs them. z: (gal) redshift of the spectrum, single precision.
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
        """The galaxies at `rows`, in that order; with rows on the host, a GPU need not synchronise."""
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
        """Memory of the tensors [byte]."""
        return sum(tensor.nbytes for tensor in self._tensors().values())

    def to(self, device: torch.device | str) -> "Galaxies":
        """The same galaxies on `device`."""
        return replace(self, **{name: tensor.to(device) for name, tensor in self._tensors().items()})

    def _tensors(self) -> dict[str, Tensor]:
        """The fields that hold tensors."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}


def galaxies(
    specobjid: np.ndarray,
    images: np.ndarray,
    crop: int,
    softening: Sequence[float] | None = None,
    **spectra: np.ndarray,
) -> Galaxies:
    """Galaxies from arrays, in half precision, their images cropped centrally by `crop` pixels in all.

    softening: per band [nanomaggies]; if given, images are held in 8 bits, with steps of 6 per cent of a bright
    pixel's flux and 0.06 softenings of a faint one's. images: nanomaggies, or 8 bits already. spectra: `coarse` and
    `coarse_mask`, `fine` and `fine_mask`, `z`.
    """
    arrays = {name: np.ascontiguousarray(array, kind_of(name)) for name, array in spectra.items()}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    if softening is not None:
        tensors["softening"] = torch.tensor(softening, dtype=torch.float32)
        images = images if images.dtype == np.uint8 else in_bytes(images, softening)
    offset = torch.full((len(images), 2), crop // 2, dtype=torch.int64)
    kind = np.float16 if softening is None else np.uint8
    stamps = torch.from_numpy(np.ascontiguousarray(images, dtype=kind))
    return Galaxies(np.asarray(specobjid, dtype=np.uint64), stamps, offset, **tensors)


def kind_of(name: str) -> type:
    """Type of the numbers in a field of `Galaxies`."""
    return bool if name.endswith("mask") else np.float32 if name == "z" else np.float16


def in_bytes(
    images: Float[np.ndarray, "gal band y x"], softening: Sequence[float]
) -> UInt8[np.ndarray, "gal band y x"]:
    """asinh(image / softening) in 256 even steps from LOW to HIGH, clipped to that range."""
    scaled = np.arcsinh(images / np.asarray(softening, np.float32)[:, None, None])
    return np.rint((scaled.clip(LOW, HIGH) - LOW) * (255 / (HIGH - LOW))).astype(np.uint8)


def usable(images: np.ndarray, spectrum: np.ndarray, mask: np.ndarray) -> Bool[np.ndarray, " gal"]:
    """Whether each galaxy can be used in training: image and spectrum are finite, and some pixel is unmasked."""
    finite = np.isfinite(images).all(axis=(1, 2, 3)) & np.isfinite(np.where(mask, spectrum, 0)).all(axis=1)
    return finite & mask.any(axis=1)


def seed_of(*parts: object) -> int:
    """A 63-bit seed from any printable parts, the same on every machine (BLAKE2b of their text)."""
    text = "/".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) >> 1


@functools.lru_cache(maxsize=2)
def _order(count: int, seed: int, epoch: int) -> Int[Tensor, " gal"]:
    """The order of the galaxies in one epoch."""
    generator = torch.Generator().manual_seed(seed_of(seed, "order", epoch))
    return torch.randperm(count, generator=generator)


def rows_of_step(count: int, batch: int, seed: int, step: int) -> Int[Tensor, " row"]:
    """Rows of the batch of `step`: each epoch visits its galaxies once, in its own random order.

    A batch never holds a galaxy twice (a contrastive loss would take the copy for a negative); the remainder of an
    epoch, different in each, is left out. If there are fewer galaxies than `batch`, all of them form a batch.
    """
    batch = min(batch, count)
    epoch, number = divmod(step, count // batch)
    return _order(count, seed, epoch)[number * batch : (number + 1) * batch]


def augment(batch: Galaxies, symmetries: str, crop: int, generator: torch.Generator) -> Galaxies:
    """The batch with each image flipped, transposed and cropped at random; spectra stay as they are.

    Each of several ranks draws random numbers for the whole batch and keeps its own.
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
