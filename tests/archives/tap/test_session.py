"""Sessions with an archive send no credentials that the caller did not give, and use the proxy of the system."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from starscale.archives.tap.session import Login, open_session
from starscale.surveys.archive import Copy
from starscale.vocabulary.errors import InputError


class Recorder(BaseHTTPRequestHandler):
    """Records every request; answers with the redirect of the server, if it has one."""

    def do_GET(self) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers), self.body()))  # type: ignore[attr-defined]
        status, location = self.server.redirect if "moved" in self.path else (200, "")  # type: ignore[attr-defined]
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Set-Cookie", "session=1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def recording(redirect: tuple[int, str] = (200, "")) -> Iterator[tuple[str, list]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    server.seen, server.redirect = [], redirect  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.seen  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ~/.netrc with a password for every host, and no proxy."""
    (tmp_path / "netrc").write_text("default login observer password secret\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def place(address: str, login: str | None = None) -> Copy:
    return Copy.model_validate({"name": "here", "service": f"{address}/tap", "table": "t", "login": login})


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_no_password_of_netrc_is_sent_also_not_after_a_redirect(code: int) -> None:
    with (
        recording() as (other, seen_there),
        recording((code, f"{other.replace('127.0.0.1', 'localhost')}/x")) as (
            address,
            seen,
        ),
    ):
        session = open_session(place(address), Login())
        session.get(f"{address}/tap/availability")
        session.post(f"{address}/tap/moved", data={"QUERY": "SELECT 1"})
        session.close()
    assert len(seen) == 2
    assert len(seen_there) == 1
    assert not [headers for *_, headers, _ in seen + seen_there if "Authorization" in headers]


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with recording() as (proxy, seen):
        monkeypatch.setenv("http_proxy", proxy)
        session = open_session(place("http://archive.example"), Login())
        assert session.get("http://archive.example/tap/sync").status_code == 200
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        session.get(f"{proxy}/direct")
        session.close()
    assert [path for _, path, *_ in seen] == ["http://archive.example/tap/sync", "/direct"]


@pytest.mark.parametrize("code", [307, 308])
def test_a_login_that_is_sent_on_is_refused(code: int) -> None:
    with recording() as (other, seen_there), recording((code, f"{other}/steal")) as (address, seen):
        copy = place(address, "form").model_copy(update={"login_url": f"{address}/moved"})
        with pytest.raises(InputError, match=r"moved: sends the password on to .*/steal"):
            open_session(copy, Login("observer", "secret"))
    assert len(seen) == 1
    assert not seen_there


def test_a_login_that_answers_with_a_page_elsewhere_keeps_its_cookie() -> None:
    with recording((302, "http://127.0.0.1:9/welcome")) as (address, seen):
        copy = place(address, "form").model_copy(update={"login_url": f"{address}/moved"})
        session = open_session(copy, Login("observer", "secret"))
        assert session.cookies.get("session") == "1"
        session.get(f"{address}/tap/sync")
        session.close()
    assert [method for method, *_ in seen] == ["POST", "GET"]
    assert b"secret" in seen[0][3]
    assert "Authorization" not in seen[1][2]
