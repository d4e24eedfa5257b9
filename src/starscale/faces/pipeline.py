"""The verb `run`: from the tables that a run file names to a catalogue and a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.catalogue.labels import within_limits
from starscale.catalogue.sql import row_expression
from starscale.faces.ablation import with_ablation
from starscale.faces.compare_step import compare_step
from starscale.faces.comparing import Comparison, entries_of
from starscale.faces.fetch_run import Job, fetch_step, resolve
from starscale.faces.homogenize_step import LABELS, homogenize_step
from starscale.faces.importance import importance_step
from starscale.faces.prepare import (
    Plan,
    clean_lead,
    clean_photometry,
    join_all,
    label_stars,
    labels_plan_of,
    magnitude_column,
    match_photometry,
    members_in,
    plan,
    training_table,
)
from starscale.faces.report import write_report
from starscale.faces.runfile import load_run
from starscale.faces.splitting import cluster_path
from starscale.faces.steps import RunFolder, Say
from starscale.faces.tables import described, write
from starscale.faces.training import predict_with, settings, train_plan
from starscale.surveys import Survey
from starscale.use.evaluate import evaluate
from starscale.vocabulary.config import LabelsInput, Reference, Table
from starscale.vocabulary.errors import InputError, Problem, Problems, did_you_mean
from starscale.vocabulary.provenance import record

CATALOGUE, MATCHED, TRAINING, TEST = "catalogue.parquet", "matched.parquet", "training.parquet", "test.parquet"
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

    def __init__(self, the_plan: Plan, output: Path, run_file: str, say: Say, jobs: tuple[Job, ...] = ()) -> None:
        self.plan, self.config = the_plan, the_plan.config
        provenance = record(command=f"run {run_file}", mock=self.config.mock, settings=settings(the_plan))
        self.folder = RunFolder.open(output, provenance, say)
        for job in jobs:
            fetch_step(job, self.folder, the_plan.base, mock=self.config.mock)
        self.sums = self._input_checksums()
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
        return compare_step(self.folder, self.plan, TRAINING, only)

    def training_set(self) -> None:
        """Do the steps up to the table of labelled stars."""
        names = [survey.name for survey in self.plan.photometry]
        self._clean()
        for i, name in enumerate(names):
            self._photometry(i, name)
        self._labels()
        self._join(names)
        self._training()

    def _input_checksums(self) -> dict[str, str]:
        tables: list[Table | LabelsInput] = [
            self.config.catalogue,
            *self.config.catalogue.join,
            *self.config.photometry,
            *self.config.labels,
        ]
        paths = [t.path for t in tables if t.path is not None] + [r.path for r in self.config.compare]
        if len(self.config.labels) > 1:
            paths += labels_plan_of(self.plan).paths
        paths += self._cluster_paths()
        return {str(path): io.checksum(self.plan.path(path)) for path in dict.fromkeys(paths)}

    def _cluster_paths(self) -> list[Path]:
        path = cluster_path(self.config.split)
        return [path] if path is not None else []

    def _own(self, *names: str) -> dict[str, str]:
        """Files of this run with their checksums."""
        return {name: self.folder.checksum(name) for name in names}

    def _load(self, name: str) -> pl.DataFrame:
        return io.read(self.folder.file(name))

    def _write(self, table: pl.DataFrame, name: str, *surveys: Survey) -> None:
        known = described(*surveys)
        light = {k: v for k, v in self.folder.record.items() if k != "steps"}
        write(
            table,
            self.folder.file(name),
            columns={c: known[c] for c in table.columns if c in known},
            provenance={**light, "table": name},
        )

    @property
    def _clean_name(self) -> str:
        return f"clean_{self.plan.lead.name}.parquet"

    def _survey_settings(self, *surveys: Survey) -> list[Any]:
        return [survey.model_dump(mode="json") for survey in surveys]

    def _clean(self) -> None:
        table = self.config.catalogue

        def work() -> dict[str, Any]:
            cleaned = clean_lead(self.plan)
            self._write(cleaned.table, self._clean_name, self.plan.lead, *self.plan.joins)
            return {"attrition": asdict(cleaned.attrition)}

        paths = [table.path, *(t.path for t in table.join)]
        self.folder.step(
            f"clean {self.plan.lead.name}",
            settings=[table.model_dump(mode="json"), self._survey_settings(self.plan.lead, *self.plan.joins)],
            reads={str(p): self.sums[str(p)] for p in paths},
            writes=[self._clean_name],
            work=work,
        )

    def _photometry(self, i: int, name: str) -> None:
        entry, survey = self.config.photometry[i], self.plan.photometry[i]
        clean_name, pairs_name = f"clean_{name}.parquet", f"pairs_{name}.parquet"
        beside = {kind: f"{kind}_{name}.parquet" for kind in ("neighbours", "unmatched", "duplicates")}
        source = {str(entry.path): self.sums[str(entry.path)]}

        def clean_work() -> dict[str, Any]:
            cleaned = clean_photometry(self.plan, entry, survey)
            self._write(cleaned.table, clean_name, survey)
            return {"attrition": asdict(cleaned.attrition)}

        def match_work() -> dict[str, Any]:
            lead, table = self._load(self._clean_name), self._load(clean_name)
            matched = match_photometry(self.plan, lead, entry, table, survey)
            self._write(matched.pairs, pairs_name)
            for kind, file in beside.items():
                self._write(getattr(matched, kind), file)
            return {
                **asdict(matched.statistics),
                "n_kept": matched.pairs.height,
                "order": self.config.match.order,
                "pairs": self.config.match.pairs,
                "model": matched.model,
                "losses": dict(matched.unmatched["reason"].value_counts(sort=True).iter_rows()),
            }

        self.folder.step(
            f"clean {name}",
            settings=[entry.model_dump(mode="json"), self._survey_settings(survey)],
            reads=source,
            writes=[clean_name],
            work=clean_work,
        )
        lead_path = str(self.config.catalogue.path)
        self.folder.step(
            f"match {name}",
            settings=[self.config.match.model_dump(mode="json"), self._survey_settings(self.plan.lead, survey)],
            reads={**source, lead_path: self.sums[lead_path], **self._own(self._clean_name, clean_name)},
            writes=[pairs_name, *beside.values()],
            work=match_work,
        )

    def _labels(self) -> None:
        if len(self.plan.label_surveys) > 1:
            homogenize_step(self.folder, labels_plan_of(self.plan), self.sums, self.plan.lead)
        else:
            self._labels_of_one()

    def _labels_of_one(self) -> None:
        entry = self.config.labels[0]

        def work() -> dict[str, Any]:
            labelled = label_stars(self.plan, self._load(self._clean_name))
            self._write(labelled.labels, LABELS)
            return {"attrition": asdict(labelled.attrition), "counts": labelled.counts}

        paths = [str(self.config.catalogue.path), *([str(entry.path)] if entry.path else [])]
        self.folder.step(
            f"labels {self.plan.label_names}",
            settings=[
                entry.model_dump(mode="json"),
                self._survey_settings(self.plan.lead, *self.plan.label_surveys),
            ],
            reads={**{p: self.sums[p] for p in paths}, **self._own(self._clean_name)},
            writes=[LABELS],
            work=work,
        )

    def _join(self, names: list[str]) -> None:
        def work() -> dict[str, Any]:
            tables = [
                (self._load(f"pairs_{name}.parquet"), self._load(f"clean_{name}.parquet"), survey)
                for name, survey in zip(names, self.plan.photometry, strict=True)
            ]
            joined = join_all(self.plan, self._load(self._clean_name), tables)
            if joined.height == 0:
                raise InputError(
                    Problem(
                        "match", "no star is left after cuts and match", "one or more", "See the counts above."
                    )
                )
            self._write(joined, MATCHED, *self.plan.surveys)
            return {"stars": joined.height}

        files = [f"{kind}_{name}.parquet" for name in names for kind in ("pairs", "clean")]
        self.folder.step(
            "join",
            settings=self._survey_settings(*self.plan.surveys),
            reads=self._own(self._clean_name, *files),
            writes=[MATCHED],
            work=work,
        )

    def _training(self) -> None:
        def work() -> dict[str, Any]:
            table = training_table(self.plan, self._load(MATCHED), self._load(LABELS))
            self._write(table, TRAINING, *self.plan.surveys)
            return {"stars": table.height}

        self.folder.step(
            "training set",
            settings=[self.config.split.model_dump(mode="json"), self.config.seed, self.config.target],
            reads={**self._own(MATCHED, LABELS), **{str(p): self.sums[str(p)] for p in self._cluster_paths()}},
            writes=[TRAINING],
            work=work,
        )

    def _train(self) -> None:
        config = self.config

        def work() -> dict[str, Any]:
            light = {k: v for k, v in self.folder.record.items() if k != "steps"}
            trained = train_plan(
                self.plan,
                self._load(TRAINING),
                provenance={**light, "reads": self._own(TRAINING)},
                checkpoints=self.folder.file("checkpoints"),
            )
            trained.save(self.folder.file(MODEL))
            self._write(trained.test, TEST)
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
            reads=self._own(TRAINING),
            writes=[MODEL, TEST],
            work=work,
        )

    def _predict(self) -> None:
        def work() -> dict[str, Any]:
            files = (self.folder.file(name) for name in (MODEL, MATCHED, CATALOGUE))
            # What a run of other settings left unfinished is of no use to this one.
            counts = predict_with(*files, leftover="renew")
            return asdict(counts)

        self.folder.step("predict", settings=None, reads=self._own(MODEL, MATCHED), writes=[CATALOGUE], work=work)

    def _metrics(self) -> dict[str, Any]:
        train_step = self.folder.record["steps"]["train"]["result"]

        def work() -> dict[str, Any]:
            metrics = {
                "title": self.config.title,
                "mock": self.config.mock,
                "repeats": self.config.repeats,
                "split": train_step["split"],
                "test": train_step["figures"],
                "compare": [table for reference in self.config.compare for table in self._compare(reference)],
            }
            io.atomic_text(self.folder.file(METRICS), json.dumps(metrics, indent=1) + "\n")
            return metrics

        return self.folder.step(
            "evaluate",
            settings=[r.model_dump(mode="json") for r in self.config.compare],
            reads={
                **self._own(CATALOGUE, TRAINING, TEST),
                **{str(r.path): self.sums[str(r.path)] for r in self.config.compare},
            },
            writes=[METRICS],
            work=work,
        )

    def _compare(self, reference: Reference) -> list[dict[str, Any]]:
        """Compare stars that took no part in training with a reference: all of them, and those without a flag."""
        training = self._load(TRAINING)
        key = self.plan.lead.id.column
        known = reference_table(self.plan.path(reference.path), reference, training.schema[key])
        used = training.filter(pl.col("part") != "test")[key]
        catalogue = self._load(CATALOGUE).filter(~pl.col("source_id").is_in(used.implode()))
        both = catalogue.join(known, on="source_id", how="inner", suffix="_reference", maintain_order="left")
        labels = [name for name in self.config.target if name in reference.columns]
        truth = both.select(pl.col(f"{name}_reference").alias(name) for name in labels)
        matched = self._load(MATCHED)
        magnitude = magnitude_column(members_in(self.plan, matched.columns), matched.columns)
        brightness = None
        if magnitude is not None:
            sizes = matched.select(pl.col(key).alias("source_id"), pl.col(magnitude).alias("magnitude"))
            brightness = both.select("source_id").join(sizes, on="source_id", how="left", maintain_order="left")[
                "magnitude"
            ]
        tables = []
        for name, mask in {
            reference.name: pl.repeat(True, both.height, eager=True),
            f"{reference.name}, without a flag": both["flags"] == 0,
        }.items():
            chosen = brightness.filter(mask) if brightness is not None else None
            figures = evaluate(both.filter(mask), truth.filter(mask), labels, magnitude=chosen)
            rows = json.loads(figures.with_columns(pl.col(pl.Float64).fill_nan(None)).write_json())
            tables.append({"name": name, "stars": int(mask.sum()), "figures": rows})
        return tables

    def _report(self) -> None:
        self.folder.save()
        self.folder.say("report ...")
        write_report(self.folder.path)


def reference_table(path: Path, reference: Reference, id_type: pl.DataType) -> pl.DataFrame:
    """Read an external catalogue: `source_id` and its labels, null where no star can have the value.

    Raises
    ------
    InputError
        A column is missing, or the predicate `where` cannot be evaluated.
    """
    table = io.read(path)
    problems = Problems()
    for name in (reference.source_id, *reference.columns.values()):
        if name not in table.columns:
            problems.add(f"{path}: column {name!r}", "is missing", "", did_you_mean(name, table.columns))
    problems.raise_if_any()
    for name in reference.columns.values():
        if not table[name].dtype.is_numeric():
            problems.add(f"{path}: column {name!r}", f"is of type {table[name].dtype}", "numbers")
    if table[reference.source_id].dtype != id_type:
        kind = table[reference.source_id].dtype
        problems.add(
            f"{path}: column {reference.source_id!r}", f"is of type {kind}", f"identifiers of type {id_type}"
        )
    problems.raise_if_any()
    if reference.where is not None:
        table = table.filter(
            row_expression(reference.where, f"compare {reference.name!r}: where", "an SQL predicate")
        )
    return (
        table.select(
            pl.col(reference.source_id).alias("source_id"),
            *(pl.col(column).cast(pl.Float64).alias(label) for label, column in reference.columns.items()),
        )
        .with_columns(within_limits(list(reference.columns)))
        .filter(pl.col("source_id").is_not_null())
        .unique("source_id", keep="first", maintain_order=True)
    )
