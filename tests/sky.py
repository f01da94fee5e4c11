"""The simulated sky as the tests use it: one library of templates and one small sky a test run."""

from pathlib import Path

import pytest
import yaml

from conftest import ROOT
from sanspec import __main__ as cli
from sanspec.mock import defects
from sanspec.mock.galaxy import Instruments

PACKED = ROOT / "results" / "raw" / "templates" / "emiles.npz"
GALAXIES = len(defects.KINDS) + 2
_MADE: dict[str, Path] = {}  # fixtures imported by several modules would be made by each


@pytest.fixture(scope="session")
def emiles(tmp_path_factory) -> Path:
    """E-MILES as packed by the stage; fetched where no earlier run left it."""
    if PACKED.exists():
        return PACKED
    folder = tmp_path_factory.mktemp("templates")
    settings(folder, {})
    if cli.main(["templates", "--config", str(folder / "config.yaml"), "--out", str(folder / "emiles.npz")]):
        pytest.skip("no E-MILES templates: the package index cannot be reached")
    return folder / "emiles.npz"


def settings(folder: Path, mock: dict, name: str = "config.yaml") -> Path:
    """A configuration with these settings of the sky."""
    path = folder / name
    path.write_text(yaml.safe_dump({"mock": mock}))
    return path


def simulate(folder: Path, emiles: Path, workers: int = 1, **mock) -> Path:
    """A sky simulated by the command line; returns its folder."""
    config = settings(folder, mock, f"sky{workers}.yaml")
    out = folder / f"sky{workers}"
    command = ["mock", "--config", str(config), "--templates", str(emiles), "--out", str(out)]
    assert cli.main([*command, "--workers", str(workers)]) == 0
    return out


@pytest.fixture(scope="session")
def spoilt_sky(tmp_path_factory, emiles) -> Path:
    """A small sky: a defect in every galaxy, each kind at least once; some close pairs."""
    if "spoilt" not in _MADE:
        folder = tmp_path_factory.mktemp("spoilt")
        _MADE["spoilt"] = simulate(folder, emiles, galaxies=GALAXIES, seed=4, defects=1.0, pairs=0.2)
    return _MADE["spoilt"]


@pytest.fixture(scope="session")
def tools(emiles):
    """Instruments of the default settings."""
    from sanspec.config import Mock

    return Instruments.read(emiles, Mock())
