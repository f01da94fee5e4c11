"""Batches and augmentation are functions of (seed, step); symmetries leave what they should."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from sanspec.nets import data


def some(count=12, size=64):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(count, 5, size, size)).astype(np.float32)
    coarse = rng.normal(size=(count, 563))
    ids = np.arange(count, dtype=np.uint64) + np.uint64(2**63)
    return data.galaxies(ids, images, 4, coarse=coarse, coarse_mask=coarse > -1)


def test_an_epoch_visits_each_galaxy_once_and_each_epoch_in_its_own_order():
    epochs = [
        torch.cat([data.rows_of_step(20, 5, 7, step) for step in range(4 * e, 4 * e + 4)]) for e in range(2)
    ]
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(20))
    assert not torch.equal(*epochs)


def test_the_batch_of_a_step_does_not_depend_on_the_steps_before():
    forward = [data.rows_of_step(50, 8, 3, step) for step in range(30)]
    data._order.cache_clear()
    for step in reversed(range(30)):
        assert torch.equal(data.rows_of_step(50, 8, 3, step), forward[step])
    assert not torch.equal(data.rows_of_step(50, 8, 4, 0), forward[0])


def test_fewer_galaxies_than_a_batch_make_one_batch_of_all():
    for step in range(3):
        assert sorted(data.rows_of_step(5, 128, 0, step).tolist()) == list(range(5))


def test_seeds_are_the_same_on_every_machine():
    assert data.seed_of(0, "diff_coarse", 17) == data.seed_of("0", "diff_coarse", "17") == 9009779459943466417
    assert len({data.seed_of(0, "a", step) for step in range(1000)}) == 1000


def test_taking_rows_keeps_ids_images_and_spectra_together():
    galaxies = some()
    rows = torch.tensor([7, 0, 7])
    taken = galaxies.take(rows)
    assert taken.specobjid.tolist() == [2**63 + 7, 2**63, 2**63 + 7]
    assert torch.equal(taken.images, galaxies.images[rows]) and torch.equal(
        taken.coarse, galaxies.coarse[rows]
    )


@pytest.mark.parametrize(("symmetries", "count"), [("dihedral", 8), ("flips", 4), ("none", 1)])
def test_augmentation_turns_images_by_the_symmetries_asked_for(symmetries, count):
    one = np.random.default_rng(1).normal(size=(1, 1, 6, 6)).astype(np.float32)
    galaxies = data.galaxies(np.arange(200, dtype=np.uint64), np.repeat(one, 200, 0), 0)
    turned = data.augment(galaxies, symmetries, 0, torch.Generator().manual_seed(0)).images
    kinds = torch.unique(turned.flatten(1), dim=0)
    assert len(kinds) == count
    assert torch.equal(turned.flatten(1).sort(1).values, galaxies.images.flatten(1).sort(1).values)


def test_crops_are_parts_of_the_image_and_cover_all_offsets():
    galaxies = some(64, 10)
    moved = data.augment(galaxies, "none", 4, torch.Generator().manual_seed(0))
    assert set(moved.offset.flatten().tolist()) == {0, 1, 2, 3, 4}
    parts = data.cropped(moved.images, moved.offset, 6)
    for part, image, (y, x) in zip(parts, galaxies.images, moved.offset.tolist()):
        assert torch.equal(part, image[:, y : y + 6, x : x + 6])


def test_augmentation_is_a_function_of_its_generator():
    draws = [data.augment(some(), "dihedral", 4, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0].images, draws[1].images) and torch.equal(draws[0].offset, draws[1].offset)
    assert not torch.equal(draws[0].images, draws[2].images)


def test_images_in_eight_bits_come_back_within_half_a_step():
    """A step of asinh(image / softening) is 16 / 255: 6 per cent of a bright pixel, 0.06 softenings of a faint."""
    rng, softening = np.random.default_rng(2), np.array([0.05, 0.02, 0.03, 0.04, 0.15])
    images = (softening[:, None, None] * np.sinh(rng.uniform(-3, 11, (4, 5, 8, 8)))).astype(np.float32)
    held = data.galaxies(np.arange(4), images, 0, softening=softening.tolist())
    assert held.images.dtype == torch.uint8 and held.nbytes() < 0.55 * 2 * images.size + 200
    again = np.arcsinh(held.flux().numpy() / softening[:, None, None])
    wanted = np.arcsinh(images / softening[:, None, None])
    np.testing.assert_allclose(again, wanted, atol=0.5 * (data.HIGH - data.LOW) / 255 + 1e-4)
    turned = data.augment(held.take(torch.tensor([1, 3])), "flips", 0, torch.Generator().manual_seed(0))
    assert torch.equal(turned.flux().flatten(1).sort().values, held.flux()[[1, 3]].flatten(1).sort().values)


def test_pixels_beyond_eight_bits_are_set_to_the_ends():
    held = data.in_bytes(np.array([-1e6, 1e9], np.float32).reshape(1, 1, 1, 2), [0.1])
    assert held.flatten().tolist() == [0, 255]


def test_half_precision_images_are_nanomaggies_as_they_are():
    galaxies = some()
    assert torch.equal(galaxies.flux(), galaxies.images.float()) and galaxies.softening is None


def test_unusable_galaxies_are_told_from_usable_ones():
    images, spectrum = np.zeros((4, 5, 8, 8)), np.zeros((4, 20))
    mask = np.ones((4, 20), bool)
    images[1, 2, 3, 4] = np.inf
    spectrum[2, 5], mask[3] = np.nan, False
    assert data.usable(images, spectrum, mask).tolist() == [True, False, False, False]
    mask[2, 5] = False  # a masked NaN is no harm: it is not looked at, and prepare fills it
    assert data.usable(images, spectrum, mask).tolist() == [True, False, True, False]


def test_shapes_named_in_signatures_are_checked_in_tests():
    with pytest.raises(TypeCheckError, match="rows"):
        some().take(torch.zeros(2, 2, dtype=torch.int64))
    with pytest.raises(TypeCheckError, match="images"):
        data.in_bytes(np.zeros((5, 8, 8), np.float32), [1.0] * 5)


def test_redshifts_are_held_in_single_precision():
    """Half precision would round them by 3e-5 at z = 0.1, which is what they are measured to."""
    z = np.linspace(0.05, 0.15, 3)
    held = data.galaxies(np.arange(3), np.zeros((3, 5, 8, 8)), 0, z=z)
    np.testing.assert_allclose(held.z.numpy(), z, rtol=1e-7)
    assert data.kind_of("coarse") is np.float16 and data.kind_of("fine_mask") is bool
