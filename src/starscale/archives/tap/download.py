"""Download the pieces of a request, a few at a time, and compare each with the count of the service."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TypeVar

import polars as pl

from starscale.archives.tap.client import Client
from starscale.archives.tap.manifest import Manifest, Stored
from starscale.archives.tap.plan import Count, DownloadPiece, divide
from starscale.archives.tap.query import Range
from starscale.archives.tap.request import Request
from starscale.archives.tap.retry import Retry
from starscale.archives.tap.trouble import CancelledError, QueryError, TransientError, TruncatedError
from starscale.vocabulary.errors import InputError, Problem, StarscaleError
from starscale.vocabulary.progress import SILENT, Progress, SilentTask, Task

Result = TypeVar("Result")

#: How often a piece is divided again because its table arrived incomplete.
_DEEPEST = 12


@dataclass
class Download:
    """The download of one request.

    Attributes
    ----------
    client : Client
    request : Request
    manifest : Manifest
        Record of the planned and the stored pieces.
    most : int
        Largest number of rows of a piece; reduced if the service delivers fewer.
    jobs : int
        Number of simultaneous queries.
    retry : Retry
    progress : Progress
        Receives a message for every failed attempt.
    """

    client: Client
    request: Request
    manifest: Manifest
    most: int
    jobs: int = 3
    retry: Retry = Retry()  # noqa: RUF009  frozen
    progress: Progress = SILENT

    def rows(self) -> int:
        """Return the number of rows of the request, as the service counts them."""
        return sum(self.count(None, part).rows for part in range(self.request.parts))

    def rows_before_cuts(self) -> int:
        """Return the number of rows of the selection without the cuts of the archive."""
        return sum(self.count(None, part, cuts=False).rows for part in range(self.request.parts))

    def count(self, range_: Range | None, part: int = 0, *, cuts: bool = True) -> Count:
        """Count rows by a synchronous query or, if that fails, by an asynchronous job."""
        query = self.request.count_query(range_, ends=cuts, cuts=cuts)
        uploads = self.request.uploads(part)
        try:
            return self._counted(self.client.ask(query, self.manifest.folder, uploads))
        except CancelledError:
            raise
        except (TransientError, QueryError):
            # Archives stop a synchronous query after about a minute; the job reports any other error.
            pass
        return self._again(lambda: self._count_by_job(query, uploads))[0]

    def _count_by_job(self, query: str, uploads: Mapping[str, pl.DataFrame] | None) -> Count:
        path = self.manifest.folder / f"answer-count-{threading.get_ident()}.vot"
        try:
            return self._counted(self.client.fetch(query, path, rows=None, uploads=uploads).source.read())
        except TruncatedError as error:
            fix = "Make the selection smaller"
            raise QueryError(f"{self.request.place.service}: rows cannot be counted: {error}. {fix}.") from error
        finally:
            path.unlink(missing_ok=True)

    def _counted(self, table: pl.DataFrame) -> Count:
        if table.height != 1:
            raise TransientError(
                f"{self.request.place.service}: the answer to a count has {table.height} rows instead of one"
            )
        low = {name.lower(): value for name, value in table.row(0, named=True).items()}
        return Count(int(low["n_rows"]), int(low.get("n_values") or 0), low.get("lowest"), low.get("highest"))

    def plan(self) -> list[DownloadPiece]:
        """Count and divide the request, and record its pieces; those of an interrupted download are kept."""
        if not self.manifest.planned:
            pieces = []
            for part in range(self.request.parts):
                pieces += self._divide(None, part)
            self.manifest.plan(pieces)
        return self.manifest.pieces

    def run(self, task: Task = SilentTask()) -> None:  # noqa: B008  without state
        """Download the missing pieces.

        Parameters
        ----------
        task : Task
            Counts the rows that arrive.

        Raises
        ------
        StarscaleError
            If a piece cannot be downloaded; completed pieces remain on disk.
        """
        pieces = self.plan()
        stop = self.client.stop
        with ThreadPoolExecutor(max_workers=self.jobs) as pool:
            waiting: dict[Future[list[Stored]], int] = {}
            try:
                for number in self.manifest.missing():
                    waiting[pool.submit(self._piece, pieces[number], f"piece-{number:05d}")] = number
                while waiting:
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        number = waiting.pop(future)
                        stored = future.result()
                        self.manifest.complete(number, stored)
                        task.advance(sum(item.rows for item in stored))
            except BaseException:
                # After Ctrl-C or a failed piece, the other threads delete their queries on the server and end.
                stop.set()
                for future in waiting:
                    future.cancel()
                raise

    def _divide(self, within: Range | None, part: int, most: int | None = None) -> list[DownloadPiece]:
        return divide(
            lambda range_: self.count(range_, part),
            self.request.split,
            most or self.most,
            part=part,
            whole=self.request.whole_numbers,
            within=within,
        )

    def _piece(self, piece: DownloadPiece, name: str, depth: int = 0) -> list[Stored]:
        """Download a piece; divide it further if the service delivers it incomplete."""
        if self.client.stop.is_set():
            raise CancelledError("stopped")
        if piece.rows > self.most:
            return self._smaller(piece, name, depth, self.most)
        try:
            return [self._fetch(piece, name)]
        except TruncatedError as error:
            return self._incomplete(piece, name, depth, error)

    def _incomplete(self, piece: DownloadPiece, name: str, depth: int, error: TruncatedError) -> list[Stored]:
        """Repeat the request for a piece whose answer was incomplete, or divide the piece."""
        counted = self.count(piece.range, piece.part).rows
        if error.silent and depth == 0:
            self.progress.message(f"{error}; it now counts {counted:,}, and the piece is requested again")
            return self._piece(replace(piece, rows=counted), name, depth + 1) if counted else []
        limit = error.received if 0 < error.received < counted else counted // 2
        if self._is_hopeless(error, counted, depth) or limit < 1:
            fix = "Try again later, or report it to the archive: its table cannot be downloaded completely."
            raise InputError(Problem(self.client.place.service, str(error), "every row", fix)) from error
        self.progress.message(f"{error}; dividing the piece")
        if error.received:
            self.most = min(self.most, limit)
        return self._smaller(piece, name, depth, limit)

    def _is_hopeless(self, error: TruncatedError, counted: int, depth: int) -> bool:
        """Whether smaller pieces would arrive incomplete as well."""
        if depth >= _DEEPEST:
            return True
        # Rows are missing although the answer is below the limit of the service.
        return error.silent and (depth > 1 or error.received >= counted)

    def _smaller(self, piece: DownloadPiece, name: str, depth: int, most: int) -> list[Stored]:
        stored = []
        for number, part in enumerate(self._divide(piece.range, piece.part, most)):
            stored += self._piece(part, f"{name}-{number:02d}", depth + 1)
        came = sum(item.rows for item in stored)
        if came != piece.rows:
            found = f"a piece of {piece.rows:,} rows has {came:,} rows after it was divided"
            raise InputError(
                Problem(self.client.place.service, found, fix="The table may be changing; try again later.")
            )
        return stored

    def _fetch(self, piece: DownloadPiece, name: str) -> Stored:
        query = self.request.rows_query(piece.range)
        path = self.manifest.folder / f"{name}.vot"
        uploads = self.request.uploads(piece.part)
        try:
            answer, attempts = self._again(
                lambda: self.client.fetch(query, path, rows=piece.rows, uploads=uploads)
            )
            return self.manifest.store(name, answer.source, piece, seconds=answer.seconds, attempts=attempts)
        finally:
            path.unlink(missing_ok=True)

    def _again(self, work: Callable[[], Result]) -> tuple[Result, int]:
        return self.retry.call(work, stop=self.client.stop, progress=self.progress)


def interrupted(manifest: Manifest, error: StarscaleError) -> StarscaleError:
    """Return the error with a note on the pieces that are kept, if there are any."""
    kept, total = len(manifest.stored), len(manifest.pieces)
    if not kept:
        return error
    said = str(error).rstrip(".")
    return StarscaleError(
        f"{said}. {kept} of {total} pieces are kept in {manifest.folder}: the same command resumes there."
    )
