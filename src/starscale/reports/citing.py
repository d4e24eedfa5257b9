"""What to cite for a survey, a model or a run: as text, or as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starscale.model.api import load
from starscale.registry.registries import all_models
from starscale.reports.finished import FinishedRun, mapping
from starscale.reports.inputs import named_tables
from starscale.surveys import Survey, load_survey, survey_names
from starscale.surveys.citations import packaged_entries, resolved
from starscale.version import __version__
from starscale.vocabulary.errors import InputError, Problem, did_you_mean
from starscale.vocabulary.provenance import CITATION, PROVENANCE_FILE

#: Key of the paper that the program implements, among the packaged entries.
_PAPER = "2024arXiv241205047T"


@dataclass(frozen=True, slots=True)
class _Cited:
    """Something to cite: its name, its papers as text, and as BibTeX by key."""

    name: str
    texts: tuple[str, ...]
    entries: Mapping[str, str]


def cite(what: Survey | str | Path, *, bibtex: bool = False) -> str:
    """Return what to cite for a survey, a model or a run.

    For a model and a run these are the program with its paper, and the surveys of all tables.

    Parameters
    ----------
    what : Survey, str or Path
        A survey, the name of a packaged one or the path of a survey file; the folder of a run; or a model, by the
        path of its bundle or its name.
    bibtex : bool, optional
        BibTeX entries, each once, in place of text.

    Returns
    -------
    str

    Raises
    ------
    InputError
        None of these.
    """
    cited = list(_cited(what))
    return "\n".join(_bibtex(cited) if bibtex else _text(cited))


def _cited(what: Survey | str | Path) -> Iterator[_Cited]:
    if isinstance(what, Survey) or str(what).endswith(".toml") or str(what) in survey_names():
        yield _of_survey(load_survey(what))
        return
    yield _program()
    if (Path(what) / PROVENANCE_FILE).is_file():
        yield from _of_settings(FinishedRun.load(Path(what)).settings, ())
    else:
        yield from _of_model(what)


def _of_model(what: str | Path) -> Iterator[_Cited]:
    try:
        model = load(what)
    except InputError:
        if Path(what).exists():
            raise
        known = [*survey_names(), *(found.entry.name for found in all_models())]
        expected = "a survey, the folder of a run, or a model"
        fix = did_you_mean(
            str(what), known, hint="`starscale survey list` and `starscale models list` show the names."
        )
        raise InputError(
            Problem(f"cite {what}", "no survey, model or folder of this name", expected, fix)
        ) from None
    tables = model.recipe.tables if model.recipe else ()
    settings = mapping(mapping(model.information.get("provenance")).get("settings"))
    yield from _of_settings(settings, [table.survey for table in tables])
    for found in all_models():
        if found.entry.name == str(what) and found.entry.citation:
            yield _Cited(f"model {what}", found.entry.citation, {})


def _of_settings(settings: Mapping[str, Any], known: Iterable[Survey]) -> Iterator[_Cited]:
    """Yield the surveys of a run file, those that are known first."""
    surveys = {survey.name: _of_survey(survey) for survey in known}
    for name in dict.fromkeys(_named_surveys(settings)):
        try:
            survey = load_survey(name)
        except InputError:
            surveys.setdefault(name, _Cited(name, ("its survey file is not here any more",), {}))
        else:
            surveys.setdefault(survey.name, _of_survey(survey))
    yield from surveys.values()


def _named_surveys(settings: Mapping[str, Any]) -> Iterator[str]:
    yield from (survey for role, survey, _ in named_tables(settings) if role != "compare" and survey)
    yield from (table["survey"] for table in settings.get("crosswalk", ()))


def _of_survey(survey: Survey) -> _Cited:
    entries = resolved(survey.bibtex)
    if not entries and survey.name in survey_names():
        # A survey in the bundle of an earlier build has no BibTeX.
        packaged = load_survey(survey.name)
        entries = resolved(packaged.bibtex) if packaged.citation == survey.citation else {}
    return _Cited(survey.name, survey.citation, entries)


def _program() -> _Cited:
    key = f"starscale_{__version__}"
    title = "{starscale: put every star on one scale}"
    entry = f"@misc{{{key},\n  author = {{{{The starscale developers}}}},\n  title = {{{title}}},\n"
    entry += f"  note = {{Version {__version__}}},\n}}"
    return _Cited(f"starscale {__version__}", (CITATION,), {key: entry, _PAPER: packaged_entries()[_PAPER]})


def _text(cited: Iterable[_Cited]) -> Iterator[str]:
    for one in cited:
        yield one.name
        yield from (f"    {text}" for text in one.texts or ("its survey file names no paper",))


def _bibtex(cited: Iterable[_Cited]) -> Iterator[str]:
    """Yield comments and entries; what stands outside an entry is a comment, but for the sign @."""
    entries: dict[str, str] = {}
    for one in cited:
        entries |= one.entries
        said = f"\\cite{{{','.join(one.entries)}}}" if one.entries else f"no BibTeX: {'; '.join(one.texts)}"
        yield f"% {one.name}: {said}".replace("@", " at ")
    for entry in entries.values():
        yield f"\n{entry}"
