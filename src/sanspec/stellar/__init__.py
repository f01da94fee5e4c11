"""Stellar populations: template libraries, full-spectral fits and their bootstraps, one layout of results."""
