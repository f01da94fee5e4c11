"""Faults told apart everywhere: the user's (`SanspecError`), one object's (`Warn` bits), ours (any other exception)."""

from enum import IntFlag


class SanspecError(Exception):
    """A fault the user can mend: one line with what, where, what is allowed and the remedy; exit status 2."""


class Warn(IntFlag):
    """What can be wrong with one object. The object keeps its row; the values a bit spoils are masked or NaN."""

    UNREADABLE = 1 << 0  # the spectrum file is missing, truncated or not FITS
    WRONG_OBJECT = (
        1 << 1
    )  # plate, mjd, fiberid or run2d inside the file are not those of its name or catalogue row
    NOT_GALAXY = 1 << 2  # the pipeline's class is not GALAXY (QSO or star)
    NOT_SDSS = 1 << 3  # not from the SDSS spectrograph (BOSS or eBOSS)
    ZWARNING = 1 << 4  # the pipeline's ZWARNING is not 0
    BAD_PLATE = 1 << 5  # PLATEQUALITY is bad, or SPECPRIMARY is 0
    SKY_FIBRE = 1 << 6  # the fibre was put on empty sky
    OUTSIDE_Z = 1 << 7  # redshift outside the survey's window
    SHORT_COVERAGE = 1 << 8  # good pixels do not reach both ends of the wavelength grid
    NO_SIGNAL = 1 << 9  # no good pixel at all: every ivar is 0 or every flux is NaN
    MASKED_PIXELS = 1 << 10  # more than a stated fraction of the pixels is masked
    NOT_NORMALISABLE = (
        1 << 11
    )  # mean flux in the normalisation window is not positive, or the window is masked
    LSF_BROAD = 1 << 12  # the native resolution is more than a stated fraction broader than the target
    NONPOSITIVE_FLUX = (
        1 << 13
    )  # some pixels have flux <= 0: masked in the log spectrum, kept in the linear one
    BAD_IMAGE = 1 << 14  # the image cube holds NaN or is constant in a band
    NO_CUBE = 1 << 15  # in the catalogue, not in the cube file
    NO_CATALOGUE = 1 << 16  # in the cube file, not in the catalogue
    DUPLICATE = 1 << 17  # another row of the same galaxy was kept instead
    NO_REDSHIFT = 1 << 18  # no redshift could be measured: too few good pixels
    AMBIGUOUS_REDSHIFT = 1 << 19  # a second redshift fits almost as well
    NO_INDEX = 1 << 20  # an index band lies outside the grid or over masked pixels
    NOT_GENERATED = 1 << 21  # no spectrum could be generated from the image
    NOT_FITTED = (
        1 << 22
    )  # no populations could be fitted: too few good pixels, no signal, or outside the templates
    AT_BOUND = 1 << 23  # a parameter of a fit stands at its bound
    LOW_SNR = 1 << 24  # signal to noise below what the fit's tests cover
    NO_VDISP = 1 << 25  # no velocity dispersion was measured: a stated one was assumed
    FEW_DRAWS = 1 << 26  # some draws of a bootstrap failed and were left out
    NO_LINE = (
        1 << 27
    )  # an emission line was not measured: outside, masked, no continuum, or as broad as its bound
    NO_CLASS = 1 << 28  # a line or width on which the spectral class rests is unknown
    UNCORRECTED = 1 << 29  # an index lies outside what the correction for velocity dispersion was fitted to


def reasons(warn: int) -> list[str]:
    """Names of the bits set in `warn`, lower case, in order of their value."""
    return [bit.name.lower() for bit in Warn if int(warn) & bit]


def explain(kind: str, value: object, allowed: str, remedy: str) -> SanspecError:
    """A user's fault in the house form: what, what was met, what is allowed, what to do."""
    return SanspecError(f"{kind}: got {value!r}; allowed: {allowed}; {remedy}")
