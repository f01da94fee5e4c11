"""Published relations of galaxies: stellar metallicity against stellar mass."""

import numpy as np

# Gallazzi et al. 2005, table 2: log M* (Chabrier), then median, 16th and 84th percentile of log Z / Zsun.
GALLAZZI = np.array([
    [8.91, 9.11, 9.31, 9.51, 9.72, 9.91, 10.11, 10.31, 10.51, 10.72, 10.91, 11.11, 11.31, 11.51, 11.72, 11.91],
    [-0.60, -0.61, -0.65, -0.61, -0.52, -0.41, -0.23, -0.11, -0.01, 0.04, 0.07, 0.10, 0.12, 0.13, 0.14, 0.15],
    [-1.11, -1.07, -1.10, -1.03, -0.97, -0.90, -0.80, -0.65, -0.41, -0.24, -0.14, -0.09, -0.06, -0.04, -0.03, -0.03],
    [0.00, 0.00, -0.05, -0.01, 0.05, 0.09, 0.14, 0.17, 0.20, 0.22, 0.24, 0.25, 0.26, 0.28, 0.29, 0.30],
])  # fmt: skip

# Zahid et al. 2017, table 4: log M* in steps of 0.1 and log [Z], median over the five bins of star formation rate.
ZAHID = np.array([
    np.linspace(8.55, 10.95, 25).round(2),
    [-0.657, -0.594, -0.584, -0.609, -0.489, -0.491, -0.450, -0.405, -0.394, -0.280, -0.225, -0.177, -0.165,
     -0.108, -0.073, -0.025, 0.004, 0.033, 0.047, 0.065, 0.052, 0.064, 0.047, 0.034, 0.043],
])  # fmt: skip
