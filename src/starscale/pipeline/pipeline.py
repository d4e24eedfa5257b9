"""The verb `run`: make a catalogue and a report from the tables that a run file names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from starscale import io
from starscale.io.progress import progress_of
from starscale.model.asked import asked_in
from starscale.model.model import Model
from starscale.pipeline.ablation import with_ablation
from starscale.pipeline.apply import CATALOGUE, apply_run
from starscale.pipeline.apply_steps import predict_step
from starscale.pipeline.compare_step import compare_step, own_step
from starscale.pipeline.comparing import Comparison, Trials, entries_of
from starscale.pipeline.engines.engine import LOCAL, Engine, check_engine, opened_engine
from starscale.pipeline.fetch_step import FetchJob, fetch_step, resolve
from starscale.pipeline.folder import RunFolder, run_lock
from starscale.pipeline.plan import RunPlan
from starscale.pipeline.planning import plan
from starscale.pipeline.prepare_training import TRAINING, TrainingPreparation, input_checksums
from starscale.pipeline.reference import compare_with_reference
from starscale.pipeline.runfile import load_any_run
from starscale.pipeline.tested import TEST, asked_step, coverage_step, importance_step
from starscale.pipeline.training import settings, train_plan
from starscale.reports.finished import FinishedRun
from starscale.vocabulary.accounting import RowAccount, accounts_of
from starscale.vocabulary.later import Later
from starscale.vocabulary.progress import SILENT, Progress
from starscale.vocabulary.provenance import record
from starscale.vocabulary.settings.run import ApplyConfig
from starscale.vocabulary.summary import Figures, Summarised, error_rows

page = Later("starscale.reports.page")

METRICS, REPORT, MODEL = "metrics.json", "report.html", "model"


@dataclass(frozen=True, slots=True, repr=False)
class RunResult(Summarised):
    """The folder and the metrics of a finished run."""

    folder: Path
    metrics: Mapping[str, Any]

    @property
    def catalogue(self) -> Path:
        """Path of the catalogue."""
        return FinishedRun.load(self.folder).catalogue

    @property
    def report(self) -> Path:
        """Path of the report."""
        return self.folder / REPORT

    @property
    def accounts(self) -> dict[str, RowAccount]:
        """Rows in, rows out and rows removed by reason, of every step."""
        return accounts_of(FinishedRun.load(self.folder).steps)

    def _key_figures(self) -> Figures:
        mock = " (MOCK stars)" if self.metrics.get("mock") else ""
        parts = dict(self.metrics.get("split") or {})
        rows: list[tuple[str, object]] = [("title", self.metrics.get("title") or "-"), ("folder", self.folder)]
        rows += [("stars", ", ".join(f"{n:,} {part}" for part, n in parts.items()))] if parts else []
        rows += error_rows(self.metrics.get("test") or ())
        rows += [
            (f"errors against {item['name']}", f"{item['stars']:,} stars")
            for item in self.metrics.get("compare") or ()
        ]
        return f"RunResult{mock}", [*rows, ("report", self.report)]


def run(
    run_file: str | Path,
    output: str | Path,
    *,
    engine: str = "local",
    client: Any = None,
    scheduler: str | None = None,
    workers: int | None = None,
    progress: Progress | bool | None = None,
) -> RunResult:
    """Do a whole run, which trains a model or applies a trained one.

    Steps whose inputs are unchanged since an earlier run in the same folder are skipped.

    Parameters
    ----------
    run_file : path
        TOML.
    output : path
        Directory for everything that the run writes.
    engine : {"local", "lsdb"}
        Where to clean, match, join and predict: in this process, or on a Dask cluster (extra ``lsdb``), which
        writes HATS catalogues with the same rows. The model is trained in this process.
    client : distributed.Client, optional
        Client of a running cluster, for the engine ``lsdb``.
    scheduler : str, optional
        Address of a running Dask scheduler, instead of `client`.
    workers : int, optional
        Worker processes to start on this machine, instead of `client`; default: one per core.
    progress : Progress or bool, optional
        Receives the progress; True: show it. Default: silent.

    Returns
    -------
    RunResult

    Raises
    ------
    StarscaleError
        Bad settings or input: all problems at once, before the first step. Also when another process runs in
        the folder.
    """
    cluster = {"client": client, "scheduler": scheduler, "workers": workers}
    check_engine(engine, **cluster)
    config, base = load_any_run(run_file)
    if isinstance(config, ApplyConfig):
        apply_run(config, base, Path(output), str(run_file), progress_of(progress), engine=engine, **cluster)
        return RunResult(Path(output), {"title": config.title})
    fetching = resolve(config, base, Path(output))
    the_plan = with_ablation(plan(fetching.config, base, coming=fetching.files))
    # Built here only to be checked before the first step.
    entries_of(the_plan)
    with run_lock(Path(output)), opened_engine(engine, Path(output), **cluster) as where:
        display = progress_of(progress)
        return RunSteps(the_plan, Path(output), str(run_file), display, fetching.jobs, where).everything()


class RunSteps:
    """The steps of one run, in order."""

    def __init__(
        self,
        the_plan: RunPlan,
        output: Path,
        run_file: str,
        progress: Progress = SILENT,
        jobs: tuple[FetchJob, ...] = (),
        engine: Engine = LOCAL,
    ) -> None:
        self.plan, self.config, self.engine = the_plan, the_plan.config, engine
        self.catalogue = f"{CATALOGUE}{engine.suffix}"
        provenance = record(command=f"run {run_file}", mock=self.config.mock, settings=settings(the_plan))
        provenance |= engine.about
        self.folder = RunFolder.open(output, provenance, progress)
        self.asked = asked_in(self.config.predict, self.config.target, the_plan.base)
        self._cost: dict[str, Any] | None = None  # of training the run's own model, if this run trained it
        for job in jobs:
            fetch_step(job, self.folder, the_plan.base, mock=self.config.mock)
        self.sums = input_checksums(the_plan, self.folder.sums)
        provenance_inputs = self.folder.record["inputs"]
        for path, digest in self.sums.items():
            provenance_inputs[path] = {"sha256": digest}
        self._tables = TrainingPreparation(the_plan, self.folder, self.sums, engine=engine)

    def everything(self) -> RunResult:
        """Do all steps and write the report."""
        self.training_set()
        self._train()
        self._predict()
        coverage_step(self.folder, self._model, self.asked.values(), MODEL, TRAINING)
        if self.config.importance.apply:
            importance_step(self.folder, self.config, MODEL, TRAINING)
        metrics = self._metrics()
        if self.config.models:
            self.comparison()
        self.folder.report(REPORT, lambda folder: page.report(folder))
        for file in self.folder.left_over():
            self.folder.progress.message(
                f"note: {file} was written by an earlier run with other settings and is not part of this one"
            )
        return RunResult(self.folder.path, metrics)

    def comparison(self, only: Sequence[str] = ()) -> Comparison:
        """Compare all models of the run, or `only` some, on the training set of an earlier step."""
        return compare_step(self.folder, self.plan, TRAINING, only, self._cost)

    def training_set(self) -> None:
        """Do the steps up to the training table."""
        self._tables.everything()

    def _train(self) -> None:
        config = self.config
        trials: list[Trials] = []

        def work() -> dict[str, Any]:
            trained = train_plan(
                self.plan,
                self.folder.read(TRAINING),
                provenance={**self.folder.provenance, "reads": self.folder.checksums(TRAINING)},
                checkpoints=self.folder.file("checkpoints"),
                progress=self.folder.progress,
                scored=bool(config.models),
            )
            trials.extend([trained.trials] if trained.trials else [])
            trained.save(self.folder.file(MODEL))
            self.folder.write(trained.test, TEST)
            for warning in trained.model.predictor.warnings:
                self.folder.progress.message(f"note: {warning}")
            return {
                "warnings": list(trained.model.predictor.warnings),
                "split": dict(trained.counts),
                "figures": json.loads(trained.figures.write_json()),
                "missing_bands": trained.model.information["missing_bands"],
                "label_scale": trained.model.label_scale.document() if trained.model.label_scale else None,
                "label_noise": trained.model.label_noise.document() if trained.model.label_noise else None,
            }

        self.folder.step(
            "train",
            settings=[
                config.model.model_dump(mode="json"),
                config.features.model_dump(mode="json"),
                self.plan.feature_set.model_dump(mode="json"),
                config.split.model_dump(mode="json"),
                [config.seed, config.repeats, config.target, config.title, config.mock],
            ],
            reads=self.folder.checksums(TRAINING),
            writes=[MODEL, TEST],
            work=work,
        )
        # Recorded before the prediction, which may take hours, so that it survives an interruption.
        self._cost = own_step(self.folder, self.plan, TRAINING, trials[0]) if trials else None

    def _model(self) -> Model:
        return replace(Model.load(self.folder.file(MODEL)), asked=self.asked)

    def _predict(self) -> None:
        predict_step(
            self.folder,
            self._model,
            self.folder.file(MODEL),
            self._tables.matched_file,
            self.catalogue,
            reads=self.folder.checksums(MODEL),
            asked=self.asked,
            engine=self.engine,
        )

    def _metrics(self) -> dict[str, Any]:
        train_step = self.folder.record["steps"]["train"]["result"]
        figures, repeats = train_step["figures"], self.config.repeats
        if asked := self.asked.values():
            figures = asked_step(self.folder, self._model, self.asked.document(), MODEL, TRAINING)
            repeats = 1

        def work() -> dict[str, Any]:
            metrics = {
                "title": self.config.title,
                "mock": self.config.mock,
                "repeats": repeats,
                "asked": asked,
                "split": train_step["split"],
                "test": figures,
                "compare": [
                    table
                    for reference in self.config.compare
                    for table in compare_with_reference(
                        self.plan, self.folder, self.catalogue, self._tables.matched_file, reference
                    )
                ],
            }
            io.atomic_text(self.folder.file(METRICS), json.dumps(metrics, indent=1) + "\n")
            return metrics

        return self.folder.step(
            "evaluate",
            settings=[*(r.model_dump(mode="json") for r in self.config.compare), *([asked] if asked else [])],
            reads={
                **self.folder.checksums(self.catalogue, TRAINING, TEST),
                **{str(r.path): self.sums[str(r.path)] for r in self.config.compare},
            },
            writes=[METRICS],
            work=work,
        )
