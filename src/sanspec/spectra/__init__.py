"""Spectra onto the product grid: wavelengths, line spread, smoothing, noise covariance."""
