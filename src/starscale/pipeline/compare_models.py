"""The verb `compare_models`: compare the models of a run file on the same stars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starscale.io.progress import progress_of
from starscale.pipeline.ablation import with_ablation
from starscale.pipeline.comparing import Comparison, entries_of
from starscale.pipeline.fetch_step import resolve
from starscale.pipeline.folder import run_lock
from starscale.pipeline.pipeline import REPORT, RunSteps
from starscale.pipeline.planning import plan
from starscale.pipeline.runfile import load_run
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import Progress


def compare_models(
    run_file: str | Path,
    output: str | Path,
    *,
    only: Sequence[str] = (),
    ablation: bool = False,
    progress: Progress | bool | None = None,
) -> Comparison:
    """Train the models of a run file on the same splits and compare them, without the other steps of a run.

    Parameters
    ----------
    run_file : path
        TOML with one or more ``[[models]]``.
    output : path
        Directory for the tables. A model that was trained there with the same settings and stars is not trained
        again, so that a comparison can be extended.
    only : sequence of str, optional
        Names of the models to compare; ``model`` is the run's own. Default: all.
    ablation : bool
        Also train the run's model without the surveys' own estimates of the labels (GSP-Phot), and a ridge
        regression on these estimates alone, as ``ablation = true`` in the run file does; no ``[[models]]`` are
        needed then.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    Comparison
        ``.figures`` and ``.costs`` are tables; the figures are also written to ``models.parquet`` and
        ``models.csv``.

    Raises
    ------
    StarscaleError
        Bad settings or input, or a library that is not installed: all problems at once, before the training.
        Also when another process runs in the folder.
    """
    config, base = load_run(run_file)
    if ablation:
        config = config.model_copy(update={"ablation": True})
    output = Path(output)
    if not (config.models or config.ablation):
        raise InputError(
            Problem(
                f"{run_file}: models", "is empty", "one or more [[models]]", "docs/comparing.md has an example."
            )
        )
    if (output / REPORT).exists():
        fix = "Give another folder; 'starscale run' compares the models of a run in its own folder."
        raise InputError(Problem(str(output), "is the folder of a run", "a folder for the comparison", fix))
    fetching = resolve(config, base, output)
    the_plan = with_ablation(plan(fetching.config, base, coming=fetching.files))
    entries_of(the_plan, only)
    with run_lock(output):
        steps = RunSteps(the_plan, output, str(run_file), progress_of(progress), fetching.jobs)
        steps.training_set()
        return steps.comparison(only)
