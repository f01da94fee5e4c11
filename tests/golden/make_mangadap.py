"""Make mangadap.json: indices and their errors as the MaNGA pipeline measures them (Westfall et al. 2019).

sdss-mangadap pins an old ppxf, so it runs in an environment of its own:

    python -m venv /tmp/dap && /tmp/dap/bin/pip install sdss-mangadap==4.5.0
    /tmp/dap/bin/python tests/golden/make_mangadap.py results/raw/templates/emiles.npz tests/golden/mangadap.json

Input: the E-MILES population of 10 Gyr and solar metallicity, interpolated linearly onto 1 Angstrom pixels in air and
divided by its mean, with an error of 0.01 a pixel. Bands of the pipeline come in vacuum; so does the spectrum given to
it. Values of the break are of F_nu.
"""

import json
import sys

import numpy as np
from mangadap import __version__
from mangadap.par.absorptionindexdb import AbsorptionIndexDB
from mangadap.par.bandheadindexdb import BandheadIndexDB
from mangadap.proc.spectralindices import AbsorptionLineIndices, BandheadIndices

WAVE_AIR = np.arange(3700.0, 7000.0)
ERROR = 0.01
NAMES = {
    "CN1": "cn1", "CN2": "cn2", "Ca4227": "ca4227", "G4300": "g4300", "Fe4383": "fe4383", "Ca4455": "ca4455",
    "Fe4531": "fe4531", "C24668": "fe4668", "Hb": "hbeta", "Fe5015": "fe5015", "Mg1": "mg1", "Mg2": "mg2",
    "Mgb": "mgb", "Fe5270": "fe5270", "Fe5335": "fe5335", "Fe5406": "fe5406", "Fe5709": "fe5709",
    "Fe5782": "fe5782", "NaD": "nad", "TiO1": "tio1", "TiO2": "tio2", "HDeltaA": "hdelta_a",
    "HGammaA": "hgamma_a", "HDeltaF": "hdelta_f", "HGammaF": "hgamma_f",
}  # fmt: skip


def vacuum(air: np.ndarray) -> np.ndarray:
    """Vacuum wavelengths (Ciddor 1996, eq. 1), the conversion of the pipeline."""
    wave = air.copy()
    for _ in range(4):
        wavenumber2 = (1e4 / wave) ** 2
        wave = air * (1 + 5.792105e-2 / (238.0185 - wavenumber2) + 1.67917e-3 / (57.362 - wavenumber2))
    return wave


def spectrum(path: str) -> np.ndarray:
    """The population on WAVE_AIR, of mean one."""
    with np.load(path) as library:
        age, metal = np.argmin(np.abs(library["ages"] - 10)), np.argmin(np.abs(library["metals"]))
        flux = np.interp(WAVE_AIR, library["lam"], library["templates"][:, age, metal])
    return flux / flux.mean()


def measure(flux: np.ndarray) -> dict:
    """Value and error of every index by our names."""
    wave, error = vacuum(WAVE_AIR), np.full(flux.size, ERROR)
    lines, breaks = AbsorptionIndexDB.from_key("EXTINDX"), BandheadIndexDB.from_key("BHBASIC")
    bands = lines["blueside"], lines["redside"], lines["primary"]
    found = AbsorptionLineIndices(wave, flux, *bands, err=error, log=False, units=lines["units"])
    scale = wave**2
    sides = breaks["blueside"], breaks["redside"]
    ratio = BandheadIndices(wave, flux * scale, *sides, err=error * scale, log=False, order=breaks["order"])
    result = {
        NAMES[name]: {"value": float(value), "error": float(spread)}
        for name, value, spread in zip(lines["name"], found.index, found.index_err)
        if name in NAMES
    }
    place = list(breaks["name"]).index("Dn4000")
    return result | {"dn4000": {"value": float(ratio.index[place]), "error": float(ratio.index_err[place])}}


def windows() -> dict:
    """Windows of every index [Angstrom, vacuum], as the pipeline has them after its conversion from air."""
    lines = AbsorptionIndexDB.from_key("EXTINDX")
    kinds = ("blueside", "primary", "redside")
    return {
        NAMES[name]: {kind: [float(edge) for edge in lines[kind][row]] for kind in kinds}
        for row, name in enumerate(lines["name"])
        if name in NAMES
    }


if __name__ == "__main__":
    source, target = sys.argv[1:]
    golden = {
        "citation": f"sdss-mangadap {__version__} (BSD-3); Westfall et al. 2019, AJ 158, 231",
        "input": "E-MILES 10 Gyr, [M/H] 0, linear interpolation to 1 A in air from 3700 to 6999 A, mean 1, error 0.01",
        "indices": measure(spectrum(source)),
        "windows_vacuum": windows(),
    }
    with open(target, "w") as file:
        json.dump(golden, file, indent=1)
        file.write("\n")
