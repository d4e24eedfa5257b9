"""The verb `fetch`: a table from an archive, in pieces that are counted first and checked afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starscale import io
from starscale.archives.assemble import assemble
from starscale.archives.build import PlannedRequest, ask_and_build, build, find_sources, selected, uploaded
from starscale.archives.login import Ask, find_login
from starscale.archives.tap.client import Client, Patience, quiet
from starscale.archives.tap.download import Download, interrupted
from starscale.archives.tap.manifest import Manifest
from starscale.archives.tap.retry import Retry
from starscale.archives.tap.session import Login
from starscale.io.bars import Bar
from starscale.io.formats import to_write
from starscale.surveys import Survey
from starscale.tables.api import PROVENANCE_KEY, AnyTable, refuse_same
from starscale.tables.cuts import Attrition
from starscale.vocabulary.errors import InputError, Problem, StarscaleError
from starscale.vocabulary.provenance import record
from starscale.vocabulary.settings.fetch import Selection
from starscale.vocabulary.settings.run import FetchSettings

Say = Callable[[str], None]
_IN_MEMORY = Path("in memory")


@dataclass(frozen=True)
class Fetched:
    """Result of :func:`fetch`.

    Attributes
    ----------
    path : Path
        The table.
    rows : int
        Rows in it.
    counted : int
        Rows that the archive counted.
    before_cuts : int, optional
        Rows of the selection before the archive applied cuts; None where it applied none.
    attrition : Attrition, optional
        What the cuts removed that the archive has no words for, and that were applied here.
    unknown : int, optional
        Of a list of identifiers: how many the archive does not have.
    already : bool
        The table was there already, from the same request: nothing was asked.
    record : mapping
        Service, queries, counts and times, as they stand in the table's provenance.
    """

    path: Path
    rows: int
    counted: int
    before_cuts: int | None
    attrition: Attrition | None
    unknown: int | None
    already: bool
    record: Mapping[str, Any]


def fetch(
    survey: str | Path | Survey,
    output: str | Path,
    *,
    cone: tuple[float, float, float] | None = None,
    box: tuple[float, float, float, float] | None = None,
    cell: tuple[int, int] | None = None,
    ids: AnyTable | None = None,
    positions: AnyTable | None = None,
    radius: float = 1.0,
    whole: bool = False,
    settings: FetchSettings = FetchSettings(),  # noqa: B008  frozen
    fresh: bool = False,
    mock: bool = False,
    apart: Mapping[str, Path] | None = None,
    base: Path | None = None,
    retry: Retry = Retry(),  # noqa: B008  frozen
    patience: Patience = Patience(),  # noqa: B008  frozen
    ask: Ask | None = None,
    say: Say = lambda _: None,
) -> Fetched:
    """Fetch a table from an archive (TAP).

    The request is counted, divided into pieces, and every piece is checked against its count: a table that
    an archive cuts off is never taken for a whole one. Pieces stay in ``<output>.fetch`` until all are
    there; the same call goes on after a break.

    Parameters
    ----------
    survey : str, Path or Survey
        Which table, columns and cuts.
    output : path
        Where to write; the suffix says the format.
    cone : (ra, dec, radius), optional
        Degrees, ICRS.
    box : (ra from, ra to, dec from, dec to), optional
        Degrees; through RA 0 where the first is larger than the second.
    cell : (order, number), optional
        A nested HEALPix cell; for surveys whose identifiers hold it.
    ids : path, table or list, optional
        The rows with these identifiers.
    positions : path or table, optional
        Columns `ra`, `dec` (degrees): every row within `radius` of one of them.
    radius : float
        Arcsec, for `positions`.
    whole : bool
        The whole table.
    settings : FetchSettings
        Which archive, columns and cuts; what is joined there; size and number of queries.
    fresh : bool
        Ask again, even where the output is there from the same request.
    mock : bool
        The service has simulated tables; written into the provenance.
    apart : mapping of str to Path, optional
        Files of their own for tables that are joined (distances), by survey; with the identifier.
    base : Path, optional
        Folder that the paths of survey files start from.
    retry, patience
        How often to try, and limits of time.
    ask : callable, optional
        Asks the user for a login that is found nowhere else.
    say : callable, optional
        Told what happens.

    Returns
    -------
    Fetched

    Raises
    ------
    InputError
        A wrong request; nothing was asked.
    StarscaleError
        The archive cannot be reached, refuses, or does not deliver what it counted.
    """
    selection, lists = selected(
        cone=cone, box=box, cell=cell, ids=ids, positions=positions, radius=radius, whole=whole
    )
    output = Path(output)
    refuse_same(output, *(table for table in lists.values() if isinstance(table, str | Path)))
    for file in (output, *(apart or {}).values()):
        to_write(file)
    sources = find_sources(survey, settings, base)
    upload = uploaded(lists, sources.lead[0])
    # What cannot be asked anywhere is said before anybody is asked.
    asked = build(sources, selection, settings, None, upload).request.key()
    if not fresh and (old := _already(output, asked, (apart or {}).values())) is not None:
        return old
    login = find_login(sources.lead[1].service, ask) if settings.login else Login()
    folder = output.with_name(f"{output.name}.fetch")
    with quiet(), Client(sources.lead[1], login, patience) as client:
        wish = ask_and_build(client, sources, selection, settings, upload)
        for name in wish.missing:
            say(f"note: the archive has no column {name!r}")
        about = _about(wish, selection, settings)
        manifest = Manifest.open(folder, wish.request.key(), about)
        try:
            download, before = _download(client, wish, manifest, settings, retry, say)
        except StarscaleError as error:
            raise interrupted(manifest, error) from error
        finally:
            if not manifest.planned:
                manifest.remove()
    if not manifest.all_stored():
        manifest.remove()
        found = f"no row of {sources.lead[0].title} is in the {selection.describe()}"
        raise InputError(Problem(sources.lead[1].service, found, "one or more", "Is the request what you meant?"))
    document = {"asked": asked, **_document(about, manifest, download, before, settings)}
    made = record(command="fetch", mock=mock, settings=settings.model_dump(mode="json"))
    done = assemble(wish, manifest, _files(wish, output, apart or {}), {**made, "fetch": document})
    manifest.remove()
    unknown = upload.height - done.received if selection.ids is not None and upload is not None else None
    counted = int(document["rows_counted"])
    return Fetched(output, done.written, counted, before, done.attrition, unknown, False, document)


def _download(
    client: Client, wish: PlannedRequest, manifest: Manifest, settings: FetchSettings, retry: Retry, say: Say
) -> tuple[Download, int | None]:
    limit = client.row_limit()
    most = min(limit or settings.chunk, settings.chunk)
    download = Download(client, wish.request, manifest, most, settings.jobs, retry, say)
    before = None
    if wish.request.cuts and not manifest.planned:
        before = sum(download.count(None, part, cuts=False).rows for part in range(wish.request.parts))
        manifest.about = {**manifest.about, "rows_before_cuts": before}
    pieces = download.plan()
    total = sum(piece.rows for piece in pieces)
    say(f"{total:,} rows in {len(pieces)} {'piece' if len(pieces) == 1 else 'pieces'}")
    with Bar("fetch", total) as bar:
        bar.advance(sum(item.rows for item in manifest.all_stored()))
        download.progress = bar.advance
        download.run()
    return download, manifest.about.get("rows_before_cuts", before)


def _about(wish: PlannedRequest, selection: Selection, settings: FetchSettings) -> dict[str, Any]:
    """The request, as plain data."""
    request = wish.request
    listed = request.upload
    return {
        "survey": wish.sources.lead[0].name,
        "service": request.place.service,
        "table": request.place.table,
        "joined": [place.table for _, place in (*wish.sources.beside, *wish.sources.partners)],
        "selection": selection.describe(),
        "adql": request.rows_query(),
        "uploaded_rows": None if listed is None else listed.height,
        "cuts_of_the_archive": list(request.cuts),
        "cuts_after_the_download": [cut.keep for _, cut in wish.local],
        "columns_the_archive_lacks": list(wish.missing),
        "logged_in": settings.login,
    }


def _document(
    about: Mapping[str, Any], manifest: Manifest, download: Download, before: int | None, settings: FetchSettings
) -> dict[str, Any]:
    """What goes into the provenance of the table."""
    stored = manifest.all_stored()
    times = sorted(item.fetched for item in stored)
    pieces = [
        {"rows": item.rows, "fetched": item.fetched, **({"range": item.range.conditions()} if item.range else {})}
        for item in stored
    ]
    return {
        **about,
        "key": manifest.key,
        "fetched_from": times[0],
        "fetched_to": times[-1],
        "rows_before_cuts": before,
        # Each piece was compared with its own count, the last one where it was asked for again.
        "rows_counted": sum(item.rows for item in stored),
        "queries": len(stored),
        "attempts": sum(item.attempts for item in stored),
        "rows_of_a_query": min(download.most, settings.chunk),
        # The ranges of thousands of pieces would be longer than many a table.
        "pieces": pieces if len(pieces) <= 1000 else f"{len(pieces)} pieces",
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _files(wish: PlannedRequest, output: Path, apart: Mapping[str, Path]) -> dict[Path, list[str]]:
    """Which columns go into which file."""
    members = wish.request.relation.members
    lead = members[0]
    key = lead.output[lead.survey.id.column]
    files = {apart[m.survey.name]: [key, *m.output.values()] for m in members[1:] if m.survey.name in apart}
    elsewhere = {name for columns in files.values() for name in columns} - {key}
    return {output: [name for name in wish.request.relation.columns() if name not in elsewhere], **files}


def _already(output: Path, key: str, others: Collection[Path]) -> Fetched | None:
    """The output of the same request, if it is there and whole."""
    if not output.exists() or not all(other.exists() for other in others):
        return None
    try:
        opened = io.open_table(output)
        document = json.loads(opened.metadata[PROVENANCE_KEY])["fetch"]
        if document["asked"] != key or document["rows_written"] != opened.n_rows:
            return None
    except (InputError, KeyError, TypeError, ValueError):
        # Another table, or one that does not say where it comes from: it is replaced, as by every verb.
        return None
    before = document.get("rows_before_cuts")
    return Fetched(output, opened.n_rows, document["rows_counted"], before, None, None, True, document)
