"""Wavelengths in vacuum and in standard air (Ciddor 1996)."""

import numpy as np
from jaxtyping import Float


def refractive_index(wave: Float[np.ndarray, "*pix"] | float) -> Float[np.ndarray, "*pix"] | float:
    """Index of standard air at vacuum `wave` [Angstrom] (Ciddor 1996, eq. 1; valid above 2300 A)."""
    wavenumber2 = (1e4 / np.asarray(wave, dtype=np.float64)) ** 2  # inverse square micrometres
    return 1.0 + 5.792105e-2 / (238.0185 - wavenumber2) + 1.67917e-3 / (57.362 - wavenumber2)


def vac_to_air(wave: Float[np.ndarray, "*pix"] | float) -> Float[np.ndarray, "*pix"] | float:
    """Air wavelength [Angstrom] of vacuum wavelength `wave` [Angstrom] (Ciddor 1996, eq. 1)."""
    return np.asarray(wave, dtype=np.float64) / refractive_index(wave)


def air_to_vac(wave_air: Float[np.ndarray, "*pix"] | float) -> Float[np.ndarray, "*pix"] | float:
    """Vacuum wavelength [Angstrom] of air wavelength `wave_air` [Angstrom]: exact inverse of `vac_to_air`."""
    wave = np.asarray(wave_air, dtype=np.float64)
    for _ in range(4):  # a contraction by about 1e-5 a turn
        wave = wave_air * refractive_index(wave)
    return wave
