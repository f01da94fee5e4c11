"""The spectrograph and the night sky: medians over 104 public spectra of the SDSS spectrographs.

Sky in 1e-17 erg/s/cm2/A per fibre of 3 arcsec, wavelengths in vacuum Angstrom.
"""

import numpy as np
from jaxtyping import Float

from sanspec.spectra.grid import LOGLAM_STEP

FIRST, PIXELS = 35780, 3900  # of the common grid of 1e-4 dex: 3784-9289 A
WAVE = 10 ** (LOGLAM_STEP * np.arange(FIRST, FIRST + PIXELS))

_CONTINUUM = np.array(
    [
        [3790, 3850, 3950, 4050, 4200, 4400, 4600, 4800, 5000, 5200, 5400, 5500, 5700, 5800, 5900, 6000,
         6100, 6300, 6500, 6700, 7000, 7300, 7600, 7900, 8200, 8500, 8800, 9000, 9150, 9230],
        [6.24, 5.83, 5.91, 7.16, 7.03, 7.35, 7.41, 7.22, 7.02, 6.69, 6.98, 7.36, 8.65, 9.64, 10.29, 9.70,
         8.66, 7.48, 6.44, 5.81, 5.60, 5.79, 6.06, 6.85, 5.31, 4.86, 4.77, 4.39, 3.81, 3.72],
    ]
)  # fmt: skip

_DISPERSION = np.array(
    [
        [3790, 4000, 4300, 4600, 5000, 5400, 5700, 5850, 5900, 5950, 6000, 6050, 6100, 6150, 6200, 6300,
         6400, 6600, 7000, 7400, 7800, 8200, 8600, 9000, 9230],
        [1.203, 1.129, 1.065, 0.997, 0.915, 0.854, 0.827, 0.845, 0.885, 0.906, 0.911, 0.922, 0.951, 0.963,
         0.959, 0.946, 0.931, 0.900, 0.841, 0.795, 0.756, 0.732, 0.722, 0.724, 0.749],
    ]
)  # fmt: skip

# Variance per pixel = _READ + _SHOT (flux + sky): least squares over the same spectra, in 20-pixel windows.
_READ = np.array(
    [
        [3800, 3900, 4000, 4200, 4500, 5000, 5500, 6000, 6500, 8000, 8500, 9000, 9150],
        [4.0, 0.87, 0.32, 0.18, 0.105, 0.037, 0.029, 0.015, 0.010, 0.010, 0.017, 0.129, 0.50],
    ]
)
_SHOT = np.array(
    [
        [3800, 3900, 4000, 4200, 4500, 5000, 5500, 5800, 5950, 6000, 6500, 7000, 7500, 8000, 8500, 9000,
         9150],
        [0.126, 0.125, 0.103, 0.0714, 0.0511, 0.0377, 0.0336, 0.0372, 0.026, 0.0232, 0.0195, 0.0185, 0.0194,
         0.0250, 0.0320, 0.0491, 0.0500],
    ]
)  # fmt: skip

# Peaks of the sky lines above the continuum, at the resolution of the survey: Hg, Na, [O I], OH.
_LINES = """
3791 4.4 3798 2.4 3816 2.5 3831 7.9 3846 3.5 3908 7.7 3913 7.6 3943 3.9 4010 3.4 4013 3.4 4022 4.3
4047.7 20 4066 4.7 4078 5.6 4166 5.1 4359.5 38 4413 3.1 4421 3 4673 2.8 4982.3 5.9 5087 3.6 5156 2.9
5200.2 4.5 5462.4 31.7 5578.7 503 5673 4.7 5690.9 15.7 5771 9.3 5792 9.2 5868.5 9.9 5891.5 93.8 5897.6 65
5917 7.8 5927 5.5 5934.6 10.9 5947 5.7 5955.2 9.6 5964 3.4 5972 4.6 5978.7 6.3 6005 3.5 6163 3.5
6237.5 13.4 6259.7 12 6267 4.2 6289.3 9.7 6302.1 88.3 6331.6 9.7 6358 6.2 6365.7 29.1 6467 7.8 6500.4 12.8
6534.8 9.8 6545.8 4.1 6555.4 11.4 6564.5 5.3 6579.2 8.7 6606 4.5 6831.3 22.2 6843.6 4.5 6865.9 32.1
6891.2 7.3 6902.8 7.5 6914.6 9.7 6925.1 18.9 6941.6 8.8 6951 20.7 6971.9 5.7 6980.4 12.5 7013.4 5.8
7050.3 5.6 7242.8 56.9 7255.6 11.2 7278.3 70.5 7286.5 26.3 7298 7.5 7306 15.1 7318.3 51.7 7331.4 22.7
7343 60.4 7360.8 20.5 7371.5 46.8 7394.3 13.9 7404.1 29.4 7431.9 7.1 7440.6 15 7474.9 13.6 7484.3 16.3
7526.2 38.4 7559.6 6.7 7573.9 26.3 7588.2 8.5 7600.9 27.5 7620.4 8.4 7630.8 20.9 7664.6 8.6 7701.6 5.1
7717.9 79.6 7752.9 86.5 7762.2 28.9 7775.5 12.4 7782.6 17.9 7796.3 62.1 7810.7 25.5 7823.7 76 7843.5 22.8
7855.5 85.2 7872.4 42.3 7882.2 27.9 7892.1 42.5 7915.8 103 7933.7 30.5 7951.3 21.6 7966.9 73.5 7981.5 34.2
7995.6 84.2 8016.4 23.1 8028.1 61.6 8054.2 14 8064.5 29.1 8096.1 5.9 8104.9 13.1 8149.1 5.1 8197.6 8.6
8290.6 72.3 8300.7 84.8 8313.2 24.6 8346.7 178 8355.1 61.6 8367 22.7 8384.6 41.6 8401.7 129 8417.7 49.9
8432.6 148 8454.6 42.7 8467.8 105 8495.8 28.7 8507.2 57.7 8541.1 11.6 8551 25.9 8590.7 6.1 8599.6 9.4
8630.8 61.4 8661.5 56.4 8769.9 127 8780.2 135 8793.7 41.5 8829.3 274 8838.7 101 8852.3 30.6 8869.8 67.2
8888.2 199 8905.7 81.4 8922.2 215 8945.8 66.3 8960.4 162 8990.8 51.3 9003.7 97.8 9040.6 23 9052.1 46.5
9095.2 11.8 9105.3 20.4 9163.4 12.2
"""


CONTINUUM, READ, SHOT = (np.interp(WAVE, *table) for table in (_CONTINUUM, _READ, _SHOT))
DISPERSION = np.interp(WAVE, *_DISPERSION)  # sigma of the line-spread function, in pixels of 1e-4 dex
_LINE_WAVE, _PEAK = np.array(_LINES.split(), dtype=float).reshape(-1, 2).T
_OFFSET = np.arange(PIXELS)[:, None] - (np.log10(_LINE_WAVE) / LOGLAM_STEP - FIRST)
_WIDTH = 1.05 * np.interp(_LINE_WAVE, *_DISPERSION)
LINES = (_PEAK * np.exp(-0.5 * (_OFFSET / _WIDTH) ** 2)).sum(axis=1)
_SLOPE = np.gradient(LINES)


def sky(rng: np.random.Generator) -> Float[np.ndarray, " pix"]:
    """The sky of one night on WAVE: continuum and airglow vary independently, by 17 and 30 per cent."""
    return CONTINUUM * rng.lognormal(0, 0.17) + LINES * rng.lognormal(0, 0.30)


def residual(rng: np.random.Generator) -> Float[np.ndarray, " pix"]:
    """What sky subtraction leaves beyond the noise: 1 per cent of the lines, a shift of 0.03 pixels."""
    return LINES * rng.normal(0, 0.01) + _SLOPE * rng.normal(0, 0.03)


def variance(
    flux: Float[np.ndarray, " pix"], sky: Float[np.ndarray, " pix"], platesn2: float
) -> Float[np.ndarray, " pix"]:
    """Variance per pixel of a spectrum on WAVE, from a plate of quality `platesn2` (18 is the median)."""
    photons = (READ + SHOT * (np.maximum(flux, 0) + sky)) * 18.0 / platesn2
    return photons + (0.012 * sky) ** 2
