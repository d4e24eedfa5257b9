"""The tables that a run file says how to fetch: they become files of the run's folder, by its first steps."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starscale.io import checksum
from starscale.pipeline.folder import RunFolder
from starscale.surveys import Survey, load_survey
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.settings.fetch import KINDS
from starscale.vocabulary.settings.run import Fetch, FetchSettings, InputTable, RunConfig


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
        Its name in the folder of the run.
    apart : dict of str to str
        Files of the tables that come with it (distances), by survey.
    """

    reference: str
    survey: Survey
    fetch: Fetch
    file: str
    apart: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fetching:
    """A run file whose tables are all files, and what must be fetched to make it true."""

    config: RunConfig
    jobs: tuple[FetchJob, ...]
    files: frozenset[Path]


def resolve(config: RunConfig, base: Path, output: Path) -> Fetching:
    """Put the files that will be fetched in the place of the requests.

    Parameters
    ----------
    config : RunConfig
    base : Path
        Folder that paths of the run file start from.
    output : Path
        Folder of the run.

    Raises
    ------
    InputError
        A survey that cannot be loaded, or a match at the archive, which a run does itself.
    """
    jobs: list[FetchJob] = []
    folder = Path(os.path.relpath(output, base))

    def file_for(survey: str, fetch: Fetch, *, apart: Sequence[str] = ()) -> Path:
        if fetch.match:
            fix = "Fetch the other catalogue as well, under [[photometry]]; the run matches them."
            raise InputError(Problem(f"survey {survey}: fetch.match", "is not for a run", fix=fix))
        loaded = load_survey(survey, base=base)
        name = f"fetched_{loaded.name}.parquet"
        jobs.append(FetchJob(survey, loaded, fetch, name, {other: f"fetched_{other}.parquet" for other in apart}))
        return folder / name

    changed: dict[str, Any] = {}
    lead = config.catalogue
    if lead.fetch is not None:
        survey = load_survey(lead.survey, base=base)
        given = {load_survey(table.survey, base=base).name for table in lead.join}
        # A survey file names the others of its folder; a run file, from its own.
        home = Path(lead.survey).parent if lead.survey.endswith(".toml") else Path()
        beside = [(name, s) for name, s in _beside(survey, lead.fetch, base, home) if s.name not in given]
        path = file_for(lead.survey, lead.fetch, apart=[s.name for _, s in beside])
        joins = [InputTable(survey=name, path=folder / f"fetched_{s.name}.parquet") for name, s in beside]
        update = {"path": path, "fetch": None, "join": (*lead.join, *joins)}
        changed["catalogue"] = lead.model_copy(update=update)
    for key in ("photometry", "labels"):
        entries = [
            entry
            if entry.fetch is None
            else entry.model_copy(update={"path": file_for(entry.survey, entry.fetch), "fetch": None})
            for entry in getattr(config, key)
        ]
        changed[key] = tuple(entries)
    files = [folder / name for job in jobs for name in (job.file, *job.apart.values())]
    return Fetching(config.model_copy(update=changed), tuple(jobs), frozenset(files))


def _beside(survey: Survey, fetch: Fetch, base: Path, home: Path) -> list[tuple[str, Survey]]:
    """Tables that come with the leading one: how the run file would name them, and their surveys."""
    if not fetch.join:
        return []
    service = next((place.service for place in survey.places if fetch.at in (None, place.name)), None)
    found = []
    for name in survey.joins:
        other = load_survey(name, base=base / home)
        if service in [place.service for place in other.places]:
            found.append((str(home / name) if name.endswith(".toml") else name, other))
    return found


def fetch_step(job: FetchJob, folder: RunFolder, base: Path, *, mock: bool) -> None:
    """Fetch a table, or take it from the folder; `mock`: its rows are simulated."""
    lists = {name: base / path for name in ("ids", "positions") if (path := getattr(job.fetch, name)) is not None}

    def work() -> dict[str, Any]:
        # The network libraries are loaded by a run that fetches only.
        fetch = importlib.import_module("starscale.archives.api").fetch
        selection = {name: getattr(job.fetch, name) for name in (*KINDS, "radius")} | lists
        done = fetch(
            job.reference,
            folder.file(job.file),
            **selection,
            settings=FetchSettings(**{name: getattr(job.fetch, name) for name in FetchSettings.model_fields}),
            apart={name: folder.file(file) for name, file in job.apart.items()},
            base=base,
            mock=mock,
            progress=folder.progress,
        )
        return {**done.record, "rows": done.rows}

    folder.step(
        f"fetch {job.survey.name}",
        settings=[job.fetch.model_dump(mode="json"), job.survey.model_dump(mode="json")],
        reads={str(path): checksum(path) for path in lists.values()},
        writes=[job.file, *job.apart.values()],
        work=work,
    )
