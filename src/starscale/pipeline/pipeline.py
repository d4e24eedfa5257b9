"""The verb `run`: from the tables that a run file names to a catalogue and a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starscale import io
from starscale.model.model import Model
from starscale.model.predict import predict_file
from starscale.pipeline.ablation import with_ablation
from starscale.pipeline.compare_step import compare_step, own_step
from starscale.pipeline.comparing import Comparison, Trials, entries_of
from starscale.pipeline.fetch_step import FetchJob, fetch_step, resolve
from starscale.pipeline.folder import RunFolder, Say
from starscale.pipeline.importance_step import importance_step
from starscale.pipeline.plan import RunPlan
from starscale.pipeline.planning import plan
from starscale.pipeline.prepare import MATCHED, TRAINING, TablePreparation, input_checksums
from starscale.pipeline.reference import compare_with_reference
from starscale.pipeline.runfile import load_run
from starscale.pipeline.training import settings, train_plan
from starscale.reports.page import report
from starscale.vocabulary.provenance import record

CATALOGUE, TEST = "catalogue.parquet", "test.parquet"
METRICS, REPORT, MODEL = "metrics.json", "report.html", "model"


@dataclass(frozen=True, slots=True)
class RunResult:
    """Where a run left its results, and its metrics."""

    folder: Path
    metrics: Mapping[str, Any]

    @property
    def catalogue(self) -> Path:
        """The catalogue."""
        return self.folder / CATALOGUE

    @property
    def report(self) -> Path:
        """The report."""
        return self.folder / REPORT


def run(run_file: str | Path, output: str | Path, *, say: Say = lambda _: None) -> RunResult:
    """Do a whole run; steps whose inputs did not change since the last time are not done again.

    Parameters
    ----------
    run_file : path
        TOML.
    output : path
        Directory for everything that the run writes.
    say : callable, optional
        Told about every step.

    Raises
    ------
    StarscaleError
        Bad settings or input, all problems at once, before the expensive steps start.
    """
    config, base = load_run(run_file)
    fetching = resolve(config, base, Path(output))
    the_plan = with_ablation(plan(fetching.config, base, coming=fetching.files))
    # Built here only to be checked, before anything expensive.
    entries_of(the_plan)
    return RunSteps(the_plan, Path(output), str(run_file), say, fetching.jobs).everything()


class RunSteps:
    """The steps of one run, in order."""

    def __init__(
        self, the_plan: RunPlan, output: Path, run_file: str, say: Say, jobs: tuple[FetchJob, ...] = ()
    ) -> None:
        self.plan, self.config = the_plan, the_plan.config
        provenance = record(command=f"run {run_file}", mock=self.config.mock, settings=settings(the_plan))
        self.folder = RunFolder.open(output, provenance, say)
        self._cost: dict[str, Any] | None = None  # of the run's own trainings, if this run did them
        for job in jobs:
            fetch_step(job, self.folder, the_plan.base, mock=self.config.mock)
        self.sums = input_checksums(the_plan)
        provenance_inputs = self.folder.record["inputs"]
        for path, digest in self.sums.items():
            provenance_inputs[path] = {"sha256": digest}

    def everything(self) -> RunResult:
        """Do all steps and write the report."""
        self.training_set()
        self._train()
        self._predict()
        if self.config.importance.apply:
            importance_step(self.folder, self.config, MODEL, TRAINING)
        metrics = self._metrics()
        if self.config.models:
            self.comparison()
        self._report()
        for file in self.folder.left_over():
            self.folder.say(f"note: {file} is left from an earlier run with other settings; nothing here uses it")
        return RunResult(self.folder.path, metrics)

    def comparison(self, only: Sequence[str] = ()) -> Comparison:
        """Compare the models of the run, all of them or `only` some; needs the training set."""
        return compare_step(self.folder, self.plan, TRAINING, only, self._cost)

    def training_set(self) -> None:
        """Do the steps up to the table of labelled stars."""
        TablePreparation(self.plan, self.folder, self.sums).everything()

    def _train(self) -> None:
        config = self.config
        trials: list[Trials] = []

        def work() -> dict[str, Any]:
            trained = train_plan(
                self.plan,
                self.folder.read(TRAINING),
                provenance={**self.folder.provenance, "reads": self.folder.checksums(TRAINING)},
                checkpoints=self.folder.file("checkpoints"),
                scored=bool(config.models),
            )
            trials.extend([trained.trials] if trained.trials else [])
            trained.save(self.folder.file(MODEL))
            self.folder.write(trained.test, TEST)
            for warning in trained.model.predictor.warnings:
                self.folder.say(f"note: {warning}")
            return {
                "warnings": list(trained.model.predictor.warnings),
                "split": dict(trained.counts),
                "figures": json.loads(trained.figures.write_json()),
                "missing_bands": trained.model.information["missing_bands"],
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
        # At once: predicting may take hours, and what is written survives a kill.
        self._cost = own_step(self.folder, self.plan, TRAINING, trials[0]) if trials else None

    def _predict(self) -> None:
        def work() -> dict[str, Any]:
            bundle, table, output = (self.folder.file(name) for name in (MODEL, MATCHED, CATALOGUE))
            # An unfinished catalogue of other settings is of no use to this run.
            found = predict_file(Model.load(bundle), table, output, bundle=bundle, leftover="renew")
            return {name: value for name, value in asdict(found).items() if name != "table"}

        self.folder.step(
            "predict", settings=None, reads=self.folder.checksums(MODEL, MATCHED), writes=[CATALOGUE], work=work
        )

    def _metrics(self) -> dict[str, Any]:
        train_step = self.folder.record["steps"]["train"]["result"]

        def work() -> dict[str, Any]:
            metrics = {
                "title": self.config.title,
                "mock": self.config.mock,
                "repeats": self.config.repeats,
                "split": train_step["split"],
                "test": train_step["figures"],
                "compare": [
                    table
                    for reference in self.config.compare
                    for table in compare_with_reference(self.plan, self.folder, CATALOGUE, reference)
                ],
            }
            io.atomic_text(self.folder.file(METRICS), json.dumps(metrics, indent=1) + "\n")
            return metrics

        return self.folder.step(
            "evaluate",
            settings=[r.model_dump(mode="json") for r in self.config.compare],
            reads={
                **self.folder.checksums(CATALOGUE, TRAINING, TEST),
                **{str(r.path): self.sums[str(r.path)] for r in self.config.compare},
            },
            writes=[METRICS],
            work=work,
        )

    def _report(self) -> None:
        self.folder.save()
        self.folder.say("report ...")
        report(self.folder.path)
