"""One TAP service, through pyvo: asynchronous jobs, answers that are checked before they are believed."""

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

#: HTTP codes of a server that is busy, restarting or out of order for the moment.
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_PIECE = 1 << 18


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of time, in seconds.

    `job` is how long one query may run; `connect` and `read` bound every single request; `poll` is the longest
    pause between two looks at a job.
    """

    connect: float = TIMEOUTS[0]
    read: float = TIMEOUTS[1]
    job: float = 7200.0
    poll: float = 20.0
    #: Looks at a job that may fail one after another before it is given up.
    looks: int = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """A table that came whole, and how."""

    source: Source
    seconds: float


class Client:
    """Asks one service. Each thread has a session of its own.

    Parameters
    ----------
    place : Copy
        Service and table.
    login : Login
    patience : Patience
    stop : threading.Event
        Set when everything is to end; running jobs are then deleted on the server.

    Notes
    -----
    Use it as a context manager, so that its connections end with it.
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
        """Most rows of one answer, as the service says it (VOSI capabilities), or the survey file."""
        said: int | None = None
        with suppress(Exception):  # pyvo raises whatever a document from elsewhere makes it stumble over
            said = int(TAPService(self.place.service, session=self._session()).hardlimit)
        limits = [limit for limit in (said, self.place.row_limit) if limit]
        return min(limits) if limits else None

    def ask(self, query: str, folder: Path, uploads: Mapping[str, pl.DataFrame] | None = None) -> pl.DataFrame:
        """Ask for a small table (a count, the columns of a table), in one request.

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
            Where to put the VOTable while it is read.
        rows : int, optional
            Rows that must come, as the service counted them.
        uploads : mapping, optional
            Tables to upload, by name.

        Raises
        ------
        TransientError
            Another attempt may help.
        QueryError
            The service refuses the query.
        TruncatedError
            Fewer rows than counted, OVERFLOW, or out of time.
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
        # Without MAXREC a service delivers its default number of rows, often only some thousand. One more
        # than counted lets a table that has grown in between show.
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
        pause, missed = 0.1, 0
        while True:
            try:
                phase = str(job.phase)
                missed = 0
            except DALServiceError as error:
                # A job that runs for an hour should not be lost over one look at it that failed.
                missed += 1
                if _status(error) in (404, 410):
                    raise TransientError(f"{self.place.service}: the service has forgotten the query") from error
                if missed > self.patience.looks:
                    raise
                phase = "UNKNOWN"
            if phase == "COMPLETED":
                return
            if phase == "ERROR":
                summary = job.job.errorsummary
                said = " ".join(str(summary.message.content).split()) if summary and summary.message else ""
                raise QueryError(
                    f"{self.place.service}: {said or 'the query failed, and the service does not say why'}"
                )
            if phase == "ABORTED":
                raise TruncatedError(0, "the service stopped the query, which took too long")
            if time.monotonic() - started > self.patience.job:
                raise TruncatedError(0, f"the query was not done after {self.patience.job:g} s")
            if self.stop.wait(pause):
                raise CancelledError("stopped")
            pause = min(pause * 1.5, self.patience.poll)

    def _delete(self, job: AsyncTAPJob) -> None:
        """Let the server forget a job, whatever became of it; it would do so itself some day."""
        with suppress(DALServiceError, requests.RequestException):
            job.delete()

    def _save(self, response: requests.Response, path: Path) -> None:
        started = time.monotonic()
        with path.open("wb") as file:
            for piece in response.iter_content(_PIECE):
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
        """Turn the errors of pyvo and requests into ours."""
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
            raise TransientError(f"{self.place.service}: an answer that cannot be understood") from error


def _status(error: DALAccessError) -> int | None:
    """The HTTP code behind an error of pyvo."""
    code = getattr(error, "code", None) or getattr(getattr(error.cause, "response", None), "status_code", None)
    return code if isinstance(code, int) and code else None


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out the warnings about small departures from the standards, which most services allow themselves.

    To be entered by the thread that starts the others: the filters of Python belong to the process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        warnings.simplefilter("ignore", PyvoUserWarning)
        yield


def _reason(error: object) -> str:
    """An error of the network in a few words, without addresses that may hold a secret."""
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
