"""The field of a run that a galaxy of the loopback sky stands in: three fields each.

They do not depend on the simulated objIDs.
"""

PER_CAMCOL, PER_RUN = 260, 6 * 260


def field_of(number: int) -> tuple[int, int, int]:
    """run, camcol, field of galaxy `number`; the fields before and after belong to it too."""
    return 94 + number // PER_RUN, number // PER_CAMCOL % 6 + 1, 12 + 3 * (number % PER_CAMCOL)


def number_of(run: int, camcol: int, field: int) -> tuple[int, int]:
    """Galaxy of a field, and the field's step from that galaxy's own (-1, 0, 1)."""
    place, step = divmod(field - 11, 3)
    return (run - 94) * PER_RUN + (camcol - 1) * PER_CAMCOL + place, step - 1
