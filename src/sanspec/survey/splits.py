"""Training, validation and test objects by the rank of a hash of specobjid; neighbours on the sky share a split."""

import hashlib

import numpy as np
import pandas as pd
from astropy import units as u
from astropy.coordinates import SkyCoord, search_around_sky
from jaxtyping import Float, Int, Int8, UInt64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sanspec.config import Prepare
from sanspec.errors import SanspecError
from sanspec.spectra.preparing import UNUSABLE

TRAIN, VALID, TEST, UNUSED = 0, 1, 2, -1
NAMES = {"train": TRAIN, "valid": VALID, "test": TEST, "unused": UNUSED}


def rank_hash(specobjid: UInt64[np.ndarray, " gal"]) -> UInt64[np.ndarray, " gal"]:
    """BLAKE2b hash (64 bits) of each id's eight little-endian bytes: the same on every machine, now and later."""
    ids = np.asarray(specobjid, dtype="<u8")
    digests = b"".join(hashlib.blake2b(one.tobytes(), digest_size=8).digest() for one in ids)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def sky_groups(
    ra: Float[np.ndarray, " gal"], dec: Float[np.ndarray, " gal"], separation: float
) -> Int[np.ndarray, " gal"]:
    """Group of each position [degrees]: friends of friends with linking length `separation` [arcsec].

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
    """Split of each object (0 train, 1 valid, 2 test): the lowest hashes are test, the next ones validation.

    A group ranks by the lowest hash of its members and stays whole; a group that is too large for what is left
    of a split is passed over. test, valid: number of objects (int) or fraction of them (float). Raises
    SanspecError where no training object is left.
    """
    count = len(specobjid)
    wanted = [size if isinstance(size, int) else round(size * count) for size in (test, valid)]
    if sum(wanted) >= max(count, 1):
        raise SanspecError(
            f"prepare.test={test} and prepare.valid={valid} leave no training object of {count} usable ones;"
            " lower them or bring more galaxies"
        )
    order = np.argsort(rank_hash(specobjid), kind="stable")
    rank = pd.factorize(np.asarray(group)[order])[0]  # of each object's group, by the lowest hash in it
    by_group = np.argsort(rank, kind="stable")
    groups = np.split(order[by_group], np.flatnonzero(np.diff(rank[by_group])) + 1)
    split = np.full(count, TRAIN, dtype=np.int8)
    for value, left in zip((TEST, VALID), wanted):
        for members in groups:
            if split[members[0]] == TRAIN and len(members) <= left:
                split[members] = value
                left -= len(members)
    return split


def of_objects(table: pd.DataFrame, settings: Prepare) -> Int8[np.ndarray, " gal"]:
    """Split of each matched object: UNUSED where a bit of its `warn` leaves it no usable spectrum or image."""
    usable = (table["warn"].to_numpy() & np.uint32(UNUSABLE)) == 0
    part = table[usable]
    groups = sky_groups(part["ra"].to_numpy(), part["dec"].to_numpy(), settings.separation)
    split = np.full(len(table), UNUSED, dtype=np.int8)
    split[usable] = assign(part["specobjid"].to_numpy(), groups, settings.test, settings.valid)
    return split
