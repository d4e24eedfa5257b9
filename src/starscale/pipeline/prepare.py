"""The steps of a run up to the training table; no photometric catalogue is held in memory.

Every step reads the files of the steps before it and writes its own files, piece by piece.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from starscale import io
from starscale.crossmatch.api import Matched, match_files
from starscale.crossmatch.join import CleanSides, Counterparts, join_on_disk, keep_clean_pairs
from starscale.crossmatch.linking import crosswalk_messages
from starscale.crossmatch.on_disk import Outputs
from starscale.features.split_rule import cluster_path
from starscale.pipeline.folder import RunFolder
from starscale.pipeline.homogenize_step import LABELS, homogenize_step
from starscale.pipeline.plan import RunPlan, tables_of
from starscale.pipeline.planning import labels_plan_of
from starscale.pipeline.training_set import label_stars, training_table
from starscale.surveys import Survey
from starscale.surveys.derived import underivable
from starscale.tables.api import described
from starscale.tables.clean import clean_file
from starscale.tables.columns.typed import Discarded
from starscale.tables.standardise import require
from starscale.tables.stream import columns_of
from starscale.vocabulary.errors import InputError, Problem
from starscale.vocabulary.progress import SILENT, Progress
from starscale.vocabulary.settings.run import Cuts

MATCHED, TRAINING = "matched.parquet", "training.parquet"


def input_checksums(plan: RunPlan) -> dict[str, str]:
    """Return the checksums of all tables that a run reads, by their path in the run file."""
    config = plan.config
    paths = [t.path for t in tables_of(config) if t.path is not None] + [r.path for r in config.compare]
    paths += [item.path for item in plan.crosswalks if item.path is not None]
    if len(config.labels) > 1:
        paths += labels_plan_of(plan).paths
    if (clusters := cluster_path(config.split)) is not None:
        paths.append(clusters)
    return {str(path): io.checksum(plan.path(path)) for path in dict.fromkeys(paths)}


@dataclass(frozen=True)
class TablePreparation:
    """The steps that apply cuts, match, assign labels and join.

    Attributes
    ----------
    plan : RunPlan
    folder : RunFolder
    sums : mapping of str to str
        Checksums of the tables that the run reads, by their path in the run file.
    """

    plan: RunPlan
    folder: RunFolder
    sums: Mapping[str, str]

    def everything(self) -> None:
        """Do all steps; the last step writes the training table."""
        self._clean_lead()
        for number, survey in enumerate(self.plan.photometry):
            self._clean(number, survey)
            self._match(number, survey)
        self._labels()
        self._join()
        self._training()

    @property
    def _lead(self) -> str:
        return _clean_name(self.plan.lead)

    def _clean_lead(self) -> None:
        table, plan = self.plan.config.catalogue, self.plan
        joined = plan.joined_tables

        def work() -> dict[str, Any]:
            source = plan.path(table.path)
            found = [
                column for path, survey in [(source, plan.lead), *joined] for column in columns_of(path, survey)
            ]
            _require_magnitudes(found, plan.lead, str(table.path))
            return self._cut(source, plan.lead, joined, table.cuts)

        paths = [table.path, *(t.path for t in table.join)]
        self.folder.step(
            f"clean {plan.lead.name}",
            settings=[table.model_dump(mode="json"), _settings(plan.lead, *plan.joins)],
            reads={str(p): self.sums[str(p)] for p in paths},
            writes=[self._lead],
            work=work,
        )

    def _clean(self, number: int, survey: Survey) -> None:
        entry = self.plan.config.photometry[number]

        def work() -> dict[str, Any]:
            source = self.plan.path(entry.path)
            _require_magnitudes(columns_of(source, survey), survey, str(entry.path))
            return self._cut(source, survey, [], entry.cuts)

        self.folder.step(
            f"clean {survey.name}",
            settings=[entry.model_dump(mode="json"), _settings(survey)],
            reads={str(entry.path): self.sums[str(entry.path)]},
            writes=[_clean_name(survey)],
            work=work,
        )

    def _cut(self, source: Path, survey: Survey, joined: list[tuple[Path, Survey]], cuts: Cuts) -> dict[str, Any]:
        name, progress = _clean_name(survey), self.folder.progress
        provenance = {**self.folder.provenance, "table": name}
        target = self.folder.file(name)
        discarded = Discarded()
        attrition = clean_file(
            source, target, survey, joined, cuts, lambda _: provenance, progress=progress, discarded=discarded
        )
        return {"attrition": asdict(attrition), "discarded": discarded.document()}

    def _match(self, number: int, survey: Survey) -> None:
        plan, entry = self.plan, self.plan.config.photometry[number]
        settings = plan.config.match
        files = {
            kind: f"{kind}_{survey.name}.parquet" for kind in ("pairs", "neighbours", "unmatched", "duplicates")
        }
        clean = [self._lead, _clean_name(survey)]

        def work() -> dict[str, Any]:
            outputs = {kind: self.folder.file(name) for kind, name in files.items()}
            clean_first = settings.order == "clean_first"
            found = (
                self._match_clean(survey, outputs) if clean_first else self._match_whole(number, survey, outputs)
            )
            return {
                **asdict(found.statistics),
                "n_kept": found.n_pairs,
                "order": settings.order,
                "pairs": settings.pairs,
                "model": found.model,
                "losses": dict(sorted(found.losses.items(), key=lambda loss: -loss[1])),
            }

        paths = [str(plan.config.catalogue.path), str(entry.path)]
        self.folder.step(
            f"match {survey.name}",
            settings=[settings.model_dump(mode="json"), _settings(plan.lead, survey)],
            reads={**{path: self.sums[path] for path in paths}, **self.folder.checksums(*clean)},
            writes=list(files.values()),
            work=work,
        )

    def _match_clean(self, survey: Survey, outputs: dict[str, Path]) -> Matched:
        """Match the rows of both catalogues that passed the cuts."""
        paths = [self.folder.file(name) for name in (self._lead, _clean_name(survey))]
        surveys, settings = [self.plan.lead, survey], self.plan.config.match
        return match_files(paths, surveys, settings, Outputs(**outputs), self.folder.provenance)

    def _match_whole(self, number: int, survey: Survey, outputs: dict[str, Path]) -> Matched:
        """Match the whole catalogues, and remove the pairs of rows that did not pass the cuts."""
        plan, config = self.plan, self.plan.config
        paths = [plan.path(config.catalogue.path), plan.path(config.photometry[number].path)]
        lead, external = (self.folder.file(name) for name in (self._lead, _clean_name(survey)))
        with io.work_folder(outputs["pairs"]) as folder:
            whole = {kind: folder / f"{kind}.parquet" for kind in ("pairs", "unmatched")}
            wanted = Outputs(**{**outputs, **whole})
            found = match_files(paths, [plan.lead, survey], config.match, wanted, self.folder.provenance)
            kept, losses = keep_clean_pairs(
                whole,
                CleanSides(lead, plan.lead.id.column, external, survey.id.column),
                found.statistics.mode,
                outputs,
                columns=described(),
                metadata=self.folder.metadata(outputs["pairs"].name),
            )
        return replace(found, n_pairs=kept, losses=losses)

    def _labels(self) -> None:
        if len(self.plan.label_surveys) > 1:
            homogenize_step(self.folder, labels_plan_of(self.plan), self.sums, self.plan.lead)
        else:
            self._labels_of_one()

    def _labels_of_one(self) -> None:
        entry = self.plan.config.labels[0]

        def work() -> dict[str, Any]:
            labelled = label_stars(self.plan, self.folder.file(self._lead))
            self.folder.write(labelled.labels, LABELS)
            for text in crosswalk_messages(labelled.crosswalks):
                self.folder.progress.message(text)
            told = {"crosswalks": labelled.crosswalks} if labelled.crosswalks else {}
            return {"attrition": asdict(labelled.attrition), "counts": labelled.counts, **told}

        walks = self.plan.crosswalks
        given = [self.plan.config.catalogue.path, entry.path, *(item.path for item in walks)]
        paths = [str(path) for path in given if path is not None]
        self.folder.step(
            f"labels {self.plan.label_names}",
            settings=[
                entry.model_dump(mode="json"),
                _settings(self.plan.lead, *self.plan.label_surveys),
                [item.settings() for item in walks],
            ],
            reads={**{p: self.sums[p] for p in paths}, **self.folder.checksums(self._lead)},
            writes=[LABELS],
            work=work,
        )

    def _join(self) -> None:
        surveys = self.plan.photometry

        def work() -> dict[str, Any]:
            file = self.folder.file
            stars = join_on_disk(
                file(self._lead),
                self.plan.lead,
                [Counterparts(s, file(_clean_name(s)), file(f"pairs_{s.name}.parquet")) for s in surveys],
                file(MATCHED),
                columns=described(*self.plan.surveys),
                metadata=self.folder.metadata(MATCHED),
            )
            if stars == 0:
                raise InputError(
                    Problem(
                        "match", "no star passed the cuts and the match", "one or more", "See the counts above."
                    )
                )
            return {"stars": stars}

        files = [name for s in surveys for name in (f"pairs_{s.name}.parquet", _clean_name(s))]
        self.folder.step(
            "join",
            settings=_settings(*self.plan.surveys),
            reads=self.folder.checksums(self._lead, *files),
            writes=[MATCHED],
            work=work,
        )

    def _training(self) -> None:
        config = self.plan.config

        def work() -> dict[str, Any]:
            table = training_table(self.plan, self.folder.file(MATCHED), self.folder.read(LABELS))
            self.folder.write(table, TRAINING, *self.plan.surveys)
            return {"stars": table.height}

        clusters = cluster_path(config.split)
        self.folder.step(
            "training set",
            settings=[config.split.model_dump(mode="json"), config.seed, config.target],
            reads={
                **self.folder.checksums(MATCHED, LABELS),
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
        TablePreparation(plan, run, input_checksums(plan)).everything()
        return run.read(TRAINING)


def _clean_name(survey: Survey) -> str:
    return f"clean_{survey.name}.parquet"


def _settings(*surveys: Survey) -> list[Any]:
    return [survey.model_dump(mode="json") for survey in surveys]


def _require_magnitudes(columns: list[str], survey: Survey, where: str) -> None:
    """Refuse a table that lacks a band of its survey: another survey's column might be used in its place."""
    lacking = underivable(survey.columns, columns)
    needed = [name for band in survey.bands.values() for name in lacking.get(band.magnitude, [band.magnitude])]
    if survey.reddening is not None:
        needed.append(survey.reddening.column)
    purpose = f"a band or E(B-V) of survey {survey.name} (a copy of its survey file may leave it out)"
    require(columns, needed, where, purpose)
