"""Login for an archive, from the environment, ~/.netrc or the terminal; it is stored nowhere."""

from __future__ import annotations

import netrc
import os
from collections.abc import Callable
from urllib.parse import urlparse

from starscale.archives.tap.session import Login
from starscale.vocabulary.errors import InputError, Problem

USER, PASSWORD, TOKEN = "STARSCALE_TAP_USER", "STARSCALE_TAP_PASSWORD", "STARSCALE_TAP_TOKEN"
#: Asks the user; its arguments are the question and whether the answer must be hidden on the terminal.
Ask = Callable[[str, bool], str]


def find_login(service: str, ask: Ask | None = None) -> Login:
    """Find the login for a service.

    The first of these is used: a token from the environment, name and password from the environment, the entry
    of the host in ``~/.netrc``, the answers of `ask`.

    Parameters
    ----------
    service : str
        Address of the service; its host is looked up in ``~/.netrc``.
    ask : callable, optional
        Asks the user.

    Raises
    ------
    InputError
        If no login is found, or ``~/.netrc`` cannot be read.
    """
    host = str(urlparse(service).hostname)
    if token := os.environ.get(TOKEN):
        return Login(token=token)
    user = os.environ.get(USER, "")
    if user and (password := os.environ.get(PASSWORD)):
        return Login(user, password)
    if (login := _from_netrc(host, user)) is not None:
        return login
    if ask is not None:
        user = user or ask(f"name at {host}", False)
        return Login(user, ask(f"password of {user} at {host}", True))
    fix = f"Set {USER} and {PASSWORD}, or {TOKEN}, or write an entry for {host} into ~/.netrc."
    raise InputError(Problem(f"login at {host}", "was requested, but there is no name and password", fix=fix))


def _from_netrc(host: str, user: str) -> Login | None:
    """Return the entry of a host in ``~/.netrc``, if it is for this user (or any, if `user` is empty)."""
    try:
        entry = netrc.netrc().authenticators(host)
    except FileNotFoundError:
        return None
    except (netrc.NetrcParseError, OSError) as error:
        raise InputError(Problem("~/.netrc", f"cannot be read ({error})")) from None
    if entry is None or user not in ("", entry[0]):
        return None
    return Login(entry[0], entry[2] or "")
