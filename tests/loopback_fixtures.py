"""Fixtures: a small sky, the loopback SDSS over it, an account there. Named in `pytest_plugins`, never
imported.
"""

from pathlib import Path

import pytest

from loopback_sky import SECRET, USERS, make
from sanspec.loopback import survey


@pytest.fixture(scope="session")
def sky(tmp_path_factory) -> Path:
    """The folder of the small sky; not to be changed."""
    return make(tmp_path_factory.mktemp("sky"))


@pytest.fixture
def loopback(sky):
    """A loopback SDSS over the small sky, serving; one for each test, its account worth hiding."""
    with survey.opened(sky, users=USERS) as running, running.server:
        running.server.hang, running.server.retry_after, running.skyserver.per_minute = 1.5, 0, 100_000
        yield running


@pytest.fixture
def account(monkeypatch):
    """The account's credentials, REST and SOAP, in the environment."""
    names = {"SCISERVER_USER": "demo", "CASJOBS_WSID": "1234567"}
    names |= dict.fromkeys(("SCISERVER_PASSWORD", "CASJOBS_PASSWORD"), SECRET)
    for name, value in names.items():
        monkeypatch.setenv(f"SANSPEC_{name}", value)
