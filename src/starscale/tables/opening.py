"""Open a table as one of a survey: the tables of its file, elements of its vectors, texts as they are written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from starscale.io import Source, open_table
from starscale.io.memory.source import Choose
from starscale.io.parts.elements import Element, ElementSource, element_of
from starscale.surveys import Survey
from starscale.surveys.names import plain
from starscale.tables.standardise import spelling
from starscale.vocabulary.errors import InputError, Problems


def open_for(table: Any, survey: Survey, *, choose: Choose | None = None, name: str = "table") -> Source:
    """Open a table whose columns a survey describes.

    Parameters
    ----------
    table : path or table
        Anything that :func:`starscale.io.open_table` takes. A path that names no table of its file is read as the
        survey says (``tables``).
    survey : Survey
    choose : callable, optional
        Chooses the columns of a table in memory that are converted, given all names.
    name : str
        Name of a table in memory in error messages.

    Returns
    -------
    Source
        Columns that the survey calls texts are read as they are written (000, 1.10, 1E5) from files without types.
        Elements of vectors that the survey names (``mag_psfcor[3]``) are columns; their vectors are not,
        unless the survey describes them too.

    Raises
    ------
    InputError
        It cannot be read, or has no such element; all problems in one error.
    """

    def chosen(names: Sequence[str]) -> Iterable[str]:
        if choose is None:
            return names
        named = {text: one.vector for of in _possible(names, survey).values() for text, one in of.items()}
        return dict.fromkeys(named.get(column, column) for column in choose([*names, *named]))

    source = with_elements(open_table(table, choose=chosen, name=name, tables=survey.tables), survey)
    found = spelling(source.schema, survey)
    return source.with_texts({there for one, there in found.items() if survey.columns[one].dtype == "string"})


def with_elements(source: Source, survey: Survey) -> Source:
    """Return a table with the elements of vectors that a survey names as columns; itself where there are none."""
    elements: dict[str, Element] = {}
    refused: dict[str, InputError] = {}
    for column, named in _possible(source.schema, survey).items():
        for text, element in named.items():
            try:
                element.dtype(source.schema[element.vector], f"{source.path}, column {element.vector!r}")
                elements[text] = element
            except InputError as error:
                refused.setdefault(column, error)
    found = spelling([*source.schema, *elements], survey)
    _raise([refusal for column, refusal in refused.items() if column not in found])
    used = {text: element for text, element in elements.items() if text in found.values()}
    hidden = {element.vector for element in used.values()} - set(found.values())
    return ElementSource(source, used, hidden) if used else source


def _raise(refused: list[InputError]) -> None:
    """Raise all problems in one error; elements of one vector of another length have one."""
    problems = Problems()
    problems.items.extend(dict.fromkeys(one for refusal in refused for one in refusal.problems))
    problems.raise_if_any()


def refuse_elements(names: Iterable[str], survey: Survey, where: str) -> None:
    """Refuse a table of an engine that does not know elements of vectors, if it needs one.

    Raises
    ------
    InputError
        With every column that is an element of a vector in this table.
    """
    found, problems = spelling(names, survey), Problems()
    for column, named in _possible(names, survey).items():
        if column not in found:
            fix = "Leave out --engine, or write the catalogue again with a column for the element."
            problems.add(where, f"has {column!r} as an element of a vector ({next(iter(named))})", "a column", fix)
    problems.raise_if_any()


def _possible(names: Iterable[str], survey: Survey) -> dict[str, dict[str, Element]]:
    """Return the elements of vectors among `names` that a survey names, by their text, for its columns."""
    by_lower: dict[str, str] = {}
    for name in names:
        by_lower.setdefault(name.lower(), name)
    lengths = {vector.lower(): of for vector, of in survey.vectors.items()}
    found: dict[str, dict[str, Element]] = {}
    for column, text in _candidates(survey):
        element = element_of(text)
        if element is not None and text.lower() not in by_lower and element.vector.lower() in by_lower:
            low = element.vector.lower()
            there = Element(by_lower[low], element.index, lengths.get(low))
            found.setdefault(column, {})[text] = there
    return found


def _candidates(survey: Survey) -> Iterator[tuple[str, str]]:
    """Yield every name that a column of a survey may have in a table, with the column."""
    yield from survey.rename.items()
    for given in survey.names.values():
        yield from plain(given).items()
    for column, spec in survey.columns.items():
        yield from ((column, alias) for alias in spec.aliases)
