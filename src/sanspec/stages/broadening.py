"""Fit the effect of velocity dispersion on spectral indices of population models: coefficients of a correction."""

import logging

from sanspec import config, options, store
from sanspec.errors import SanspecError
from sanspec.features import vdisp_correction as correction
from sanspec.physics.constants import FWHM_PER_SIGMA
from sanspec.scores.numbers import Number, record
from sanspec.stellar.library import open_library

log = logging.getLogger(__name__)

WORST_ERROR = "maximum relative error of an index corrected for dispersion, on population mixtures not fitted"
WORST = 0.05  # |relative error| after correction that the held-out test allows (Doorenbos et al. 2024, 4.2)
Z_MIDDLE = 0.1  # redshift at which the resolution of the spectra is converted to the rest frame
SDSS_FWHM = 2.76  # resolution in the middle of the spectrograph's range [Angstrom] (Vazdekis et al. 2012)

FILES = options.files("config templates", out="coefficients to write (.json)")


def run(args) -> None:
    """Fit, test on mixtures that were not fitted, replace by a user's coefficients where given, write."""
    settings = config.load(args.config)
    fwhm = resolution(settings.prepare)
    wave, flux = correction.spectra(open_library(args.templates))
    values = correction.broadened(wave, flux, correction.VDISPS, fwhm)
    fitted = {name: correction.fit(values[name], correction.VDISPS) for name in correction.CORRECTED}
    tested = correction.held_out({name: one for name, (one, _) in fitted.items()}, wave, flux, fwhm)
    worst = max(result["relative_max"] for result in tested.values())
    if not worst <= WORST:
        error = f"leave {worst:.1%} error on mixtures not fitted; allowed: {WORST:.0%}"
        remedy = "use the E-MILES library of `sanspec templates`"
        raise SanspecError(f"broadening: coefficients fitted to {args.templates} {error}; {remedy}")
    chosen = {name: one for name, (one, _) in fitted.items()}
    if settings.lick.coefficients is not None:
        chosen |= correction.read_published(settings.lick.coefficients)
    number = Number("vdisp_correction_worst", worst, WORST_ERROR, paper="usually < 0.05 (section 4.2)")
    about = {
        **record([number]),
        "form": "x0 = p0 + p1 x^p2 + p3 s^p4 + p5 x^p6 s^p7, s in km/s (Zheng et al. 2019)",
        "fwhm_of_break": fwhm,
        "fit": {name: quality for name, (_, quality) in fitted.items()},
        "held_out": tested,
        "provenance": store.provenance("broadening", settings.lick.model_dump(mode="json")),
    }
    store.write_json(args.out, correction.as_json(chosen) | about)
    log.info("worst |relative error| on held-out mixtures: %.3f -> %s", worst, args.out)


def resolution(settings: config.Prepare) -> float:
    """FWHM of the smoothed spectra in the rest frame of the middle redshift [Angstrom]."""
    if settings.smoothing == "constant_fwhm":
        return settings.fwhm / (1 + Z_MIDDLE)
    total = (SDSS_FWHM**2 + (FWHM_PER_SIGMA * settings.sigma) ** 2) ** 0.5
    return total / (1 + Z_MIDDLE)
