"""Training, validation and test objects by ranking a hash of specobjid, sky neighbours kept together."""

import hashlib

import numpy as np
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from jaxtyping import Float, Int, Int8, UInt64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sanspec.errors import SanspecError

TRAIN, VALID, TEST, UNUSED = 0, 1, 2, -1


def rank_hash(specobjid: UInt64[np.ndarray, " gal"]) -> UInt64[np.ndarray, " gal"]:
    """BLAKE2b hash (64 bits) of each id's eight little-endian bytes: the same on every machine, for ever."""
    ids = np.asarray(specobjid, dtype="<u8")
    digests = b"".join(hashlib.blake2b(one.tobytes(), digest_size=8).digest() for one in ids)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def sky_groups(
    ra: Float[np.ndarray, " gal"], dec: Float[np.ndarray, " gal"], separation: float
) -> Int[np.ndarray, " gal"]:
    """Group of each position [degrees]; two within `separation` [arcsec] share one, and so do chains.

    A position that is not finite is a group of its own.
    """
    count = len(ra)
    known = np.flatnonzero(np.isfinite(ra) & np.isfinite(dec))
    if len(known) == 0 or separation == 0:
        return np.arange(count)
    sky = SkyCoord(ra[known] * u.deg, dec[known] * u.deg)
    pairs = search_around_sky(sky, sky, separation * u.arcsec)[:2]
    first, second = (known[side] for side in pairs)
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def assign(
    specobjid: UInt64[np.ndarray, " gal"],
    group: Int[np.ndarray, " gal"],
    test: float | int,
    valid: float | int,
) -> Int8[np.ndarray, " gal"]:
    """Split of each object (0 train, 1 valid, 2 test): test has the lowest hashes, valid the next.

    A group has the least hash of its members and stays whole; one too large for what is left to fill is
    passed over. test, valid: a number of objects where int, a fraction where float. Raises SanspecError where
    too few are left.
    """
    count = len(specobjid)
    wanted = [size if isinstance(size, int) else round(size * count) for size in (test, valid)]
    if sum(wanted) >= max(count, 1):
        raise SanspecError(
            f"prepare.test={test} and prepare.valid={valid} leave no training object of {count} usable ones;"
            " lower them or bring more galaxies"
        )
    split = np.full(count, TRAIN, dtype=np.int8)
    groups = _groups_by_hash(rank_hash(specobjid), group)
    for value, size in zip((TEST, VALID), wanted):
        groups = _fill(split, groups, value, size)
    return split


def _groups_by_hash(ranks: np.ndarray, group: np.ndarray) -> list[np.ndarray]:
    """Members of each group, groups in the order of their least hash."""
    order = np.argsort(ranks, kind="stable")
    _, first, number = np.unique(group[order], return_index=True, return_inverse=True)
    place = first[number]  # of each object in `order`: where its group first shows
    by_place = np.argsort(place, kind="stable")
    cuts = np.flatnonzero(np.diff(place[by_place])) + 1
    return np.split(order[by_place], cuts)


def _fill(split: np.ndarray, groups: list[np.ndarray], value: int, size: int) -> list[np.ndarray]:
    """Give `value` to whole groups until `size` objects have it; the groups left over."""
    left = []
    for members in groups:
        if len(members) <= size:
            split[members] = value
            size -= len(members)
        else:
            left.append(members)
    return left
