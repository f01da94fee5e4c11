"""Numbers of a run, each declared where it is computed: name, value, meaning, unit, the value of the paper.

A file of scores (.json) holds them under `numbers` (values by name) and `about` (meaning, unit and the paper's value
by name). `summary` collects what these files declare.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Number:
    """One number of a run. paper: its value in Doorenbos et al. (2024, ApJ 977, 131), where they give one."""

    name: str
    value: float | int | None
    meaning: str
    unit: str = ""
    paper: str = ""


def record(numbers: Iterable[Number]) -> dict[str, dict]:
    """`numbers` and `about`, as a file of scores holds them. Raises ValueError when a name is declared twice."""
    values: dict = {}
    about: dict = {}
    for one in numbers:
        if one.name in values:
            raise ValueError(f"the number {one.name} is declared twice")
        values[one.name] = one.value
        about[one.name] = {"unit": one.unit, "meaning": one.meaning, "paper": one.paper}
    return {"numbers": values, "about": about}
