"""HTTP sessions: a user agent, a time limit on every request, and credentials that are sent to one host only.

Nobody but the caller logs in: ``~/.netrc`` is not read by a session, since requests would send its passwords with
every request, over http too. Proxies and certificates are those of the environment.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_environ_proxies

from starscale.surveys.archive import Copy
from starscale.version import __version__
from starscale.vocabulary.errors import InputError, Problem

#: Time limits in seconds: to connect, and between two blocks of an answer.
TIMEOUTS = (30.0, 120.0)
#: HTTP codes of a redirect that repeats the body of the request.
_SENT_AGAIN = (307, 308)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Login:
    """A user's name and password, or a token; never shown or stored."""

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.token or self.user)


class _HostAuth(AuthBase):
    """Adds credentials to requests to one host only, since a job or a redirect may lead to another one."""

    def __init__(self, host: str, auth: AuthBase) -> None:
        self._host, self._auth = host, auth

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        address = urlparse(str(request.url))
        if address.netloc == self._host and _encrypted(address.geturl()):
            return self._auth(request)
        return request


class _Token(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class PoliteSession(requests.Session):
    """A session that names its program and has a time limit on every request."""

    def __init__(self, timeouts: tuple[float, float] = TIMEOUTS) -> None:
        super().__init__()
        # Switches off ~/.netrc, and the proxies and certificates that `request` sets.
        self.trust_env = False
        self.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
        self._timeouts = timeouts
        self._last: requests.Response | None = None
        self.headers["User-Agent"] = f"starscale/{__version__} Python/{platform.python_version()} (IVOA-science)"

    def request(self, method: str, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request with the time limits of the session, through the proxy of the environment.

        pyvo sets limits for some requests only, and leaves streamed answers open. A session belongs to one
        thread, which has read an answer when it sends the next request, so the previous answer is closed here.
        """
        kwargs["timeout"] = self._timeouts
        kwargs.setdefault("proxies", get_environ_proxies(_text(url)))
        self._close_last()
        self._last = super().request(method, url, *args, **kwargs)
        return self._last

    def close(self) -> None:
        """Close all connections."""
        self._close_last()
        super().close()

    def _close_last(self) -> None:
        if self._last is not None:
            self._last.close()
            self._last = None


def open_session(place: Copy, login: Login, timeouts: tuple[float, float] = TIMEOUTS) -> PoliteSession:
    """Open a session with a service and log in, if a login is given.

    Raises
    ------
    InputError
        If the service has no login, is not reached over https, or refuses the login.
    """
    session = PoliteSession(timeouts)
    if not login:
        return session
    if place.login is None:
        fix = "Remove the login, or set `login` under [archive] in a copy of the survey file."
        raise InputError(Problem(place.service, "is not known to have a login", fix=fix))
    if not _encrypted(place.service):
        raise InputError(Problem(place.service, "would get the password unencrypted", "an https address"))
    host = urlparse(place.service).netloc
    if place.login == "token":
        if not login.token:
            raise InputError(Problem(place.service, "takes a token", fix="Set STARSCALE_TAP_TOKEN."))
        session.auth = _HostAuth(host, _Token(login.token))
    elif place.login == "basic":
        session.auth = _HostAuth(host, HTTPBasicAuth(login.user, login.password))
    else:
        _form(session, place, login)
    return session


def _text(url: str | bytes) -> str:
    return url.decode() if isinstance(url, bytes) else url


def _encrypted(address: str) -> bool:
    parts = urlparse(address)
    return parts.scheme == "https" or parts.hostname in _LOOPBACK


def _form(session: PoliteSession, place: Copy, login: Login) -> None:
    """Log in by a form; the session keeps the cookie."""
    address = place.login_url or f"{place.service.rsplit('/', 1)[0]}/login"
    if not _encrypted(address):
        raise InputError(Problem(address, "would get the password unencrypted", "an https address"))
    form = {"username": login.user, "password": login.password}
    # A redirect may send the form again, to any address; the cookie has come with this answer.
    answer = session.post(address, data=form, allow_redirects=False)
    if answer.status_code in _SENT_AGAIN:
        found = f"sends the password on to {answer.headers.get('Location', 'another address')}"
        fix = "If you trust that address, set it as `login_url` in a copy of the survey file."
        raise InputError(Problem(address, found, "an answer of its own", fix))
    if answer.status_code >= 400:
        fix = "Check that name and password are those of this archive."
        raise InputError(Problem(address, f"refused the login (HTTP {answer.status_code})", fix=fix))
