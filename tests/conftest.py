"""What all tests share: checked array shapes, where real data are, and a message about what is skipped."""

import os
from pathlib import Path

import pytest

import sanspec  # noqa: F401  first, so that its thread limits hold for numpy
import shapes

ROOT = Path(__file__).parents[1]

shapes.turn_on()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real SDSS spectra and reference records, named by SANSPEC_TEST_DATA."""
    folder = os.environ.get("SANSPEC_TEST_DATA")
    if not folder:
        pytest.skip("no real data: set SANSPEC_TEST_DATA to their folder")
    return Path(folder)


def pytest_terminal_summary(terminalreporter):
    """Says aloud which tests did not run, and why."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = {}
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons.setdefault(reason.removeprefix("Skipped: "), []).append(report.nodeid)
    for reason, tests in reasons.items():
        terminalreporter.write_line(f"not run ({len(tests)}): {reason}: {', '.join(tests)}")
