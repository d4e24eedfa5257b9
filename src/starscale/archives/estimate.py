"""What a fetch would ask, and how much would come."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from starscale.archives.build import ask_and_build, build, find_sources, selected, uploaded
from starscale.archives.login import Ask, find_login
from starscale.archives.tap.client import Client, Patience, quiet
from starscale.archives.tap.download import Download
from starscale.archives.tap.manifest import Manifest
from starscale.archives.tap.retry import Retry
from starscale.archives.tap.session import Login
from starscale.archives.tap.trouble import TransientError
from starscale.surveys import Survey
from starscale.tables.api import AnyTable
from starscale.vocabulary.settings.run import FetchSettings


@dataclass(frozen=True)
class FetchEstimate:
    """Result of :func:`plan_fetch`.

    Attributes
    ----------
    service : str
    queries : dict of str to str
        The query that counts, and the query for the rows.
    rows, pieces, megabytes : optional
        As counted; None where the archive could not be asked.
    reason : str
        Why it could not be.
    missing : tuple of str
        Columns of the survey file that the archive does not have.
    local_cuts : tuple of str
        Cuts that would be applied after the download.
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
    patience: Patience = Patience(),  # noqa: B008  frozen
    ask: Ask | None = None,
) -> FetchEstimate:
    """Say what :func:`fetch` would ask, and how much would come; parameters as there.

    Returns
    -------
    FetchEstimate
        Without counts where the archive cannot be reached.

    Raises
    ------
    StarscaleError
        A wrong request, or one that the archive refuses.
    """
    selection, lists = selected(
        cone=cone, box=box, cell=cell, ids=ids, positions=positions, radius=radius, whole=whole
    )
    sources = find_sources(survey, settings)
    upload = uploaded(lists, sources.lead[0])
    build(sources, selection, settings, None, upload)
    login = find_login(sources.lead[1].service, ask) if settings.login else Login()
    rows: int | None = None
    most, reason = settings.chunk, ""
    with (
        quiet(),
        tempfile.TemporaryDirectory() as name,
        Client(sources.lead[1], login, patience) as client,
    ):
        try:
            wish = ask_and_build(client, sources, selection, settings, upload)
            most = min(client.row_limit() or settings.chunk, settings.chunk)
            download = Download(client, wish.request, Manifest(Path(name), "", {}), most, retry=Retry(attempts=2))
            rows = sum(download.count(None, part).rows for part in range(wish.request.parts))
        except TransientError as error:
            reason = str(error)
            wish = build(sources, selection, settings, None, upload)
    request = wish.request
    return FetchEstimate(
        request.place.service,
        {"count": request.count_query(), "rows": request.rows_query()},
        rows,
        None if rows is None else max(math.ceil(rows / most), request.parts),
        None if rows is None else rows * request.relation.row_bytes() / 1e6,
        reason,
        wish.missing,
        tuple(cut.name for _, cut in wish.local),
    )
