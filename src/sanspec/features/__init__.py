"""Absorption indices and emission lines of spectra."""
