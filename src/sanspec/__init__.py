"""Galaxy spectra from broad-band images: the package behind the workflow (Doorenbos et al. 2024, ApJ 977, 131)."""

import os

# Many small linear systems: threads of the linear algebra library only get in each other's way (8 times slower).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
