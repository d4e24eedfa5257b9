"""The table of a document that is read, and what the service says about it."""

from __future__ import annotations

import re

from starscale.io.votable.document import InfoElement, TableElement, VotableDocument
from starscale.vocabulary.errors import InputError, Problem, did_you_mean

_STATUS = "QUERY_STATUS"
#: What services that do not know OVERFLOW call a cut table in their warnings.
_CUT = re.compile(r"\b(truncated|incomplete)\b", re.IGNORECASE)


def chosen_table(document: VotableDocument, part: str | None) -> TableElement:
    """Return the table with the name, ID or number `part`; default: the first of the results that has data.

    Raises
    ------
    InputError
        There is no such table, no table at all, or the service reports an error.
    """
    if part is not None:
        found = _asked(document, part)
    else:
        candidates = [table for table in document.tables if table.fields or table.kind]
        if not candidates:
            _refuse_error(document, None)
            raise InputError(
                Problem(str(document.path), "is a VOTable document without a table", "a TABLE element")
            )
        found = min(candidates, key=_rank)
    _refuse_error(document, found)
    return found


def listed(document: VotableDocument) -> list[tuple[int, str, TableElement]]:
    """Return number, name and element of every table."""
    return [(i, next(iter(table.names), ""), table) for i, table in enumerate(document.tables, 1)]


def cut_off(table: TableElement) -> str:
    """Return what a service said to tell that it did not deliver all rows; empty if it did not."""
    for info in (info for scope in table.scopes for info in scope.infos):
        if _called(info, _STATUS) and info.value.strip().upper().startswith("OVERFLOW"):
            return f"{_STATUS} = OVERFLOW"
        said = f"{info.value} {info.content}".strip()
        if _called(info, "WARNING") and _CUT.search(said):
            return said
    return ""


def _rank(table: TableElement) -> tuple[bool, ...]:
    """Order tables: those with data first, results before others, and descriptions of a service last."""
    return table.resource == "meta", not table.kind, table.resource != "results"


def _asked(document: VotableDocument, part: str) -> TableElement:
    by_name: dict[str, TableElement] = {}
    for number, _, table in listed(document):
        by_name[str(number)] = table
    # A name goes before its spelling in lower case, and both before a number; the first of two tables counts.
    for fold in (str.lower, str):
        by_name |= {fold(name): table for table in reversed(document.tables) for name in table.names}
    found = by_name.get(part) or by_name.get(part.lower())
    if found is None:
        shown = "; ".join(f"{number} {name}".strip() for number, name, _ in listed(document))
        hint = f"Leave out '#{part}'." if len(document.tables) == 1 else ""
        fix = did_you_mean(part, by_name, hint=hint)
        raise InputError(Problem(f"{document.path}#{part}", "no such table", f"one of: {shown or 'none'}", fix))
    return found


def _called(info: InfoElement, name: str) -> bool:
    return info.name.strip().upper() == name


def _refuse_error(document: VotableDocument, table: TableElement | None) -> None:
    """Services report failures as a VOTable with QUERY_STATUS = ERROR (DALI 1.1, section 4.4).

    Services of the time before DALI send an INFO or PARAM called Error, in a document without a table.
    """
    scopes = document.scopes if table is None else table.scopes
    infos = [info for scope in scopes for info in (*scope.infos, *scope.params)]
    said = [text for info in infos if (text := _error(info, anywhere=table is None))]
    if said:
        fix = "Correct the query and send it again."
        found = f"is an error message of the archive: {said[0]}"
        raise InputError(Problem(str(document.path), found, "a table", fix))


def _error(info: InfoElement, *, anywhere: bool) -> str:
    """Return the error that a text tells of, if it does."""
    value = info.value.strip()
    if _called(info, _STATUS) and value.upper().startswith("ERROR"):
        return info.content or value[len("ERROR") :].strip(" :") or "no reason given"
    return info.content or value if anywhere and _called(info, "ERROR") else ""
