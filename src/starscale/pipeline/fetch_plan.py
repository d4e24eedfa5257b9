"""The verb `plan_run`: what a run would fetch from archives, query by query."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starscale.io.progress import progress_of
from starscale.pipeline.apply import ApplyRun
from starscale.pipeline.fetch_step import Fetching, estimate, resolve
from starscale.pipeline.planning import plan
from starscale.pipeline.runfile import load_any_run
from starscale.vocabulary.errors import InputError, StarscaleError
from starscale.vocabulary.progress import Progress
from starscale.vocabulary.settings.run import ApplyConfig, RunConfig

if TYPE_CHECKING:
    from starscale.archives.estimate import FetchEstimate


def plan_run(run_file: str | Path, *, progress: Progress | bool | None = None) -> dict[str, FetchEstimate]:
    """Return the queries that a run would send to archives, with the number of rows and the size of each table.

    Parameters
    ----------
    run_file : path
        TOML.
    progress : Progress or bool, optional
        Receives messages about failed attempts.

    Returns
    -------
    dict of str to FetchEstimate
        By survey, in the order of the run; without counts where an archive cannot be reached or refuses the query.

    Raises
    ------
    InputError
        Bad settings or input: all problems at once.
    """
    config, base = load_any_run(run_file)
    fetching = _fetching(config, base)
    shown = progress_of(progress)
    found: dict[str, FetchEstimate] = {}
    silent: dict[str, str] = {}  # why, of every service that did not answer: it is asked once
    for job in fetching.jobs:
        queries = estimate(job, base, offline="not asked")
        if queries.service in silent:
            found[job.survey.name] = replace(queries, reason=silent[queries.service])
            continue
        shown.message(f"asking {queries.service} for {job.survey.name} ...")
        try:
            found[job.survey.name] = estimate(job, base, progress=shown)
        except InputError:
            raise
        except StarscaleError as error:
            found[job.survey.name] = replace(queries, reason=str(error))
            continue
        if found[job.survey.name].rows is None:
            silent[queries.service] = found[job.survey.name].reason
    return found


def _fetching(config: RunConfig | ApplyConfig, base: Path) -> Fetching[Any]:
    """Return what a run would fetch, once everything else that its file names is checked."""
    output = base / "run"
    if isinstance(config, ApplyConfig):
        return ApplyRun.of(config, base, output).fetching
    fetching = resolve(config, base, output)
    plan(fetching.config, base, coming=fetching.files)
    return fetching
