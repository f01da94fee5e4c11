"""Windows of spectral indices and wavelengths of emission lines, each with its source.

Index windows are in air, emission lines in vacuum, both rest frame, Angstrom.
"""

from dataclasses import dataclass
from typing import Literal

Band = tuple[float, float]


@dataclass(frozen=True)
class Index:
    """One index: its sidebands, its feature band where it has one, and how the three are combined.

    kind: `break_fnu`, the ratio red / blue of the mean F_nu in the two sidebands; `ew`, the equivalent width
    of the feature below the line through the means of the sidebands, positive in absorption; `mag`, minus 2.5
    log of the mean of flux over that line.
    """

    name: str
    kind: Literal["break_fnu", "ew", "mag"]
    blue: Band  # rest-frame air wavelengths [Angstrom]
    red: Band
    source: str
    feature: Band | None = None

    @property
    def unit(self) -> str:
        """Of its value, as astropy spells it."""
        return {"break_fnu": "", "ew": "Angstrom", "mag": "mag"}[self.kind]


INDICES = {
    index.name: index
    for index in (
        Index("dn4000", "break_fnu", (3850.0, 3950.0), (4000.0, 4100.0), "Balogh et al. 1999, ApJ 527, 54"),
        Index("d4000", "break_fnu", (3750.0, 3950.0), (4050.0, 4250.0), "Bruzual 1983, ApJ 273, 105"),
    )
}


@dataclass(frozen=True)
class LineGroup:
    """Emission lines that rise and fall together: vacuum wavelengths [Angstrom] and relative fluxes."""

    name: str
    lines: tuple[tuple[float, float], ...]
    source: str


# Wavelengths: NIST Ritz values, as in the line list of the MaNGA DAP (Belfiore et al. 2019, table 1).
LINE_GROUPS = (
    LineGroup(
        "balmer",
        (
            (6564.608, 2.863),
            (4862.683, 1.0),
            (4341.684, 0.468),
            (4102.892, 0.259),
            (3971.195, 0.159),
            (3890.151, 0.105),
        ),
        "case B, 1e4 K, 1e2 cm-3: Storey & Hummer 1995",
    ),
    LineGroup("[o ii]", ((3727.092, 1.0), (3729.875, 1.35)), "low-density ratio: Osterbrock & Ferland 2006"),
    LineGroup("[o iii]", ((5008.240, 1.0), (4960.295, 0.336)), "A values: Storey & Zeippen 2000"),
    LineGroup("[n ii]", ((6585.270, 1.0), (6549.860, 0.327)), "A values: Storey & Zeippen 2000"),
    LineGroup("[s ii]", ((6718.295, 1.0), (6732.674, 0.75)), "low-density ratio: Osterbrock & Ferland 2006"),
)


@dataclass(frozen=True)
class EmissionLine:
    """A line whose flux is measured, with the weaker lines that atomic physics ties to it.

    wave: vacuum wavelength [Angstrom]; tied: vacuum wavelengths and fluxes relative to the line itself.
    """

    name: str
    wave: float
    tied: tuple[tuple[float, float], ...] = ()

    @property
    def members(self) -> tuple[tuple[float, float], ...]:
        """All its wavelengths and relative fluxes, its own first."""
        return ((self.wave, 1.0), *self.tied)


# Wavelengths and ratios as above; [O I] 6366/6302: A values of Storey & Zeippen 2000.
EMISSION_LINES = {
    line.name: line
    for line in (
        EmissionLine("h_beta", 4862.683),
        EmissionLine("o_iii_5007", 5008.240, ((4960.295, 0.336),)),
        EmissionLine("o_i_6300", 6302.046, ((6365.536, 0.328),)),
        EmissionLine("h_alpha", 6564.608),
        EmissionLine("n_ii_6583", 6585.270, ((6549.860, 0.327),)),
        EmissionLine("s_ii_6716", 6718.295),
        EmissionLine("s_ii_6731", 6732.674),
    )
}

# Night sky: [O I] 5577, Na D, [O I] 6300 [Angstrom, vacuum, observed frame]
SKY_LINES = (5578.9, 5894.6, 6302.0)
