"""Where emission lines stand that a fit of stars must not see."""

import numpy as np
from jaxtyping import Bool, Float

from sanspec.physics.air import air_to_vac

# Air wavelengths [Angstrom] of the released FIREFLY: [O II], [Ne III], He I-II, Balmer, [O III], [Ar IV], [N
# I], [O I], [N II], [S II], [Ar III], [Ne V]
AIR = (
    *(3202.15, 3345.81, 3425.81, 3726.03, 3728.73, 3868.69, 3889.05, 3967.40, 3970.07, 4101.73, 4340.46),
    *(4363.15, 4685.74, 4711.30, 4740.10, 4861.32, 4958.83, 5006.77, 5197.90, 5200.39, 5875.60, 6300.20),
    *(6363.67, 6547.96, 6562.80, 6583.34, 6716.31, 6730.68, 7135.67),
)
VACUUM = air_to_vac(np.array(AIR))


def near(rest: Float[np.ndarray, " pix"], half_width: float) -> Bool[np.ndarray, " pix"]:
    """Pixels (rest vacuum Angstrom) closer than `half_width` [Angstrom] to an emission line."""
    after = np.searchsorted(VACUUM, rest)
    below = np.abs(rest - VACUUM[np.maximum(after - 1, 0)])
    above = np.abs(VACUUM[np.minimum(after, len(VACUUM) - 1)] - rest)
    return np.minimum(below, above) < half_width
