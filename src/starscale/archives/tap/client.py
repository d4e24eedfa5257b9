"""Client of one TAP service, built on pyvo: asynchronous jobs whose answers are verified to be complete."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import polars as pl
import requests
from astropy.io.votable.exceptions import VOTableSpecError
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning
from pyvo.dal import AsyncTAPJob, TAPService
from pyvo.dal.exceptions import DALAccessError, DALServiceError, PyvoUserWarning

from starscale.archives.tap.session import TIMEOUTS, Login, PoliteSession, open_session
from starscale.archives.tap.trouble import CancelledError, QueryError, TransientError, TruncatedError
from starscale.io.table import Source
from starscale.io.votable.source import open_source
from starscale.surveys.archive import Copy
from starscale.vocabulary.errors import InputError, StarscaleError

#: HTTP codes of a server that is busy or restarting: another attempt may succeed.
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
#: HTTP codes of a job that the server no longer has.
_GONE = (404, 410)
#: Bytes of an answer that are written at a time.
_BLOCK = 1 << 18


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits, in seconds.

    Attributes
    ----------
    connect, read : float
        Limits of every single HTTP request.
    job : float
        Longest time that one query may run, and that one download may take.
    poll : float
        Longest pause between two requests for the state of a job.
    looks : int
        Number of consecutive failed requests for the state of a job after which it is given up.
    """

    connect: float = TIMEOUTS[0]
    read: float = TIMEOUTS[1]
    job: float = 7200.0
    poll: float = 20.0
    looks: int = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete table, and the seconds that the query and the download took."""

    source: Source
    seconds: float


class Client:
    """Client of one service, with one HTTP session per thread.

    Use it as a context manager: the connections are closed at its end.

    Parameters
    ----------
    place : Copy
        Service and table.
    login : Login
    patience : Patience
    stop : threading.Event
        Setting it cancels all work; running jobs are then deleted on the server.
    """

    def __init__(
        self,
        place: Copy,
        login: Login = Login(),  # noqa: B008  frozen
        patience: Patience = Patience(),
        stop: threading.Event | None = None,
    ) -> None:
        self.place, self.patience = place, patience
        self.stop = stop if stop is not None else threading.Event()
        self._login = login
        self._local = threading.local()
        self._sessions: list[PoliteSession] = []

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._sessions:
            session.close()

    def _session(self) -> PoliteSession:
        session: PoliteSession | None = getattr(self._local, "session", None)
        if session is None:
            session = open_session(self.place, self._login, (self.patience.connect, self.patience.read))
            self._local.session = session
            self._sessions.append(session)
        return session

    def row_limit(self) -> int | None:
        """Return the row limit of one answer, from the service (VOSI capabilities) or the survey file."""
        stated: int | None = None
        # pyvo raises exceptions of many kinds for an invalid capabilities document.
        with suppress(Exception):
            stated = int(TAPService(self.place.service, session=self._session()).hardlimit)
        limits = [limit for limit in (stated, self.place.row_limit) if limit]
        return min(limits) if limits else None

    def ask(self, query: str, folder: Path, uploads: Mapping[str, pl.DataFrame] | None = None) -> pl.DataFrame:
        """Run a synchronous query for a small table (a count, the columns of a table).

        Raises
        ------
        TransientError, QueryError
            As :meth:`fetch`.
        """
        path = folder / f"answer-{threading.get_ident()}.vot"
        try:
            with self._translated():
                service = TAPService(self.place.service, session=self._session())
                request = service.create_query(query, uploads=_tables(uploads))
                response = request.submit()
                self._save(response, path)
            if response.status_code >= 400:
                raise self._refusal(response.status_code, path)
            return self._parse(path).source.read()
        finally:
            path.unlink(missing_ok=True)

    def fetch(
        self, query: str, path: Path, *, rows: int | None, uploads: Mapping[str, pl.DataFrame] | None = None
    ) -> Answer:
        """Run a query as an asynchronous job and return its table.

        Parameters
        ----------
        query : str
            ADQL.
        path : Path
            Where to store the VOTable before it is read.
        rows : int, optional
            Number of rows that the service counted and the answer must have.
        uploads : mapping, optional
            Tables to upload, by name.

        Raises
        ------
        TransientError
            Another attempt may succeed.
        QueryError
            The service refuses the query.
        TruncatedError
            The answer has another number of rows, says OVERFLOW, or exceeded the time limit.
        CancelledError
            `stop` was set.
        """
        started = time.monotonic()
        with self._translated():
            job = self._submit(query, rows, uploads)
            try:
                self._wait(job, started)
                response = self._session().get(job.result_uri, stream=True)
                self._save(response, path)
            finally:
                self._delete(job)
        if response.status_code >= 400:
            raise self._refusal(response.status_code, path)
        answer = self._parse(path)
        self._complete(answer.source, rows)
        return Answer(answer.source, time.monotonic() - started)

    def _submit(self, query: str, rows: int | None, uploads: Mapping[str, pl.DataFrame] | None) -> AsyncTAPJob:
        # Without MAXREC a service delivers its default number of rows, often a few thousand. One row more than
        # counted reveals a table that has grown since the count.
        maxrec = None if rows is None else rows + 1
        service = TAPService(self.place.service, session=self._session())
        job = service.submit_job(query, maxrec=maxrec, uploads=_tables(uploads))
        try:
            job.run()
        except BaseException:
            self._delete(job)
            raise
        return job

    def _wait(self, job: AsyncTAPJob, started: float) -> None:
        """Poll a job, with growing pauses, until it is complete."""
        pause, failures = 0.1, 0
        while True:
            try:
                phase, failures = str(job.phase), 0
            except DALServiceError as error:
                failures += 1
                self._tolerate(error, failures)
                phase = "UNKNOWN"
            if phase == "COMPLETED":
                return
            self._refuse_failed(job, phase)
            if time.monotonic() - started > self.patience.job:
                raise TruncatedError(0, f"the query was not done after {self.patience.job:g} s")
            if self.stop.wait(pause):
                raise CancelledError("stopped")
            pause = min(pause * 1.5, self.patience.poll)

    def _tolerate(self, error: DALServiceError, failures: int) -> None:
        """Ignore a few failed requests for the state of a job, which may have run for an hour; raise otherwise."""
        if _status(error) in _GONE:
            raise TransientError(f"{self.place.service}: the service no longer has the query") from error
        if failures > self.patience.looks:
            raise error

    def _refuse_failed(self, job: AsyncTAPJob, phase: str) -> None:
        """Raise if a job has failed or was stopped by the service."""
        if phase == "ERROR":
            summary = job.job.errorsummary
            said = " ".join(str(summary.message.content).split()) if summary and summary.message else ""
            raise QueryError(f"{self.place.service}: {said or 'the query failed; the service gave no reason'}")
        if phase == "ABORTED":
            raise TruncatedError(0, "the service stopped the query, which took too long")

    def _delete(self, job: AsyncTAPJob) -> None:
        """Delete a job on the server, whatever its state; ignore failures, since servers also delete old jobs."""
        with suppress(DALServiceError, requests.RequestException):
            job.delete()

    def _save(self, response: requests.Response, path: Path) -> None:
        started = time.monotonic()
        with path.open("wb") as file:
            for piece in response.iter_content(_BLOCK):
                if self.stop.is_set():
                    raise CancelledError("stopped")
                if time.monotonic() - started > self.patience.job:
                    raise TransientError(
                        f"{self.place.service}: the download took longer than {self.patience.job:g} s"
                    )
                try:
                    file.write(piece)
                except OSError as error:
                    raise StarscaleError(f"{path}: cannot be written ({error.strerror})") from error

    def _parse(self, path: Path) -> Answer:
        try:
            return Answer(open_source(path, None), 0.0)
        except InputError as error:
            if "error message of the archive" in str(error):
                said = str(error).partition("is an error message of the archive: ")[2].partition("; expected")[0]
                raise QueryError(f"{self.place.service}: {said}") from None
            raise TransientError(f"{self.place.service}: the answer was cut off or damaged") from error

    def _complete(self, source: Source, rows: int | None) -> None:
        if source.metadata.get("QUERY_STATUS", "").upper() == "OVERFLOW":
            raise TruncatedError(
                source.n_rows, f"the service cut the table off after {source.n_rows:,} rows (OVERFLOW)"
            )
        if rows is not None and source.n_rows != rows:
            found = f"{source.n_rows:,} rows came, and the service had counted {rows:,}"
            raise TruncatedError(source.n_rows, found, silent=True)

    def _refusal(self, status: int, path: Path) -> Exception:
        if status in _BUSY:
            return TransientError(f"{self.place.service}: HTTP {status}")
        try:
            self._parse(path)
        except QueryError as error:
            return error
        except TransientError:
            pass
        hint = {401: "log in first", 403: "no right to this table", 404: "no such service"}.get(status, "refused")
        return QueryError(f"{self.place.service}: HTTP {status}, {hint}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate the exceptions of pyvo and requests into those of starscale."""
        try:
            yield
        except requests.RequestException as error:
            raise TransientError(f"{self.place.service}: {_reason(error)}") from error
        except DALAccessError as error:
            status = _status(error)
            if status is not None and status >= 400 and status not in _BUSY:
                raise QueryError(f"{self.place.service}: HTTP {status}") from error
            raise TransientError(f"{self.place.service}: {_reason(error)}") from error
        except (VOTableSpecError, ExpatError) as error:
            raise TransientError(f"{self.place.service}: the answer is not a valid document") from error


def _status(error: DALAccessError) -> int | None:
    """Return the HTTP code of a pyvo error, if it has one."""
    code = getattr(error, "code", None) or getattr(getattr(error.cause, "response", None), "status_code", None)
    return code if isinstance(code, int) and code else None


@contextmanager
def quiet() -> Iterator[None]:
    """Suppress warnings about small deviations from the standards, which most services have.

    Enter it in the main thread, before other threads start: Python's warning filters belong to the process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        warnings.simplefilter("ignore", PyvoUserWarning)
        yield


def _reason(error: object) -> str:
    """Describe a network error in a few words, without addresses, which may contain a secret."""
    text = str(error)
    for mark, words in (
        ("NameResolution", "its name cannot be resolved (no network?)"),
        ("Name or service not known", "its name cannot be resolved (no network?)"),
        ("refused", "the connection is refused"),
        ("unreachable", "the network is unreachable"),
        ("timed out", "no answer in time"),
        ("IncompleteRead", "the answer was cut off"),
        ("closed connection", "the connection was closed"),
        ("reset", "the connection was reset"),
    ):
        if mark in text:
            return words
    for code in sorted(_BUSY):
        if f"{code} " in text:
            return f"HTTP {code}"
    return type(error).__name__


def _tables(uploads: Mapping[str, pl.DataFrame] | None) -> dict[str, Any] | None:
    if not uploads:
        return None
    return {name: Table({c: frame[c].to_numpy() for c in frame.columns}) for name, frame in uploads.items()}
