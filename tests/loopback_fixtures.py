"""Fixtures: a small sky, the loopback SDSS that serves it, an account there, and a PostgreSQL server.

Test files name this module in `pytest_plugins` and never import it.
"""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from loopback import survey
from loopback_sky import SECRET, USERS, make
from sanspec.archive import skyserver

BINARIES = max(
    Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=None
)


@pytest.fixture(scope="session")
def sky(tmp_path_factory) -> Path:
    """The folder of the small sky, which tests must not change."""
    return make(tmp_path_factory.mktemp("sky"))


@pytest.fixture
def loopback(sky, monkeypatch):
    """A running loopback SDSS over the small sky, one per test, with a password worth hiding; few, large slices."""
    monkeypatch.setattr(skyserver, "SLICE_PLATES", 1000)
    with survey.opened(sky, users=USERS) as running, running.server:
        running.server.hang, running.server.retry_after, running.skyserver.per_minute = 1.5, 0, 100_000
        yield running


@pytest.fixture
def account(monkeypatch):
    """The account's credentials for REST and SOAP, in the environment."""
    names = {"SCISERVER_USER": "demo", "CASJOBS_WSID": "1234567"}
    names |= dict.fromkeys(("SCISERVER_PASSWORD", "CASJOBS_PASSWORD"), SECRET)
    for name, value in names.items():
        monkeypatch.setenv(f"SANSPEC_{name}", value)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory):
    """The URL of a private PostgreSQL server on a socket in its own folder, run by an ordinary user."""
    if BINARIES is None or not (BINARIES / "initdb").exists():
        pytest.skip("no PostgreSQL server: install Debian's package postgresql")
    place = Path(tmp_path_factory.mktemp("pg", numbered=True))
    as_user = []
    if os.geteuid() == 0:  # postgres refuses root
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        place = Path(subprocess.check_output(["mktemp", "-d", "/tmp/sanspec-pg-XXXXXX"], text=True).strip())
        shutil.chown(place, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}

    def run(*command):
        subprocess.run(
            [*as_user, *command], check=True, capture_output=True, env=environment, cwd=place, timeout=60
        )

    data = place / "data"
    run(BINARIES / "initdb", "-D", data, "-U", "sanspec", "--auth=trust", "--no-sync", "-E", "UTF8")
    options = f"-c listen_addresses='' -c unix_socket_directories={place} -c port={port} -c fsync=off"
    run(BINARIES / "pg_ctl", "-D", data, "-w", "-l", place / "log", "-o", options, "start")
    yield f"postgresql+psycopg://sanspec@/postgres?host={place}&port={port}"
    run(BINARIES / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def postgres(postgres_server) -> str:
    """The URL of an empty database of a PostgreSQL server."""
    engine = create_engine(postgres_server)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))
    engine.dispose()
    return postgres_server
