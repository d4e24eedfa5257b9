"""Addresses of registry files and bundles, and downloads that are checked before they count.

Only ``https:`` and ``file:`` are read, and plain ``http:`` from this machine itself. A file that comes over the
network never leads to files of this machine, and an address leads to no other host than the user knows
(:data:`HOSTS`).
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import url2pathname

from starscale.io import checksum
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import SILENT, Progress, Task

#: Environment variable: hosts, divided by commas, that an address may lead to besides its own; ``*``: any.
HOSTS = "STARSCALE_HOSTS"

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: Seconds to connect, and between two blocks of an answer.
_TIMEOUTS = (30.0, 120.0)
_BLOCK = 2**16
_AGAIN = "Nothing was kept: the same command starts anew."


def is_address(text: str) -> bool:
    """Whether a text is an address, not a path."""
    return "://" in text or text.startswith("file:")


def check_address(address: str) -> SplitResult:
    """Return the parts of an address.

    Raises
    ------
    InputError
        Another protocol than https and file.
    """
    try:
        parts = urlsplit(address)
        local, host = parts.hostname in _LOOPBACK, parts.hostname
    except ValueError as error:
        raise InputError(Problem(address, f"is not an address ({error})")) from None
    here = parts.scheme == "file" and parts.netloc in ("", "localhost")
    if not (here or (parts.scheme == "https" and host) or (parts.scheme == "http" and local)):
        expected = "https://... (http:// only for this machine itself) or file:///..."
        raise InputError(Problem(address, "is not an address that models are read from", expected))
    return parts


def over_network(place: str | Path) -> bool:
    """Whether reading a place needs the network."""
    return is_address(str(place)) and check_address(str(place)).scheme != "file"


def local_path(place: str | Path) -> Path:
    """Return the file of a path or of a ``file:`` address."""
    text = str(place)
    return Path(url2pathname(urlsplit(text).path)) if is_address(text) else Path(text).expanduser()


def next_to(base: str | Path, path: str) -> str:
    """Return the place of a path that is relative to a file.

    Raises
    ------
    InputError
        A file over the network that leads to this machine.
    """
    if over_network(base):
        place = urljoin(str(base), path)
        if is_address(path) and not (over_network(place) and urlsplit(place).scheme == "https"):
            expected = "an address that begins with https://"
            raise InputError(Problem(str(base), f"leads to {path}", expected, "Ask its author."))
        check_address(place)
        return place
    if is_address(path):
        check_address(path)
        return path
    return str((local_path(base).absolute().parent / Path(path).expanduser()).resolve())


def bring(
    place: str | Path, target: Path, *, most: int, sha256: str | None = None, progress: Progress = SILENT
) -> None:
    """Copy or download a file to `target`, which lies in a folder of its own.

    Parameters
    ----------
    place : str or Path
        Path or address.
    target : Path
    most : int
        Largest size, bytes; a longer file is given up.
    sha256 : str, optional
        Checksum that the file must have.
    progress : Progress

    Raises
    ------
    InputError
        The file is not there, is too large, ended early, or has another checksum.
    """
    if over_network(place):
        _download(str(place), target, most, sha256, progress)
        return
    source = local_path(place)
    try:
        if source.stat().st_size > most:
            _too_large(str(place), most)
        shutil.copyfile(source, target)
    except OSError as error:
        raise InputError(Problem(str(place), f"cannot be read ({error.strerror})", "a file")) from None
    if sha256 is not None and (found := checksum(target)) != sha256:
        _other_checksum(str(place), found, sha256)


def _download(address: str, target: Path, most: int, sha256: str | None, progress: Progress) -> None:
    # They load the network libraries, which no other verb needs.
    import pooch
    import requests

    with progress.task(f"downloading {address}", unit="bytes") as task, _quiet(pooch.get_logger()):
        downloader = pooch.HTTPDownloader(
            progressbar=DownloadCounter(address, most, task),
            chunk_size=_BLOCK,
            timeout=_TIMEOUTS,
            hooks={"response": _redirected},
            # Without it, requests would send a password of ~/.netrc to any host that is named there.
            auth=lambda request: request,
        )
        try:
            pooch.retrieve(address, None, fname=target.name, path=target.parent, downloader=downloader)
        except requests.HTTPError as error:
            raise InputError(Problem(address, f"the server answers: {error}", "the file")) from None
        except (requests.RequestException, ValueError) as error:
            found = f"the download failed ({type(error).__name__}: {str(error)[:200]})"
            raise InputError(Problem(address, found, "the whole file", _AGAIN)) from None
    if sha256 is not None and (found := checksum(target)) != sha256:
        _other_checksum(address, found, sha256)


class DownloadCounter:
    """Counts the bytes of a download, for the display, and ends it where there are too many.

    It has the form of a progress bar that pooch takes. The bytes are counted after decompression.
    """

    def __init__(self, address: str, most: int, task: Task) -> None:
        self._address, self._most, self._task = address, most, task
        self._count = 0
        self._total = 0

    @property
    def total(self) -> int:
        """What the server announces, bytes; 0 if it does not."""
        return self._total

    @total.setter
    def total(self, announced: int) -> None:
        self._total = announced
        if announced > self._most:
            _too_large(self._address, self._most)

    def update(self, n: int) -> None:
        """Count `n` more bytes: pooch gives the size of a block, also for the last one, which may be shorter."""
        self._count += n
        self._task.advance(n)
        if self._count > self._most + _BLOCK:
            _too_large(self._address, self._most)

    def reset(self) -> None:
        """Begin again: pooch does so at the end, to count the announced size once."""
        self._count = 0

    def close(self) -> None:
        """Do nothing: the task ends with the download."""


def _redirected(response: Any, *_: Any, **__: Any) -> None:
    """Refuse to be led away from https, or to another host."""
    if response.is_redirect:
        target = urljoin(response.url, response.headers["location"])
        if urlsplit(response.url).scheme == "https" and urlsplit(target).scheme != "https":
            raise InputError(Problem(response.url, f"leads to {target}", "an address that begins with https://"))
        host = check_address(target).hostname or ""
        known = [name.strip() for name in os.environ.get(HOSTS, "").split(",")]
        if host not in (urlsplit(response.url).hostname, *known) and "*" not in known:
            fix = f"If you trust it, set {HOSTS}={host}."
            raise InputError(Problem(response.url, f"leads to another host, {host}", "the file itself", fix))


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep a logger silent: a verb prints nothing."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _too_large(place: str, most: int) -> NoReturn:
    raise InputError(Problem(place, "is too large", f"{most:,} bytes or less", "Nothing was kept."))


def _other_checksum(place: str, found: str, expected: str) -> NoReturn:
    fix = "The file was changed, or is not complete. Nothing was kept."
    raise InputError(Problem(place, f"has the SHA-256 {found}", f"{expected}, as the registry says", fix))
