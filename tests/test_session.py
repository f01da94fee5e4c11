"""The HTTP client is polite, tells temporary faults from final ones, and keeps credentials secret."""

import http.server
import logging
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from loopback.server import Loopback, Reply, Route
from loopback_sky import HTTP, SECRET, patience
from sanspec.archive import credentials
from sanspec.archive.credentials import Credentials
from sanspec.archive.session import Refused, Session, Stopped, Transient, parse_retry_after
from sanspec.config import Http
from sanspec.errors import SanspecError

pytest_plugins = "loopback_fixtures"


def page(request):
    return Reply(200, b"x" * 1000)


def session(**changes):
    return Session(Http(**(HTTP | changes)))


@pytest.fixture
def server():
    """A server with one page, which records its visitors."""
    routes = [Route("spectrum", method, r"/page\d*", page) for method in ("GET", "POST", "PUT")]
    with Loopback(routes) as running:
        running.hang, running.retry_after = 1.5, 0
        yield running


def test_it_says_who_asks(server):
    with session(contact="astronomer@example.org") as client:
        client.call("GET", f"{server.base}/page")
    assert server.requests[0]["agent"].startswith("sanspec/")
    assert "mailto:astronomer@example.org" in server.requests[0]["agent"]


def test_a_foreign_host_is_not_asked_without_a_contact():
    with session() as client, pytest.raises(SanspecError, match=r"acquire\.http\.contact is not set"):
        client.call("GET", "https://data.sdss.org/x")


@pytest.mark.parametrize("url", ["ftp://h/x", "h/x", "", "file:///etc/passwd"])
def test_what_is_no_address_is_one_line(url):
    with session() as client, pytest.raises(SanspecError, match="not an http"):
        client.call("GET", url)


def test_connections_are_bounded_and_kept_alive(server):
    server.latency = 0.01
    with session(connections=3) as client, ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda n: client.call("GET", f"{server.base}/page{n}"), range(60)))
    assert len(server.requests) == 60 and len({one["client"] for one in server.requests}) <= 3


def test_requests_are_paced_over_all_threads(server):
    with session(rate=50.0, connections=4) as client, ThreadPoolExecutor(4) as pool:
        begun = time.monotonic()
        client.sleep = lambda seconds: None  # what would be waited for shows in the queue
        list(pool.map(lambda n: client.call("GET", f"{server.base}/page{n}"), range(20)))
        assert client._next >= begun + 20 / 50


@pytest.mark.parametrize("kind", ["429", "503", "500", "truncated", "hang", "hang_body", "reset"])
def test_a_passing_fault_is_tried_again(server, kind):
    server.faults.add("spectrum", kind, times=2)
    with session(**patience(kind)) as client:
        answer = client.call("GET", f"{server.base}/page")
    assert answer.status == 200 and len(answer.body) == 1000 and len(server.requests) >= 3
    assert sum(count for name, count in client.tally.items() if name.startswith("retry")) >= 2


@pytest.mark.parametrize("kind", ["503", "hang", "reset", "truncated"])
def test_tries_end(server, kind):
    server.faults.add("spectrum", kind, times=99)
    with session(attempts=3, **patience(kind)) as client, pytest.raises(Refused, match=r"\(3 tries\)"):
        client.call("GET", f"{server.base}/page")
    assert client.tally["requests"] == 3


def test_a_wait_is_told_once_for_all(server, caplog):
    caplog.set_level(logging.INFO)
    server.faults.add("spectrum", "500", times=99)
    with session(attempts=4) as client:
        for _ in range(3):
            with pytest.raises(Refused):
                client.call("GET", f"{server.base}/page")
    assert [one.getMessage() for one in caplog.records] == ["HTTP 500: try 3 of 4 in 0 s"]


def test_waits_grow_and_are_spread(monkeypatch):
    monkeypatch.setattr("sanspec.archive.session.BACKOFF_MAX", 20.0)
    with session(backoff=2.0) as client:
        waits = [[client.backoff(n) for _ in range(300)] for n in range(1, 8)]
    for n, values in enumerate(waits):
        middle = min(2.0 * 2**n, 20.0)
        assert (
            min(values) >= 0.5 * middle
            and max(values) <= 1.5 * middle
            and max(values) - min(values) > 0.5 * middle
        )


def test_retry_after_holds_every_thread_back(server):
    server.retry_after = 600
    server.faults.add("spectrum", "429")
    waits = []
    with session() as client, ThreadPoolExecutor(4) as pool:
        client.sleep = waits.append
        client.call("GET", f"{server.base}/page")
        first = len(waits)
        list(pool.map(lambda n: client.call("GET", f"{server.base}/page{n}"), range(8)))
    assert max(waits[:first]) > 300 and len([wait for wait in waits[first:] if wait > 300]) >= 8


def test_a_wait_beyond_patience_stops_the_run(server):
    server.retry_after = 7200
    server.faults.add("spectrum", "503")
    with session() as client, pytest.raises(SanspecError, match="come back in 120 min"):
        client.call("GET", f"{server.base}/page")


def test_retry_after_is_a_number_or_a_date():
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert parse_retry_after("120") == 120 and 95 < parse_retry_after(then) <= 100
    assert parse_retry_after(format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True)) == 0
    assert parse_retry_after(None) is None


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.text())
def test_retry_after_never_breaks(text):
    found = parse_retry_after(text)
    assert found is None or found >= 0


def test_what_must_not_be_done_twice_is_not_tried_again(server):
    server.faults.add("spectrum", "truncated")
    with session() as client, pytest.raises(Transient, match="truncated"):
        client.call("PUT", f"{server.base}/page", repeatable=False)
    assert len(server.requests) == 1


def test_what_never_left_may_be_sent_again():
    with (
        session(attempts=3) as client,
        pytest.raises(Refused, match=r"cannot connect to http://127.0.0.1:9 \(3 tries\)"),
    ):
        client.call("PUT", "http://127.0.0.1:9/page", repeatable=False)


def test_a_body_that_drips_is_broken_off(monkeypatch):
    """A byte a minute never runs into the read timeout: the minimum speed ends it."""
    clock = iter(range(0, 100_000, 60))
    monkeypatch.setattr("sanspec.archive.session.time.monotonic", lambda: next(clock))

    class Dripping:
        headers: ClassVar = {}
        request = type("Request", (), {"method": "GET"})

        def iter_content(self, size):
            yield from [b"x"] * 1000

    with session() as client, pytest.raises(Transient, match="too slow"):
        list(client.chunks(Dripping()))


def test_a_stop_ends_every_wait(server):
    server.faults.add("spectrum", "500", times=99)
    with session(backoff=60.0) as client:
        threading.Timer(0.2, client.stop.set).start()
        begun = time.monotonic()
        with pytest.raises(Stopped):
            client.call("GET", f"{server.base}/page")
    assert time.monotonic() - begun < 50


# ---------------------------------------------------------------------------------------------------- secrets


def test_a_secret_goes_to_https_alone():
    with session(contact="a@b.org") as client, pytest.raises(SanspecError, match="give its https address"):
        client.call("POST", "http://apps.sciserver.org/login", secret=True)


def test_a_secret_does_not_follow_a_redirect(server):
    other = Loopback([Route("spectrum", "GET", "/page", page)])

    def away(request):
        return Reply(302, b"", headers={"Location": f"{other.base}/page"})

    server.routes.append((Route("away", "GET", "/away", away), __import__("re").compile("/away")))
    with other, session() as client:
        assert (
            client.call("GET", f"{server.base}/away", secret=True, headers={"X-Auth-Token": "t"}).status
            == 302
        )
        assert not other.requests
        assert client.call("GET", f"{server.base}/away").status == 200 and len(other.requests) == 1


def test_netrc_is_not_sent(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    seen = []
    server.routes.insert(
        0,
        (
            Route(
                "spectrum", "GET", "/page", lambda request: (seen.append(request.headers), page(request))[1]
            ),
            server.routes[0][1],
        ),
    )
    with session() as client:
        client.call("GET", f"{server.base}/page")
    assert "Authorization" not in seen[0]


def test_a_password_prints_as_stars():
    from pydantic import SecretStr

    found = Credentials("me", SecretStr(SECRET))
    assert SECRET not in repr(found) and found.redact(f"wrong: {SECRET}!") == "wrong: ***!"


def test_credentials_come_from_the_environment(account, monkeypatch):
    assert credentials.find("sciserver").user == "demo" and credentials.find("casjobs").user == "1234567"
    monkeypatch.delenv("SANSPEC_SCISERVER_USER")
    assert credentials.find("sciserver") is None


def test_credentials_come_from_the_keyring(account, monkeypatch):
    monkeypatch.delenv("SANSPEC_SCISERVER_PASSWORD")
    monkeypatch.setattr("keyring.get_password", lambda service, user: f"{service}/{user}")
    assert credentials.find("sciserver").password.get_secret_value() == "sanspec-sciserver/demo"
    monkeypatch.setattr("keyring.get_password", lambda service, user: None)
    with pytest.raises(SanspecError, match="there is no password"):
        credentials.find("sciserver")


def test_a_machine_without_a_keyring_is_no_fault(account, monkeypatch):
    from keyring.errors import NoKeyringError

    def none(service, user):
        raise NoKeyringError

    monkeypatch.delenv("SANSPEC_SCISERVER_PASSWORD")
    monkeypatch.setattr("keyring.get_password", none)
    with pytest.raises(SanspecError, match="SANSPEC_SCISERVER_PASSWORD"):
        credentials.find("sciserver")


@pytest.fixture
def unsigned(tmp_path):
    """The address of an https server whose certificate nobody vouches for."""
    pytest.importorskip("cryptography", reason="cryptography makes the test's certificate")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    certificate = made.sign(key, hashes.SHA256())
    plain = serialization.NoEncryption()
    pem = certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain
    )
    (tmp_path / "own.pem").write_bytes(pem)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def test_a_certificate_that_does_not_verify_stops_the_run(unsigned):
    with (
        session() as client,
        pytest.raises(SanspecError, match=r"certificate of https://127\.0\.0\.1:.* does not verify"),
    ):
        client.call("GET", unsigned, secret=True)
    assert client.tally["requests"] == 1, "no second try"
