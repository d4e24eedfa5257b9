"""The verb `apply`: from catalogues that are not matched yet, and a trained model, to a catalogue of labels."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.cluster.engine import refuse_other_than_hats
from starscale.io.hats.catalogue import INDEX
from starscale.io.progress import progress_of
from starscale.model.api import asked_of, asking, opened_model
from starscale.model.asked import Prior, asked_in
from starscale.model.model import Model
from starscale.model.recipe import Recipe
from starscale.pipeline.apply_plan import ApplyPlan, GivenTable, check_given, given_in, plan_apply, recipe_of_model
from starscale.pipeline.apply_steps import ApplySteps
from starscale.pipeline.engines.engine import check_engine, opened_engine
from starscale.pipeline.fetch_step import Fetching, fetch_step, resolve
from starscale.pipeline.folder import RunFolder, run_lock
from starscale.reports.finished import REPORT_FILE, FinishedRun, mapping
from starscale.surveys import Survey, load_survey
from starscale.tables.api import AnyTable, refuse_same, write
from starscale.tables.cuts import Attrition
from starscale.vocabulary.accounting import RowAccount, accounts_of
from starscale.vocabulary.errors import Problems, did_you_mean
from starscale.vocabulary.progress import Progress
from starscale.vocabulary.provenance import record
from starscale.vocabulary.settings.predict import TRAINING
from starscale.vocabulary.settings.run import ApplyConfig, TablesConfig

#: The catalogue of a run, whose suffix is that of the engine.
CATALOGUE = "catalogue"


@dataclass(frozen=True, repr=False)
class Applied:
    """Result of :func:`apply`.

    Attributes
    ----------
    rows, predicted : int
        Stars of the catalogue, and those with a prediction.
    flags : mapping of str to int
        Number of stars that carry each flag, by its name.
    attrition : mapping of str to Attrition
        Rows that the cuts removed, by survey.
    pairs : mapping of str to int
        Pairs of the match with each photometric survey.
    warnings : tuple of str
        Reasons to expect worse results, such as a survey that was not given.
    mock : bool
        Whether the data, or the stars that the model was trained on, are simulated.
    table : polars.DataFrame or None
        The catalogue; None when it was written to `output`.
    accounts : mapping of str to RowAccount
        Rows in, rows out and rows removed by reason, of every step.
    output, folder, report : Path or None
        The catalogue, the folder of the run, and its report; None when nothing was written.
    """

    rows: int
    predicted: int
    flags: Mapping[str, int]
    attrition: Mapping[str, Attrition]
    pairs: Mapping[str, int]
    warnings: tuple[str, ...] = ()
    mock: bool = False
    table: pl.DataFrame | None = field(default=None, compare=False)
    output: Path | None = None
    folder: Path | None = None
    accounts: Mapping[str, RowAccount] = field(default_factory=dict)

    @property
    def report(self) -> Path | None:
        """The page that says how unlike the training stars these are."""
        return None if self.folder is None else self.folder / REPORT_FILE

    def __repr__(self) -> str:
        place = "in memory" if self.output is None else str(self.output)
        mock = ", MOCK" if self.mock else ""
        return f"Applied({self.predicted:,} of {self.rows:,} stars predicted{mock}, {place})"


def apply(
    model: Model | str | Path,
    tables: Sequence[AnyTable | tuple[AnyTable, str | Path | Survey]],
    output: str | Path | None = None,
    *,
    clean: bool = False,
    rename: Mapping[str, Mapping[str, str]] | None = None,
    folder: str | Path | None = None,
    below: Mapping[str, Sequence[float]] | None = None,
    prior: Prior = TRAINING,
    slopes: bool = True,
    engine: str = "local",
    client: Any = None,
    scheduler: str | None = None,
    workers: int | None = None,
    lazy: bool = False,
    progress: Progress | bool | None = None,
) -> Applied | Any:
    """Apply a trained model to catalogues: clean, match, join and predict them as its bundle says.

    The steps are those of :func:`run`, so the values are those of :func:`predict` for the same stars. Tables on
    disk may be of any size. An interrupted call resumes when it is repeated.

    Parameters
    ----------
    model : Model, path or name
        A model, the path of its bundle, or the name of a model. It must know the catalogues that it was trained
        on: a bundle of :func:`run` or :func:`train` does.
    tables : sequence of table, or of (table, survey)
        The leading catalogue and those that are joined to it, in any order. The survey of a table may be left out
        where its columns or its provenance tell it.
    output : path, optional
        Write the catalogue to this file instead of returning it.
    clean : bool
        Whether the quality cuts of the model remove rows. Otherwise a star that fails one carries the flag
        ``CUT_FAILED``.
    rename : mapping of str to mapping, optional
        By survey: names in the table, by column of the survey.
    folder : path, optional
        Folder for the tables between, the record and the report; default: ``<output>.run``.
    below : mapping of str to sequence of float, optional
        Thresholds of the labels, as for :func:`predict`.
    prior : str, path, table or mapping
        What is known of the labels before, as for :func:`predict`.
    slopes : bool
        Whether the slopes of the labels with E(B-V) are computed, as for :func:`predict`.
    engine : {"local", "lsdb"}
        Where to clean, match, join and predict: in this process, or by LSDB on a Dask cluster (extra ``lsdb``),
        with the same rows and values. Catalogues that are not HATS are put on partitions first. `output` is HATS.
    client : distributed.Client, optional
        Client of a running cluster, for the engine ``lsdb``.
    scheduler : str, optional
        Address of a running Dask scheduler, instead of `client`.
    workers : int, optional
        Worker processes to start on this machine, instead of `client`; default: one per core.
    lazy : bool
        Return an LSDB catalogue whose partitions are predicted when they are computed. Only what must see the
        whole sky, up to the table of stars, is done at once, by the engine ``lsdb``, in `folder`, which must stay.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    Applied, or lsdb.catalog.Catalog if `lazy`

    Raises
    ------
    StarscaleError
        A model without a recipe, a table of another survey or release, a missing table or column; all problems at
        once, before the first step. No star left after cuts and match.
    """
    engine, cluster = "lsdb" if lazy else engine, {"client": client, "scheduler": scheduler, "workers": workers}
    given = [entry if isinstance(entry, tuple) else (entry, None) for entry in tables]
    _check_outputs(output, folder, given, lazy=lazy, hats=check_engine(engine, **cluster))
    loaded, bundle = opened_model(model)
    loaded = asking(loaded, below, prior, slopes=slopes)
    names = _checked_names(rename or {}, recipe_of_model(loaded, bundle))
    with ExitStack() as stack:
        place = _place(output, folder) or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="starscale-"))
        )
        on_disk = [
            GivenTable(_on_disk(table, place / f"table{number}.parquet"), survey)
            for number, (table, survey) in enumerate(given, 1)
        ]
        plan = plan_apply(loaded, bundle, on_disk, Path(), title=_title(loaded), clean=clean, rename=names)
        stack.enter_context(run_lock(place))
        where = stack.enter_context(opened_engine(engine, place, **cluster))
        made = RunFolder.open(place, {**_record("apply", plan), **where.about}, progress_of(progress))
        steps = ApplySteps(plan, made, Path(output or place / f"{CATALOGUE}{where.suffix}"), where)
        if lazy:
            return steps.lazily()
        steps.everything()
        return _result(place, plan, output, _place(output, folder))


def _check_outputs(
    output: str | Path | None,
    folder: str | Path | None,
    given: Sequence[tuple[AnyTable, Any]],
    *,
    lazy: bool,
    hats: bool,
) -> None:
    """Check that the output suits the engine, and that a lazy catalogue has none, but a folder."""
    problems = Problems()
    if lazy and output is not None:
        fix = "Leave it out; the catalogue writes itself: write_catalog(...)."
        problems.add("output", "is given with lazy=True", "a catalogue that is not computed yet", fix)
    if lazy and folder is None:
        fix = "Give the folder; it must stay as long as the catalogue is used."
        problems.add("folder", "is missing with lazy=True", "a place for the table of stars", fix)
    problems.raise_if_any()
    if output is not None:
        refuse_same(output, *(table for table, _ in given))
        if hats:
            refuse_other_than_hats(output)
        io.check_target(Path(output))


def _place(output: str | Path | None, folder: str | Path | None) -> Path | None:
    """Return the folder of the run; None where nothing is to be kept."""
    return Path(folder) if folder is not None else None if output is None else Path(f"{output}.run")


@dataclass(frozen=True)
class ApplyRun:
    """A run file that applies a model, with the model, what is fetched first, and all tables."""

    config: ApplyConfig
    base: Path
    model: Model
    bundle: Path | None
    fetching: Fetching[TablesConfig]
    given: tuple[GivenTable, ...]

    @classmethod
    def of(cls, config: ApplyConfig, base: Path, output: Path) -> ApplyRun:
        """Load what the run file names, and check what can be checked before tables are fetched.

        Raises
        ------
        InputError
            Everything that is wrong, at once.
        """
        model, bundle = opened_model(_bundle_of(config, base))
        model = asked_of(model, asked_in(config.predict, model.labels, base))
        recipe, fetching = recipe_of_model(model, bundle), resolve(config.tables, base, output)
        companions = {name for job in fetching.jobs for name in job.apart.values()}
        # The archive may have companions of the leading table that the model does not know.
        given = tuple(
            table
            for table in given_in(fetching.config)
            if table.path not in fetching.files
            or table.path.name not in companions
            or load_survey(str(table.survey), base=base).name in recipe.by_name
        )
        check_given(model, bundle, given, base, fetching.files)
        return cls(config, base, model, bundle, fetching, given)

    def plan(self) -> ApplyPlan:
        """Plan the run; every table must be there."""
        config = self.config
        return plan_apply(
            self.model,
            self.bundle,
            self.given,
            self.base,
            title=config.title,
            mock=config.mock,
            clean=config.model.clean,
        )

    @property
    def checked(self) -> ApplyPlan | None:
        """The plan, or None where a table is still to be fetched."""
        return None if self.fetching.jobs else self.plan()


def apply_run(
    config: ApplyConfig,
    base: Path,
    output: Path,
    run_file: str,
    progress: Progress,
    *,
    engine: str,
    **cluster: Any,
) -> None:
    """Do a run that applies a trained model, in its folder; `cluster` is as for :func:`opened_engine`."""
    run = ApplyRun.of(config, base, output)
    # Without a table to fetch, everything is checked before the folder is made.
    plan = run.checked
    with run_lock(output), opened_engine(engine, output, **cluster) as where:
        made = RunFolder.open(output, record(command=f"run {run_file}", mock=config.mock), progress)
        for job in run.fetching.jobs:
            fetch_step(job, made, base, mock=config.mock)
        plan = plan or run.plan()
        made.record.update({**_record(f"run {run_file}", plan), **where.about})
        ApplySteps(plan, made, output / f"{CATALOGUE}{where.suffix}", where).everything()


def _bundle_of(config: ApplyConfig, base: Path) -> Path | str:
    """Return the bundle that a run file names: a path from its folder, or the name of a model."""
    path = base / config.model.bundle
    return path if path.exists() or "/" in config.model.bundle else config.model.bundle


def _title(model: Model) -> str:
    return f"{model.information.get('title') or 'a model'}, applied"


def _checked_names(rename: Mapping[str, Mapping[str, str]], recipe: Recipe) -> Mapping[str, Mapping[str, str]]:
    problems = Problems()
    known = list(recipe.by_name)
    for name in rename:
        if name not in known:
            fix = did_you_mean(name, known)
            problems.add("rename", f"{name!r} is no survey of the model", f"one of {', '.join(known)}", fix)
    problems.raise_if_any()
    return rename


def _on_disk(table: AnyTable, target: Path) -> Path:
    """Return the path of a table; one in memory is written to `target`."""
    if isinstance(table, str | Path):
        return Path(table)
    target.parent.mkdir(parents=True, exist_ok=True)
    write(table, target)
    return target


def _record(command: str, plan: ApplyPlan) -> dict[str, object]:
    config = plan.tables.config
    return record(
        command=command, mock=config.mock, settings={**config.model_dump(mode="json"), "clean": plan.clean}
    )


def _result(place: Path, plan: ApplyPlan, output: str | Path | None, folder: Path | None) -> Applied:
    """Return the result of the run in a folder, with the catalogue unless it was written to `output`."""
    finished = FinishedRun.load(place)
    predicted = finished.result("predict")
    return Applied(
        int(predicted["rows"]),
        int(predicted["predicted"]),
        dict(mapping(predicted["flags"])),
        finished.attritions("clean"),
        {survey: int(result["n_kept"]) for survey, result in finished.results("match").items()},
        plan.warnings,
        plan.tables.config.mock,
        # The index of HATS is for files.
        io.read(finished.catalogue).drop(INDEX, strict=False) if output is None else None,
        None if output is None else Path(output),
        folder,
        accounts_of(finished.steps),
    )
