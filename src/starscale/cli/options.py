"""Options, and ways to print, that several commands share."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from starscale.cli import completion
from starscale.reports.text import figures_table
from starscale.vocabulary.errors import Problems
from starscale.vocabulary.settings.match import CrosswalkInput

Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FILE", help="File to write; its suffix gives the format.")
]


def survey_option(*names: str, help: str = "Survey name, or the path of a survey file.") -> Any:  # noqa: A002
    """Return an option for a survey, whose name the shell completes."""
    return typer.Option(*names, metavar="SURVEY", help=help, autocompletion=completion.survey_names)


def survey_argument(help: str = "Survey name, or the path of a survey file.") -> Any:  # noqa: A002
    """Return an argument for a survey, whose name the shell completes."""
    return typer.Argument(help=help, autocompletion=completion.survey_names)


def model_argument(help: str = "Model bundle (folder), or the name of a model.") -> Any:  # noqa: A002
    """Return an argument for a model, whose name the shell completes."""
    return typer.Argument(help=help, autocompletion=completion.model_names)


Engine = Annotated[
    str,
    typer.Option(help="local, or lsdb: HATS catalogues on a Dask cluster; the same rows."),
]


Scheduler = Annotated[
    str | None, typer.Option(metavar="tcp://HOST:PORT", help="With lsdb: a Dask scheduler that runs.")
]


Workers = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="With lsdb: processes here; default: one a core.")
]


Rename = Annotated[
    list[str] | None,
    typer.Option(metavar="NEW=OLD", help="Read the column OLD as the column NEW. Repeatable."),
]


Crosswalk = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SURVEY=PATH",
        help="Table between two releases of Gaia, for labels with identifiers of another release. Repeatable.",
    ),
]


Below = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LABEL=VALUE,...",
        help="Give the probability that a label is below these values; default: fe_h=-1,-2,-3. Repeatable.",
    ),
]


Prior = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PRIOR or LABEL=PRIOR",
        help="What is known of labels before: training, flat, or a table of LABEL and density. Repeatable.",
    ),
]


NoSlopes = Annotated[
    bool,
    typer.Option("--no-slopes", help="Leave the slopes of the labels with E(B-V) null; takes less time."),
]


def closing_of_run(folder: Path) -> str:
    """Return the closing lines of a run or of an applied model."""
    report = _closing()
    return str(report.closing(report.Outcome.of_run(folder)))


def closing_of_prediction(found: Any, table: str, output: str | Path, *, mock: bool) -> str:
    """Return the closing lines of a prediction."""
    report = _closing()
    return str(report.closing(report.Outcome.of_prediction(found, table, output, mock=mock)))


def _closing() -> Any:
    # Loads the learning libraries, which a command needs only when it is through.
    return importlib.import_module("starscale.reports.closing")


def named_values(values: Sequence[str] | None, option: str, form: str) -> list[tuple[str, str]]:
    """Split the values of a repeatable option at their first ``=``.

    Parameters
    ----------
    values : sequence of str or None
    option : str
        Name of the option, for the error.
    form : str
        How a value is written, for example ``NAME=SQL``.

    Raises
    ------
    InputError
        All values that are not written so.
    """
    problems, found = Problems(), []
    for value in values or ():
        name, equals, rest = (part.strip() for part in value.partition("="))
        if equals and name and rest:
            found.append((name, rest))
        else:
            problems.add(option, f"{value!r}", form)
    problems.raise_if_any()
    return found


def renamed(values: Sequence[str] | None, option: str = "--rename") -> dict[str, str]:
    """Return the old name of every column that is renamed, by new name.

    Raises
    ------
    InputError
        All values that are not NEW=OLD, or new names that are given twice.
    """
    pairs, problems = named_values(values, option, "NEW=OLD"), Problems()
    new = [name for name, _ in pairs]
    for name in sorted({name for name in new if new.count(name) > 1}):
        problems.add(option, f"{name!r} is given twice", "each new name once")
    problems.raise_if_any()
    return dict(pairs)


def names(text: str) -> list[str]:
    """Split names that are separated by commas."""
    return [name.strip() for name in text.split(",")]


def sample_name(name: str, mock_data: bool) -> str:
    """Return the name of a sample, which says when the data are MOCK."""
    return f"{name}, MOCK data" if mock_data else name


def print_figures(figures: pl.DataFrame, sample: str) -> None:
    """Print the figures of merit of a sample."""
    typer.echo(f"\nprediction - label ({sample})")
    typer.echo(figures_table(figures).text())


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return the rows of a JSON document as a table."""
    return pl.DataFrame(rows, infer_schema_length=None)


def thresholds(values: Sequence[str] | None) -> dict[str, list[float]] | None:
    """Return the values of every label that are asked for; None: the usual ones.

    Raises
    ------
    InputError
        All values that are not LABEL=NUMBER,...
    """
    if values is None:
        return None
    found: dict[str, list[float]] = {}
    problems = Problems()
    for label, text in named_values(values, "--below", "LABEL=VALUE,..."):
        try:
            found.setdefault(label, []).extend(float(value) for value in names(text))
        except ValueError:
            problems.add("--below", f"{label}={text}", "numbers, such as fe_h=-2,-2.5")
    problems.raise_if_any()
    return found


def prior_of(values: Sequence[str] | None) -> str | dict[str, str]:
    """Return a prior for all labels, or for each label that is named; default: that of the training."""
    if not values:
        return "training"
    if len(values) == 1 and "=" not in values[0]:
        return values[0]
    return dict(named_values(values, "--prior", "LABEL=PRIOR"))


def survey_or_file(survey: str) -> str:
    """Return the name of a survey, or the absolute path of a survey file."""
    return str(Path(survey).absolute()) if survey.endswith(".toml") else survey


def walks(values: Sequence[str] | None) -> list[CrosswalkInput]:
    """Return the tables between releases of Gaia; a survey file is found from the current folder.

    Raises
    ------
    InputError
        All values that are not SURVEY=PATH.
    """
    return [
        CrosswalkInput(survey=survey_or_file(survey), path=Path(path).absolute())
        for survey, path in named_values(values, "--crosswalk", "SURVEY=PATH")
    ]
