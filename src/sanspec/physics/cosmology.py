"""The one cosmology of distances and ages: flat, H0 = 70 km/s/Mpc, Omega_m = 0.3."""

from astropy.cosmology import FlatLambdaCDM

COSMOLOGY = FlatLambdaCDM(H0=70.0, Om0=0.3)
