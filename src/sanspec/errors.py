"""The three kinds of fault: the user's (`SanspecError`), one object's (`Warn` bits), ours (any other exception)."""

from enum import IntFlag


class SanspecError(Exception):
    """A fault that the user can mend: one line with what, where, what is allowed and the remedy; exit status 2."""


class Warn(IntFlag):
    """What can be wrong with one object. It stays in the tables; the values that a bit spoils are masked or NaN."""

    # fmt: off
    UNREADABLE         = 1 << 0   # the spectrum file is missing, truncated or not FITS
    WRONG_OBJECT       = 1 << 1   # plate, mjd, fiberid or run2d in the file differ from the file name or the catalogue
    NOT_GALAXY         = 1 << 2   # the pipeline's class is not GALAXY (QSO or star)
    NOT_SDSS           = 1 << 3   # not from the SDSS spectrograph (BOSS or eBOSS)
    ZWARNING           = 1 << 4   # the pipeline's ZWARNING is not 0
    BAD_PLATE          = 1 << 5   # PLATEQUALITY is bad, or SPECPRIMARY is 0
    SKY_FIBRE          = 1 << 6   # the fibre observed empty sky
    OUTSIDE_Z          = 1 << 7   # redshift outside the survey's window
    SHORT_COVERAGE     = 1 << 8   # good pixels do not reach both ends of the wavelength grid
    NO_SIGNAL          = 1 << 9   # no good pixel: every ivar is 0 or every flux is NaN
    MASKED_PIXELS      = 1 << 10  # more than a stated fraction of the pixels is masked
    NOT_NORMALISABLE   = 1 << 11  # mean flux in the normalisation window not positive, or the window masked
    LSF_BROAD          = 1 << 12  # native line-spread function broader than the target by more than a stated fraction
    NONPOSITIVE_FLUX   = 1 << 13  # some pixels have flux <= 0: masked in the log spectrum, kept in the linear one
    BAD_IMAGE          = 1 << 14  # the image cube holds NaN or is constant in a band
    NO_CUBE            = 1 << 15  # in the catalogue but not in the cube file
    NO_CATALOGUE       = 1 << 16  # in the cube file but not in the catalogue
    DUPLICATE          = 1 << 17  # another row of the same galaxy was kept instead
    NO_REDSHIFT        = 1 << 18  # no redshift could be measured: too few good pixels
    AMBIGUOUS_REDSHIFT = 1 << 19  # a second redshift fits almost as well
    NO_INDEX           = 1 << 20  # an index band lies outside the grid or over masked pixels
    NOT_GENERATED      = 1 << 21  # no spectrum could be generated from the image
    NOT_FITTED         = 1 << 22  # no populations fitted: too few good pixels, no signal, or outside the templates
    AT_BOUND           = 1 << 23  # a fitted parameter lies at its bound
    LOW_SNR            = 1 << 24  # signal-to-noise ratio below what the fit's tests cover
    NO_VDISP           = 1 << 25  # no velocity dispersion was measured; a stated value was assumed
    FEW_DRAWS          = 1 << 26  # some bootstrap draws failed and were left out
    NO_LINE            = 1 << 27  # emission line not measured: outside, masked, no continuum, or as broad as its bound
    NO_CLASS           = 1 << 28  # a line flux or width that decides the spectral class is unknown
    UNCORRECTED        = 1 << 29  # an index outside the range of the correction for velocity dispersion
    # fmt: on


def reasons(warn: int) -> list[str]:
    """Names of the bits set in `warn`, in lower case, in order of their value."""
    return [bit.name.lower() for bit in Warn if int(warn) & bit]
