"""Spectra on the product grid from whatever a test states; everything else is plain."""

import numpy as np

from sanspec.spectra import grid
from sanspec.spectra.spectra import Spectra


def made(flux=None, z=0.1, kind="observed", count=3, **changes) -> Spectra:
    """Spectra (gal, pix), flat unless `flux` is given, with independent noise of unit variance."""
    flux = np.ones((count, grid.WAVE.size)) if flux is None else np.asarray(flux)
    count = len(flux)
    arrays = {
        "specobjid": np.arange(count, dtype=np.uint64),
        "z": np.broadcast_to(np.asarray(z, np.float64), count),
        "ivar": np.ones(flux.shape),
        "correlation": np.zeros((count, 0, grid.WAVE.size)),
        "lsf": np.full(flux.shape, 10 / 3),
        "norm": np.ones(count),
        "warn": np.zeros(count, np.uint32),
    }
    return Spectra(kind, flux=flux, **arrays | changes)
