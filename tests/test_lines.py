"""Windows and wavelengths against the tables they come from."""

import numpy as np
import pytest
from ppxf import ppxf_util

from sanspec.physics.air import vac_to_air
from sanspec.physics.lines import INDICES, LINE_GROUPS

AIR = {  # NIST, air wavelengths [Angstrom]
    "balmer": (6562.79, 4861.35, 4340.47, 4101.74, 3970.08, 3889.06),
    "[o ii]": (3726.03, 3728.82),
    "[o iii]": (5006.84, 4958.91),
    "[n ii]": (6583.45, 6548.05),
    "[s ii]": (6716.44, 6730.82),
}


@pytest.mark.parametrize("group", LINE_GROUPS, ids=lambda group: group.name)
def test_lines_stand_where_they_do_in_air(group):
    vacuum = np.array([wave for wave, _ in group.lines])
    assert ppxf_util.vac_to_air(vacuum) == pytest.approx(AIR[group.name], abs=0.03)
    assert vac_to_air(vacuum) == pytest.approx(ppxf_util.vac_to_air(vacuum), abs=1e-4)


def test_line_ratios_are_those_of_atomic_physics():
    strength = {wave: value for group in LINE_GROUPS for wave, value in group.lines}
    assert strength[6564.608] == pytest.approx(2.86, abs=0.01)  # case B Halpha/Hbeta
    assert strength[4960.295] == pytest.approx(1 / 2.98, abs=0.01)
    assert strength[6549.860] == pytest.approx(1 / 3.05, abs=0.01)


def test_the_break_windows_are_those_of_balogh():
    index = INDICES["dn4000"]
    assert (index.blue, index.red) == ((3850, 3950), (4000, 4100)) and "Balogh" in index.source
    assert all(index.name == name and index.blue[1] <= index.red[0] for name, index in INDICES.items())
