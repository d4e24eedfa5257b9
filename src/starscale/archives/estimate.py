"""The verb `plan_fetch`: the queries of a download and its expected size."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starscale.archives.build import PlannedRequest, ask_and_build, build, find_sources, selected, uploaded
from starscale.archives.login import Ask, find_login
from starscale.archives.tap.client import Client, Patience, quiet
from starscale.archives.tap.download import Download
from starscale.archives.tap.manifest import Manifest
from starscale.archives.tap.retry import Retry
from starscale.archives.tap.session import Login
from starscale.archives.tap.trouble import TransientError
from starscale.io.progress import progress_of
from starscale.surveys import Survey
from starscale.tables.api import AnyTable
from starscale.vocabulary.progress import Progress
from starscale.vocabulary.settings.run import FetchSettings


@dataclass(frozen=True)
class FetchEstimate:
    """Result of :func:`plan_fetch`.

    Attributes
    ----------
    service : str
        Address of the TAP service.
    queries : dict of str to str
        ADQL of the query for the count and of the query for the rows, by ``"count"`` and ``"rows"``.
    rows : int, optional
        Number of rows that the archive counted; None if it could not be queried.
    pieces : int, optional
        Approximate number of pieces; None if the rows are unknown.
    megabytes : float, optional
        Approximate size of the table; None if the rows are unknown.
    reason : str
        Why the archive could not be queried; empty if it could.
    missing : tuple of str
        Columns of the survey file that the archive does not have.
    local_cuts : tuple of str
        Names of the cuts that would be applied after the download.
    """

    service: str
    queries: Mapping[str, str]
    rows: int | None
    pieces: int | None
    megabytes: float | None
    reason: str
    missing: tuple[str, ...]
    local_cuts: tuple[str, ...]


def plan_fetch(
    survey: str | Path | Survey,
    *,
    cone: tuple[float, float, float] | None = None,
    box: tuple[float, float, float, float] | None = None,
    cell: tuple[int, int] | None = None,
    ids: AnyTable | None = None,
    positions: AnyTable | None = None,
    radius: float = 1.0,
    whole: bool = False,
    settings: FetchSettings = FetchSettings(),  # noqa: B008  frozen
    base: Path | None = None,
    offline: str = "",
    patience: Patience = Patience(),  # noqa: B008  frozen
    ask: Ask | None = None,
    progress: Progress | bool | None = None,
) -> FetchEstimate:
    """Return the queries that :func:`fetch` would send and the number of rows that it would download.

    Parameters
    ----------
    survey, cone, box, cell, ids, positions, radius, whole, settings, base, patience, ask
        As for :func:`fetch`.
    offline : str
        Why the archive is not to be asked: only the queries are made. Empty: it is asked.
    progress : Progress or bool, optional
        Receives messages about failed attempts.

    Returns
    -------
    FetchEstimate
        Without counts if the archive cannot be reached.

    Raises
    ------
    StarscaleError
        The request is wrong, or the archive refuses it.
    """
    selection, lists = selected(
        cone=cone, box=box, cell=cell, ids=ids, positions=positions, radius=radius, whole=whole
    )
    sources = find_sources(survey, settings, base)
    upload = uploaded(lists, sources.lead[0])
    planned = build(sources, selection, settings, None, upload)
    if offline:
        return _estimate(planned, None, settings.chunk, offline)
    login = find_login(sources.lead[1].service, ask) if settings.login else Login()
    rows: int | None = None
    most, reason = settings.chunk, ""
    with (
        quiet(),
        tempfile.TemporaryDirectory() as name,
        Client(sources.lead[1], login, patience) as client,
    ):
        try:
            planned = ask_and_build(client, sources, selection, settings, upload)
            most = min(client.row_limit() or settings.chunk, settings.chunk)
            few, manifest = Retry(attempts=2), Manifest(Path(name), "", {})
            download = Download(client, planned.request, manifest, most, retry=few, progress=progress_of(progress))
            rows = download.rows()
        except TransientError as error:
            reason = str(error)
            planned = build(sources, selection, settings, None, upload)
    return _estimate(planned, rows, most, reason)


def _estimate(planned: PlannedRequest, rows: int | None, most: int, reason: str) -> FetchEstimate:
    request = planned.request
    return FetchEstimate(
        request.place.service,
        {"count": request.count_query(), "rows": request.rows_query()},
        rows,
        None if rows is None else max(math.ceil(rows / most), request.parts),
        None if rows is None else rows * request.relation.row_bytes() / 1e6,
        reason,
        planned.missing,
        tuple(cut.name for _, cut in planned.local),
    )
