"""Galaxy spectra from broad-band images: the package behind the workflow (Doorenbos et al. 2024, ApJ 977, 131)."""

import os

# With several threads the linear algebra library solves our many small systems 8 times more slowly.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
