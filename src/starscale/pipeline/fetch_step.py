"""The first steps of a run: fetch the tables that the run file requests from archives."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from starscale.io import checksum
from starscale.pipeline.folder import RunFolder
from starscale.surveys import Survey, load_survey
from starscale.vocabulary.errors import InputError, Problem, Problems
from starscale.vocabulary.progress import SILENT, Progress
from starscale.vocabulary.settings.fetch import KINDS
from starscale.vocabulary.settings.run import (
    CatalogueInput,
    Fetch,
    FetchSettings,
    InputTable,
    LabelsInput,
    PhotometryInput,
    RunConfig,
    TablesConfig,
)

if TYPE_CHECKING:
    from starscale.archives.estimate import FetchEstimate


Entry = TypeVar("Entry", PhotometryInput, LabelsInput)
Config = TypeVar("Config", bound=TablesConfig)


@dataclass(frozen=True)
class FetchJob:
    """One table to fetch.

    Attributes
    ----------
    reference : str
        The survey, as the run file names it.
    survey : Survey
    fetch : Fetch
    file : str
        The name of the table in the folder of the run.
    apart : dict of str to str
        Names of the files of companion tables (distances), by survey.
    """

    reference: str
    survey: Survey
    fetch: Fetch
    file: str
    apart: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fetching(Generic[Config]):
    """A run file in which all tables are files, and the jobs that fetch those files."""

    config: Config
    jobs: tuple[FetchJob, ...]
    files: frozenset[Path]


def resolve(config: Config, base: Path, output: Path) -> Fetching[Config]:
    """Replace every request by the file in the folder of the run that it will be written to.

    Parameters
    ----------
    config : TablesConfig
        A run file, or its tables alone.
    base : Path
        Folder that paths of the run file start from.
    output : Path
        Folder of the run.

    Raises
    ------
    InputError
        A survey that cannot be loaded, or a match by the archive, which a run does itself.
    """
    jobs: list[FetchJob] = []
    problems = Problems()
    folder = Path(os.path.relpath(output, base))
    changed: dict[str, Any] = {}
    if config.catalogue.fetch is not None:
        with problems.collect():
            job, changed["catalogue"] = _resolved_catalogue(config.catalogue, config.catalogue.fetch, base, folder)
            jobs.append(job)
    for key in ("photometry", *(("labels",) if isinstance(config, RunConfig) else ())):
        changed[key] = tuple(_resolved(entry, base, folder, jobs, problems) for entry in getattr(config, key))
    for job in jobs:
        with problems.collect():
            estimate(job, base, offline="not asked")
    problems.raise_if_any()
    files = [folder / name for job in jobs for name in (job.file, *job.apart.values())]
    return Fetching(config.model_copy(update=changed), tuple(jobs), frozenset(files))


def _resolved(entry: Entry, base: Path, folder: Path, jobs: list[FetchJob], problems: Problems) -> Entry:
    """Return an entry of the run file whose table is a file; enter the job that fetches it."""
    if entry.fetch is None:
        return entry
    with problems.collect():
        job = _job(entry.survey, entry.fetch, base)
        jobs.append(job)
        return entry.model_copy(update={"path": folder / job.file, "fetch": None})
    return entry


def _job(reference: str, fetch: Fetch, base: Path, apart: Sequence[Survey] = ()) -> FetchJob:
    """Make the job of one table; tables `apart` are written to their own files."""
    if fetch.match:
        fix = "Fetch the other catalogue as well, under [[photometry]]; the run matches them."
        raise InputError(Problem(f"survey {reference}: fetch.match", "is not for a run", fix=fix))
    survey = load_survey(reference, base=base)
    return FetchJob(reference, survey, fetch, _file(survey), {other.name: _file(other) for other in apart})


def _file(survey: Survey) -> str:
    return f"fetched_{survey.name}.parquet"


def _resolved_catalogue(
    lead: CatalogueInput, fetch: Fetch, base: Path, folder: Path
) -> tuple[FetchJob, CatalogueInput]:
    """Make the job of the leading table, which also fetches its companions, and the table without a request."""
    survey = load_survey(lead.survey, base=base)
    given = {load_survey(table.survey, base=base).name for table in lead.join}
    # Names in a survey file start from the folder of that file; names in a run file from the run file.
    home = Path(lead.survey).parent if lead.survey.endswith(".toml") else Path()
    companions = [(name, s) for name, s in _companions(survey, fetch, base, home) if s.name not in given]
    job = _job(lead.survey, fetch, base, [s for _, s in companions])
    joins = [InputTable(survey=name, path=folder / _file(s)) for name, s in companions]
    update = {"path": folder / job.file, "fetch": None, "join": (*lead.join, *joins)}
    return job, lead.model_copy(update=update)


def _companions(survey: Survey, fetch: Fetch, base: Path, home: Path) -> list[tuple[str, Survey]]:
    """Return the tables that are fetched with the leading table: their name in a run file, and their survey."""
    if not fetch.join:
        return []
    service = next((place.service for place in survey.places if fetch.at in (None, place.name)), None)
    found = []
    for name in survey.joins:
        other = load_survey(name, base=base / home)
        if service in [place.service for place in other.places]:
            found.append((str(home / name) if name.endswith(".toml") else name, other))
    return found


def estimate(job: FetchJob, base: Path, *, offline: str = "", progress: Progress = SILENT) -> FetchEstimate:
    """Return the queries of a job and its size; the archive is not asked if `offline` says why."""
    plan: Callable[..., FetchEstimate] = importlib.import_module("starscale.archives.estimate").plan_fetch
    return plan(job.reference, **_request(job, base), offline=offline, base=base, progress=progress)


def _lists(job: FetchJob, base: Path) -> dict[str, Path]:
    """Return the tables of identifiers or positions that a job reads."""
    return {name: base / path for name in ("ids", "positions") if (path := getattr(job.fetch, name)) is not None}


def _request(job: FetchJob, base: Path) -> dict[str, Any]:
    """Return the selection and the settings of a job, as arguments."""
    settings = FetchSettings(**{name: getattr(job.fetch, name) for name in FetchSettings.model_fields})
    return {**{name: getattr(job.fetch, name) for name in (*KINDS, "radius")}, **_lists(job, base)} | {
        "settings": settings
    }


def fetch_step(job: FetchJob, folder: RunFolder, base: Path, *, mock: bool) -> None:
    """Fetch a table, or skip the step if it is unchanged; `mock`: the rows are simulated."""

    def work() -> dict[str, Any]:
        # Only a run that fetches loads the network libraries.
        fetch = importlib.import_module("starscale.archives.api").fetch
        done = fetch(
            job.reference,
            folder.file(job.file),
            **_request(job, base),
            apart={name: folder.file(file) for name, file in job.apart.items()},
            base=base,
            mock=mock,
            progress=folder.progress,
        )
        return {**done.record, "rows": done.rows, "account": done.account.document()}

    folder.step(
        f"fetch {job.survey.name}",
        settings=[job.fetch.model_dump(mode="json"), job.survey.model_dump(mode="json")],
        reads={str(path): checksum(path) for path in _lists(job, base).values()},
        writes=[job.file, *job.apart.values()],
        work=work,
    )
