"""Name and password, or a token, for an archive: from the environment, ~/.netrc or the terminal; kept nowhere."""

from __future__ import annotations

import netrc
import os
from collections.abc import Callable
from urllib.parse import urlparse

from starscale.archives.tap.session import Login
from starscale.vocabulary.errors import InputError, Problem

USER, PASSWORD, TOKEN = "STARSCALE_TAP_USER", "STARSCALE_TAP_PASSWORD", "STARSCALE_TAP_TOKEN"
#: Asks the user: the question, and whether the answer is to be hidden.
Ask = Callable[[str, bool], str]


def find_login(service: str, ask: Ask | None = None) -> Login:
    """Look for a login.

    Parameters
    ----------
    service : str
        Address of the service; its host is looked up in ``~/.netrc``.
    ask : callable, optional
        Asks the user where nothing else is found.

    Raises
    ------
    InputError
        When there is none.
    """
    host = str(urlparse(service).hostname)
    if token := os.environ.get(TOKEN):
        return Login(token=token)
    user = os.environ.get(USER, "")
    if user and (password := os.environ.get(PASSWORD)):
        return Login(user, password)
    try:
        entry = netrc.netrc().authenticators(host)
    except FileNotFoundError:
        entry = None
    except (netrc.NetrcParseError, OSError) as error:
        raise InputError(Problem("~/.netrc", f"cannot be read ({error})")) from None
    if entry is not None and user in ("", entry[0]):
        return Login(entry[0], entry[2] or "")
    if ask is not None:
        user = user or ask(f"name at {host}", False)
        return Login(user, ask(f"password of {user} at {host}", True))
    fix = f"Set {USER} and {PASSWORD}, or {TOKEN}, or write an entry for {host} into ~/.netrc."
    raise InputError(Problem(f"login at {host}", "is asked for, and there is no name and password", fix=fix))
