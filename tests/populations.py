"""The E-MILES populations for tests: those of a run where there are any, else fetched once and kept."""

import functools

import pytest

from conftest import ROOT
from sanspec.archive.templates import fetch_library
from sanspec.errors import SanspecError
from sanspec.stellar.library import Library, open_library

PATHS = ROOT / "results" / "raw" / "templates" / "emiles.npz", ROOT / ".pytest_cache" / "emiles.npz"


@functools.cache
def library_path():
    """Where the packed library is; skips the test, saying why, where it can be neither found nor fetched."""
    for path in PATHS:
        if path.exists():
            return path
    try:
        fetch_library("emiles").write(PATHS[-1])
    except SanspecError as fault:
        pytest.skip(f"no E-MILES populations: {fault}")
    return PATHS[-1]


@functools.cache
def read_library() -> Library:
    """The packed library."""
    return open_library(library_path())
