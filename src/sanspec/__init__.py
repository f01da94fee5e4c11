"""Galaxy spectra from broad-band images: the package behind the workflow (Doorenbos et al. 2024, ApJ 977, 131)."""

__version__ = "0.1.0"
