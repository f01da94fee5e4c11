"""What all tests share: checked array shapes, where real data are, and a message about what is skipped."""

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

import sanspec  # noqa: F401  first, so that its thread limits hold for numpy
import shapes

ROOT = Path(__file__).parents[1]

shapes.turn_on()


def benchmark(name: str) -> ModuleType:
    """A script of benchmarks/ as a module, so that a test can run a small case of it."""
    folder = ROOT / "benchmarks"
    if str(folder) not in sys.path:  # scripts import what they share from beside themselves
        sys.path.append(str(folder))
    spec = importlib.util.spec_from_file_location(f"benchmark_{name}", folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


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
