"""The verb `fetch`: download a table from an archive in pieces that are counted first and verified afterwards."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import ExitStack
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
from starscale.io.formats import to_write
from starscale.io.progress import progress_of
from starscale.surveys import Survey
from starscale.tables.api import PROVENANCE_KEY, AnyTable, refuse_same
from starscale.tables.cuts import Attrition
from starscale.vocabulary.accounting import RowAccount, UnaccountedRowsError
from starscale.vocabulary.documents import parse_json
from starscale.vocabulary.errors import InputError, Problem, StarscaleError
from starscale.vocabulary.progress import Progress
from starscale.vocabulary.provenance import record
from starscale.vocabulary.settings.fetch import Selection
from starscale.vocabulary.settings.run import FetchSettings

#: Longest list of pieces that is written out in the provenance of a table.
_MOST_PIECES_LISTED = 1000


@dataclass(frozen=True)
class Fetched:
    """Result of :func:`fetch`.

    Attributes
    ----------
    path : Path
        The file with the table.
    rows : int
        Number of rows in the file.
    counted : int
        Number of rows that the archive counted for the request.
    before_cuts : int, optional
        Number of rows of the selection before the archive applied the cuts; None if it applied none.
    attrition : Attrition, optional
        Rows removed by cuts applied after the download, because this archive cannot apply them.
    unknown : int, optional
        For a list of identifiers: how many of them the archive does not have.
    already : bool
        True if the output of the same request existed, so that the archive was not queried.
    record : mapping
        Service, queries, counts and times, as in the provenance of the table.
    account : RowAccount
        Rows that the archive delivered, and where they are; an output of an older version counts its own rows.
    """

    path: Path
    rows: int
    counted: int
    before_cuts: int | None
    attrition: Attrition | None
    unknown: int | None
    already: bool
    record: Mapping[str, Any]
    account: RowAccount


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
    progress: Progress | bool | None = None,
) -> Fetched:
    """Download a table from an archive (TAP).

    The rows of the request are counted, the request is divided into pieces, and the number of rows of every
    piece is compared with its count, so a truncated answer is never accepted as complete. Completed pieces are
    stored in ``<output>.fetch`` until all have arrived; after an interruption the same call resumes there.

    Parameters
    ----------
    survey : str, Path or Survey
        The survey whose table, columns and cuts are used.
    output : path
        File to write; its suffix gives the format.
    cone : (ra, dec, radius), optional
        Centre and radius, degrees, ICRS.
    box : (ra from, ra to, dec from, dec to), optional
        Degrees, ICRS; the box contains RA 0 if `ra from` is larger than `ra to`.
    cell : (order, number), optional
        A nested HEALPix cell; for surveys whose identifiers contain the cell.
    ids : path, table or list, optional
        Select the rows with these identifiers.
    positions : path or table, optional
        Table with the columns `ra` and `dec` (degrees): select every row within `radius` of one of them.
    radius : float
        Search radius for `positions`, arcsec.
    whole : bool
        Select the whole table.
    settings : FetchSettings
        Archive, columns, cuts, tables joined at the archive, size and number of queries.
    fresh : bool
        Query the archive again even if `output` was made by the same request.
    mock : bool
        The service holds simulated tables; recorded in the provenance.
    apart : mapping of str to Path, optional
        Separate files for joined tables (distances), by name of the survey; each includes the identifier.
    base : Path, optional
        Folder that relative paths of survey files start from.
    retry : Retry
        Number of attempts and pauses between them.
    patience : Patience
        Time limits.
    ask : callable, optional
        Asks the user for a login if none is found elsewhere.
    progress : Progress or bool, optional
        Receives messages and the number of downloaded rows; True shows them, None is silent.

    Returns
    -------
    Fetched

    Raises
    ------
    InputError
        The request is wrong; the archive was not queried.
    StarscaleError
        The archive cannot be reached, refuses the query, or does not deliver the rows that it counted.
    """
    selection, lists = selected(
        cone=cone, box=box, cell=cell, ids=ids, positions=positions, radius=radius, whole=whole
    )
    output, apart, shown = Path(output), apart or {}, progress_of(progress)
    _check_outputs(output, apart, lists)
    sources = find_sources(survey, settings, base)
    upload = uploaded(lists, sources.lead[0])
    # Build the request offline first, so that mistakes are reported before the archive is contacted.
    asked = build(sources, selection, settings, None, upload).request.key()
    if not fresh and (old := _already(output, asked, apart.values())) is not None:
        return old
    login = find_login(sources.lead[1].service, ask) if settings.login else Login()
    with ExitStack() as stack:
        with quiet(), Client(sources.lead[1], login, patience) as client:
            planned = ask_and_build(client, sources, selection, settings, upload)
            for name in planned.missing:
                shown.message(f"note: the archive has no column {name!r}")
            about = _about(planned, selection, settings)
            folder = output.with_name(f"{output.name}.fetch")
            manifest = stack.enter_context(Manifest.open(folder, planned.request.key(), about))
            download = _download(client, planned, manifest, settings, retry, shown)
        if not manifest.all_stored():
            manifest.remove()
            lead, place = sources.lead
            found = f"no row of {lead.name} ({lead.title}) is in the {selection.describe()}"
            fix = "Check the selection; in a run file, choose another region or leave this table out."
            raise InputError(Problem(f"{place.service}: {place.table}", found, "one or more", fix))
        document = {"asked": asked, **_document(about, manifest, download, settings)}
        made = record(command="fetch", mock=mock, settings=settings.model_dump(mode="json"))
        done = assemble(planned, manifest, _files(planned, output, apart), {**made, "fetch": document})
        manifest.remove()
    unknown = upload.height - done.received if selection.ids is not None and upload is not None else None
    counted, before = int(document["rows_counted"]), document["rows_before_cuts"]
    return Fetched(output, done.written, counted, before, done.attrition, unknown, False, document, done.account)


def _check_outputs(output: Path, apart: Mapping[str, Path], lists: Mapping[str, AnyTable]) -> None:
    """Refuse outputs that would overwrite an input, or that cannot be written."""
    refuse_same(output, *(table for table in lists.values() if isinstance(table, str | Path)))
    for file in (output, *apart.values()):
        to_write(file)


def _download(
    client: Client,
    planned: PlannedRequest,
    manifest: Manifest,
    settings: FetchSettings,
    retry: Retry,
    progress: Progress,
) -> Download:
    """Count the request, divide it, and download its pieces; the manifest then lists all of them."""
    most = min(client.row_limit() or settings.chunk, settings.chunk)
    download = Download(client, planned.request, manifest, most, settings.jobs, retry, progress)
    try:
        if planned.request.cuts and not manifest.planned:
            manifest.about = {**manifest.about, "rows_before_cuts": download.rows_before_cuts()}
        pieces = download.plan()
        total = sum(piece.rows for piece in pieces)
        progress.message(f"{total:,} rows in {len(pieces)} {'piece' if len(pieces) == 1 else 'pieces'}")
        with progress.task("fetch", total) as task:
            if kept := sum(item.rows for item in manifest.all_stored()):
                task.resumed(kept)
            download.run(task)
    except StarscaleError as error:
        raise interrupted(manifest, error) from error
    finally:
        if not manifest.planned:
            manifest.remove()
    return download


def _about(planned: PlannedRequest, selection: Selection, settings: FetchSettings) -> dict[str, Any]:
    """Describe the request as plain data."""
    request, sources = planned.request, planned.sources
    listed = request.upload
    return {
        "survey": sources.lead[0].name,
        "service": request.place.service,
        "table": request.place.table,
        "joined": [place.table for _, place in (*sources.companions, *sources.partners)],
        "selection": selection.describe(),
        "adql": request.rows_query(),
        "uploaded_rows": None if listed is None else listed.height,
        "cuts_of_the_archive": list(request.cuts),
        "cuts_after_the_download": [cut.keep for _, cut in planned.local],
        "columns_the_archive_lacks": list(planned.missing),
        "logged_in": settings.login,
    }


def _document(
    about: Mapping[str, Any], manifest: Manifest, download: Download, settings: FetchSettings
) -> dict[str, Any]:
    """Describe the finished download for the provenance of the table."""
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
        "rows_before_cuts": manifest.about.get("rows_before_cuts"),
        # Every piece was compared with its own count: the latest one if it was requested again.
        "rows_counted": sum(item.rows for item in stored),
        "queries": len(stored),
        "attempts": sum(item.attempts for item in stored),
        "rows_of_a_query": min(download.most, settings.chunk),
        # The ranges of thousands of pieces could take more space than the table.
        "pieces": pieces if len(pieces) <= _MOST_PIECES_LISTED else f"{len(pieces)} pieces",
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _files(planned: PlannedRequest, output: Path, apart: Mapping[str, Path]) -> dict[Path, list[str]]:
    """Return the columns of every file that is written."""
    relation = planned.request.relation
    lead, *others = relation.members
    key = lead.output[lead.survey.id.column]
    files = {apart[m.survey.name]: [key, *m.output.values()] for m in others if m.survey.name in apart}
    elsewhere = {name for columns in files.values() for name in columns} - {key}
    return {output: [name for name in relation.columns() if name not in elsewhere], **files}


def _already(output: Path, key: str, others: Collection[Path]) -> Fetched | None:
    """Return the existing output if it is complete and was made by the same request."""
    if not output.exists() or not all(other.exists() for other in others):
        return None
    try:
        opened = io.open_table(output)
        made = parse_json(opened.metadata[PROVENANCE_KEY])
        document, rows = made["fetch"], opened.n_rows
        if document["asked"] != key or document["rows_written"] != rows:
            return None
        account = RowAccount.from_document(made.get("rows") or RowAccount(rows, rows).document())
    except (InputError, KeyError, TypeError, ValueError, AttributeError, UnaccountedRowsError):
        # The file is another table, or has no provenance: it is replaced, as by every verb.
        return None
    before = document.get("rows_before_cuts")
    return Fetched(output, rows, document["rows_counted"], before, None, None, True, document, account)
