"""Fetch the pieces of a request, a few at a time, each checked against the service's own count."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path
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

Result = TypeVar("Result")

#: Times that a piece is cut further because its table did not come whole.
_DEEPEST = 12


@dataclass
class Download:
    """One request on its way.

    Attributes
    ----------
    client : Client
    request : Request
    manifest : Manifest
    most : int
        Rows of a piece, at most; falls where the service turns out to deliver less.
    jobs : int
        Queries at a time.
    retry : Retry
    say : callable
        Told about failed attempts.
    progress : callable
        Told the rows that came.
    """

    client: Client
    request: Request
    manifest: Manifest
    most: int
    jobs: int = 3
    retry: Retry = Retry()  # noqa: RUF009  frozen
    say: Callable[[str], None] = lambda _: None
    progress: Callable[[int], None] = lambda _: None

    def count(self, range_: Range | None, part: int = 0, *, cuts: bool = True) -> Count:
        """Ask the service how many rows there are: at once, or, where that takes too long for it, as a job."""
        query = self.request.count_query(range_, ends=cuts, cuts=cuts)
        uploads = self.request.uploads(part)
        try:
            return self._counted(self.client.ask(query, self.manifest.folder, uploads))
        except CancelledError:
            raise
        except (TransientError, QueryError):
            # Archives allow a minute or so for an answer at once; what else is wrong, the job will tell.
            pass

        def work() -> Count:
            path = self._temporary("count")
            try:
                table = self.client.fetch(query, path, rows=None, uploads=uploads).source.read()
            except TruncatedError as error:
                fix = "Select less, or ask for less at a time"
                raise QueryError(
                    f"{self.request.place.service}: rows cannot be counted: {error}. {fix}."
                ) from error
            finally:
                path.unlink(missing_ok=True)
            return self._counted(table)

        return self._again(work)[0]

    def _counted(self, table: pl.DataFrame) -> Count:
        if table.height != 1:
            raise TransientError(f"{self.request.place.service}: a count came as {table.height} rows")
        low = {name.lower(): value for name, value in table.row(0, named=True).items()}
        return Count(int(low["n_rows"]), int(low.get("n_values") or 0), low.get("lowest"), low.get("highest"))

    def plan(self) -> list[DownloadPiece]:
        """Count, divide and remember the pieces; those of an earlier attempt are taken as they are."""
        if not self.manifest.planned:
            pieces = []
            for part in range(self.request.parts):
                pieces += self._divide(None, part)
            self.manifest.plan(pieces)
        return self.manifest.pieces

    def run(self) -> None:
        """Fetch what is missing.

        Raises
        ------
        StarscaleError
            When a piece cannot be had; the others stay on disk.
        """
        pieces = self.plan()
        stop = self.client.stop
        with ThreadPoolExecutor(max_workers=self.jobs) as pool:
            waiting: dict[Future[list[Stored]], int] = {}
            try:
                todo = iter(self.manifest.missing())
                for number in todo:
                    waiting[pool.submit(self._piece, pieces[number], f"piece-{number:05d}")] = number
                while waiting:
                    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in done:
                        number = waiting.pop(future)
                        stored = future.result()
                        self.manifest.complete(number, stored)
                        self.progress(sum(item.rows for item in stored))
            except BaseException:
                # Ctrl-C, or one piece that cannot be had: the others delete their queries on the server and end.
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
        """Fetch a piece; where the service does not deliver it whole, cut it further."""
        if self.client.stop.is_set():
            raise CancelledError("stopped")
        if piece.rows > self.most:
            return self._smaller(piece, name, depth, self.most)
        try:
            return [self._fetch(piece, name)]
        except TruncatedError as error:
            counted = self.count(piece.range, piece.part).rows
            if error.silent and depth == 0:
                self.say(f"{error}; it now counts {counted:,}, and is asked again")
                return self._piece(replace(piece, rows=counted), name, depth + 1) if counted else []
            # Short of what the service delivers at a time, and smaller pieces would come short as well.
            hopeless = error.silent and (depth > 1 or error.received >= counted)
            limit = error.received if 0 < error.received < counted else counted // 2
            if hopeless or depth >= _DEEPEST or limit < 1:
                fix = "Ask again later, or tell the archive: its table cannot be had whole."
                raise InputError(Problem(self.client.place.service, str(error), "every row", fix)) from error
            self.say(f"{error}; smaller pieces")
            if error.received:
                self.most = min(self.most, limit)
            return self._smaller(piece, name, depth, limit)

    def _smaller(self, piece: DownloadPiece, name: str, depth: int, most: int) -> list[Stored]:
        stored = []
        for number, part in enumerate(self._divide(piece.range, piece.part, most)):
            stored += self._piece(part, f"{name}-{number:02d}", depth + 1)
        came = sum(item.rows for item in stored)
        if came != piece.rows:
            found = f"a piece of {piece.rows:,} rows came as {came:,} when it was divided"
            raise InputError(Problem(self.client.place.service, found, fix="Is the table being written to?"))
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
        return self.retry.call(work, stop=self.client.stop, told=self.say)

    def _temporary(self, name: str) -> Path:
        return self.manifest.folder / f"answer-{name}-{threading.get_ident()}.vot"


def interrupted(manifest: Manifest, error: StarscaleError) -> StarscaleError:
    """The same error, with what is kept."""
    kept, of = len(manifest.stored), len(manifest.pieces)
    if not kept:
        return error
    said = str(error).rstrip(".")
    return StarscaleError(
        f"{said}. {kept} of {of} pieces are kept in {manifest.folder}: the same command goes on there."
    )
