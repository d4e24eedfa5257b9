"""The steps of a run up to the training table: those of its tables, and those of the labels."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.crossmatch.linking import crosswalk_messages
from starscale.features.split_rule import cluster_path
from starscale.pipeline.folder import RunFolder
from starscale.pipeline.homogenize_step import LABELS, homogenize_step
from starscale.pipeline.plan import RunPlan
from starscale.pipeline.planning import labels_plan_of
from starscale.pipeline.prepare import TablePreparation, surveys_as_data, table_checksums
from starscale.pipeline.training_set import label_stars, training_account, training_table
from starscale.vocabulary.progress import SILENT, Progress

TRAINING = "training.parquet"


def input_checksums(plan: RunPlan, sums: io.KnownSums | None = None) -> dict[str, str]:
    """Return the checksums of all tables that a run reads, by their path in the run file.

    Those that `sums` knows are not read for it.
    """
    config = plan.config
    paths = [r.path for r in config.compare]
    paths += [item.path for item in plan.crosswalks if item.path is not None]
    if len(config.labels) > 1:
        paths += labels_plan_of(plan).paths
    if (clusters := cluster_path(config.split)) is not None:
        paths.append(clusters)
    return table_checksums(plan, paths, sums)


@dataclass(frozen=True)
class TrainingPreparation(TablePreparation):
    """The steps that make the table of stars, assign labels to them and select those with labels."""

    plan: RunPlan

    def everything(self) -> None:
        """Do all steps; the last step writes the training table."""
        self.pairs()
        self._labels()
        self.join()
        self._training()

    def _labels(self) -> None:
        if len(self.plan.label_surveys) > 1:
            homogenize_step(self.folder, labels_plan_of(self.plan), self.sums, self.plan.lead)
        else:
            self._labels_of_one()

    def _labels_of_one(self) -> None:
        entry = self.plan.config.labels[0]

        def work() -> dict[str, Any]:
            labelled = label_stars(self.plan, self.folder.file(self.lead_file))
            self.folder.write(labelled.labels, LABELS)
            for text in crosswalk_messages(labelled.crosswalks):
                self.folder.progress.message(text)
            told = {"crosswalks": labelled.crosswalks} if labelled.crosswalks else {}
            return {
                "attrition": asdict(labelled.attrition),
                "counts": labelled.counts,
                "account": labelled.account.document(),
                **told,
            }

        walks = self.plan.crosswalks
        given = [self.plan.config.catalogue.path, entry.path, *(item.path for item in walks)]
        paths = [str(path) for path in given if path is not None]
        self.folder.step(
            f"labels {self.plan.label_names}",
            settings=[
                entry.model_dump(mode="json"),
                surveys_as_data(self.plan.lead, *self.plan.label_surveys),
                [item.settings() for item in walks],
            ],
            reads={**{p: self.sums[p] for p in paths}, **self.folder.checksums(self.lead_file)},
            writes=[LABELS],
            work=work,
        )

    def _training(self) -> None:
        config = self.plan.config

        def work() -> dict[str, Any]:
            labels = self.folder.read(LABELS)
            table = training_table(self.plan, self.folder.file(self.matched_file), labels)
            account = training_account(self.plan, labels, table)
            self.folder.write(table, TRAINING, *self.plan.surveys)
            if config.sample.max_stars == table.height:
                text = f"note: a sample of {table.height:,} stars with labels is used (max_stars)"
                self.folder.progress.message(text)
            return {"stars": table.height, "account": account.document()}

        clusters = cluster_path(config.split)
        self.folder.step(
            "training set",
            settings=[
                config.split.model_dump(mode="json"),
                config.sample.model_dump(mode="json"),
                config.seed,
                config.target,
            ],
            reads={
                **self.folder.checksums(self.matched_file, LABELS),
                **({str(clusters): self.sums[str(clusters)]} if clusters is not None else {}),
            },
            writes=[TRAINING],
            work=work,
        )


def prepare(plan: RunPlan, near: Path | None = None, progress: Progress = SILENT) -> pl.DataFrame:
    """Make the training table, and keep no other file.

    Parameters
    ----------
    plan : RunPlan
    near : Path, optional
        A file or folder next to which the temporary tables are written; default: the system's temporary folder.
    progress : Progress
    """
    with ExitStack() as stack:
        folder = (
            Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="starscale-")))
            if near is None
            else stack.enter_context(io.work_folder(near))
        )
        run = RunFolder(folder, progress, {"mock": plan.config.mock, "steps": {}})
        TrainingPreparation(plan, run, input_checksums(plan)).everything()
        return run.read(TRAINING)
