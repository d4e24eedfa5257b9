"""Load survey files, packaged ones by name and others by path."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

from starscale.surveys.schema import Survey
from starscale.vocabulary.errors import InputError, Problem, did_you_mean
from starscale.vocabulary.strict import load_toml, validate

__all__ = ["Survey", "load_survey", "survey_names", "survey_text"]

_FOLDER = resources.files(__package__)


def survey_names() -> list[str]:
    """Return the names of the packaged surveys, sorted.

    Returns
    -------
    list of str
    """
    return sorted(item.name.removesuffix(".toml") for item in _FOLDER.iterdir() if item.name.endswith(".toml"))


def load_survey(survey: str | Path | Survey, *, base: Path | None = None) -> Survey:
    """Return a survey by packaged name or by the path of a TOML file.

    Parameters
    ----------
    survey : str, Path or Survey
        ``"gaia_dr3"``, a path that ends in ``.toml``, or a survey, which is returned unchanged.
    base : Path, optional
        Folder that a relative path starts from (that of the run file); by default the current one.

    Returns
    -------
    Survey

    Raises
    ------
    InputError
        If the name is unknown, or the file is not a valid survey file.
    """
    if isinstance(survey, Survey):
        return survey
    text = str(survey)
    if text.endswith(".toml"):
        path = Path(text) if base is None else base / text
        return validate(Survey, load_toml(path), str(path))
    if text not in survey_names():
        fix = did_you_mean(text, survey_names(), hint="Give your own survey by the path of its .toml file.")
        raise InputError(Problem(f"survey {text!r}", "unknown name", f"one of {', '.join(survey_names())}", fix))
    return _packaged(text)


def survey_text(survey: str) -> str:
    """Return the text of a survey file, with its comments, as the beginning of a file of your own.

    Parameters
    ----------
    survey : str
        Packaged name, or the path of a TOML file.

    Raises
    ------
    InputError
        If the name is unknown, or the file is not a valid survey file.
    """
    load_survey(survey)
    file = Path(survey) if survey.endswith(".toml") else _FOLDER / f"{survey}.toml"
    return file.read_text(encoding="utf-8")


@lru_cache
def _packaged(name: str) -> Survey:
    with resources.as_file(_FOLDER / f"{name}.toml") as path:
        return validate(Survey, load_toml(path), f"packaged survey {name}")
